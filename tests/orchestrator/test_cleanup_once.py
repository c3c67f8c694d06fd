"""A session is cleaned up once, by one of those who ask, and everybody gets the same report."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from connection_events import Reason
from devstack.ports import free_port
from orchestrator.ending.cleanup import Cleanups
from orchestrator.errors import UnavailableError
from orchestrator.webhooks.outgoing import SessionEvent
from sessions import AgentProcess, Gone, StateUnreachableError
from sessions.in_redis import RedisSessionState
from sessions.naming import new_session_id
from tests.orchestrator.ending_world import a_person, a_session, an_agent, made_settings, until

pytest_plugins = ["tests.orchestrator.ending_fixtures"]

LEFT = Reason.CLIENT_DISCONNECT


async def test_an_end_leaves_nothing_and_says_so(tended):
    record = await tended.started(a_person(), an_agent())
    async with tended.cleaning() as cleanups:
        report = await cleanups.end(record.id, LEFT, asked_by="end")
    assert report.session_id == record.id
    assert report.room_deleted
    assert report.redis_cleaned
    assert report.process_killed
    assert report.errors == []
    assert report.seconds < 1
    assert await tended.is_gone(record)
    assert [(event.conversation_id, event.reason) for event in tended.heard] == [(record.id, LEFT)]
    assert tended.webhooks.said == [(SessionEvent.ENDED, record.id)]


async def test_an_unknown_session_and_one_that_has_ended_cannot_be_ended(tended):
    record = await tended.started()
    async with tended.cleaning() as cleanups:
        assert await cleanups.end(new_session_id(), LEFT, asked_by="end") is None
        assert not await cleanups.begin(new_session_id(), LEFT, asked_by="end")
        assert await cleanups.end(record.id, LEFT, asked_by="end") is not None
        assert await cleanups.end(record.id, LEFT, asked_by="end") is None


async def test_twenty_calls_at_once_to_one_orchestrator_share_one_clean_up(tended):
    record = await tended.started(a_person(), an_agent())
    async with tended.cleaning() as cleanups:
        reports = await asyncio.gather(
            *(cleanups.end(record.id, LEFT, asked_by="end") for _ in range(20))
        )
    assert all(report == reports[0] for report in reports)
    assert len(tended.heard) == 1
    assert len(tended.webhooks.said) == 1


async def test_calls_at_once_to_two_orchestrators_share_one_clean_up(tended):
    record = await tended.started(a_person(), agent_pid=4711, agent_host="there", agent_started=1.0)
    async with tended.cleaning(lease_s=60) as one, tended.cleaning(lease_s=60) as other:
        asked = [
            asyncio.create_task(each.end(record.id, LEFT, asked_by="end"))
            for each in (one, other) * 10
        ]
        await asyncio.gather(*(_has_asked(each, record.id) for each in (one, other)))
        assert await tended.state.cleanups.is_pending(record.id)
        await tended.state.agents.gone(record.id, Gone.EXITED)
        reports = await asyncio.gather(*asked)
    assert all(report == reports[0] for report in reports)
    assert reports[0].process_exited
    assert len(tended.heard) == 1


async def _has_asked(cleanups: Cleanups, session_id: str) -> None:
    """Wait until an orchestrator has claimed a clean-up, or found that another one has."""
    assert await cleanups.begin(session_id, LEFT, asked_by="end")


async def test_begin_fences_before_it_returns_and_does_the_rest_later(tended):
    record = await tended.started(a_person(), an_agent())
    async with tended.cleaning() as cleanups:
        assert await cleanups.begin(record.id, LEFT, asked_by="webhook")
        assert await tended.state.records.has_ended(record.id)
        await until(lambda: tended.is_gone(record))


async def test_a_caller_who_gives_up_does_not_stop_the_clean_up(tended):
    record = await tended.started(a_person(), an_agent())
    async with tended.cleaning() as cleanups:
        asked = asyncio.create_task(cleanups.end(record.id, LEFT, asked_by="end"))
        await asyncio.sleep(0)
        asked.cancel()
        await until(lambda: tended.is_gone(record))


@pytest.mark.parametrize("how", list(Gone))
async def test_the_report_waits_for_the_process_and_says_how_it_ended(tended, how):
    process = AgentProcess(pid=4711, host="there", started=12.5)
    record = await tended.started(a_person())
    assert await tended.state.agents.started(record.id, process, attempt=1, ttl_s=60)
    async with tended.cleaning() as cleanups:
        asked = asyncio.create_task(cleanups.end(record.id, LEFT, asked_by="end"))
        await until(lambda: tended.state.cleanups.is_pending(record.id))
        done, _ = await asyncio.wait([asked], timeout=0.1)
        assert not done
        assert await tended.state.agents.gone(record.id, how, process=process)
        report = await asked
    assert report.process_killed
    assert report.process_exited == (how is Gone.EXITED)
    assert await tended.is_gone(record)


async def test_a_process_that_nobody_reports_gone_is_an_error_in_the_report(tended):
    record = await tended.started(agent_pid=4711, agent_host="there", agent_started=1.0)
    cleanups = tended.cleanups(made_settings(TERM_GRACE_S="0.1"))
    cleanups._sequence._gone_within_s = 0.2
    async with cleanups.running():
        report = await cleanups.end(record.id, LEFT, asked_by="end")
    assert not report.process_killed
    assert [each.split(":")[0] for each in report.errors] == ["waiting for the process"]
    assert await tended.is_gone(record)


async def test_livekit_out_of_reach_is_an_error_in_the_report_and_the_rest_is_done(tended):
    record = await tended.started(a_person())
    tended.rooms.away = True
    async with tended.cleaning() as cleanups:
        report = await cleanups.end(record.id, LEFT, asked_by="end")
    assert not report.room_deleted
    assert not report.process_killed
    assert report.redis_cleaned
    assert any(each.startswith("deleting the room: LiveKit is out of") for each in report.errors)
    assert await tended.state.records.get(record.id) is None
    assert len(tended.heard) == 1


async def test_a_room_that_comes_back_is_deleted_again(lone_world):
    tended = lone_world
    record = await tended.started(a_person(), an_agent())
    delete, deleted = tended.rooms.delete, []

    async def delete_and_let_a_late_job_make_it_anew(room: str) -> bool:
        result: bool = await delete(room)
        deleted.append(room)
        if len(deleted) == 1:
            tended.rooms.open(record, an_agent("late"), mark=False)
        return result

    tended.rooms.delete = delete_and_let_a_late_job_make_it_anew
    async with tended.cleaning() as cleanups:
        report = await cleanups.end(record.id, LEFT, asked_by="end")
    assert report.room_deleted
    assert deleted == [record.room] * 2
    assert await tended.is_gone(record)


async def test_a_room_whose_name_is_another_sessions_by_now_is_left_alone(tended):
    record = await tended.started(room=False)
    other = a_session(room=record.room)
    tended.rooms.open(other, a_person())
    async with tended.cleaning() as cleanups:
        report = await cleanups.end(record.id, LEFT, asked_by="end")
    assert report.errors == []
    assert record.room in tended.rooms.rooms


async def test_without_its_state_no_session_can_be_ended_and_the_caller_is_told(lone_world):
    state = RedisSessionState(f"redis://127.0.0.1:{free_port()}/0", fence_s=60)
    async with lone_world.cleaning(state=state) as cleanups:
        with pytest.raises(UnavailableError):
            await cleanups.end(new_session_id(), LEFT, asked_by="end")
        with pytest.raises(UnavailableError):
            await cleanups.begin(new_session_id(), LEFT, asked_by="end")
    await state.aclose()


async def test_keys_that_cannot_be_removed_now_are_removed_once_the_state_is_back(
    lone_world, monkeypatch
):
    tended = lone_world
    record = await tended.started(a_person())
    monkeypatch.setattr("orchestrator.ending.cleanup._FINISH_WITHIN_S", 0.1)
    finish = tended.state.cleanups.finish

    async def away(*_: object, **__: object) -> int:
        raise StateUnreachableError("Redis is out of reach")

    tended.state.cleanups.finish = away
    async with tended.cleaning() as cleanups:
        report = await cleanups.end(record.id, LEFT, asked_by="end")
        assert not report.redis_cleaned
        assert await tended.state.records.get(record.id) is not None
        tended.state.cleanups.finish = finish
        await until(lambda: tended.is_gone(record))


async def test_clean_ups_are_counted_by_result_and_by_who_asked(lone_world):
    tended = lone_world
    before = {name: _counted(**labels) for name, labels in COUNTED.items()}
    fine, killed = await tended.started(), await tended.started(agent_pid=1, agent_gone="killed")
    async with tended.cleaning() as cleanups:
        await cleanups.end(fine.id, LEFT, asked_by="end")
        await cleanups.end(killed.id, LEFT, asked_by="delete")
        tended.rooms.away = True
        away = await tended.started(room=False)
        await cleanups.end(away.id, LEFT, asked_by="end")
    after = {name: _counted(**labels) for name, labels in COUNTED.items()}
    assert {name: after[name] - before[name] for name in COUNTED} == dict.fromkeys(COUNTED, 1)


COUNTED: dict[str, dict[str, str]] = {
    "fine": {"name": "cleanups_total", "result": "ok", "asked_by": "end"},
    "partial": {"name": "cleanups_total", "result": "partial", "asked_by": "end"},
    "deleted": {"name": "cleanups_total", "result": "ok", "asked_by": "delete"},
    "killed": {"name": "forced_kills_total"},
}


def _counted(*, name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"voice_agent_{name}", labels) or 0.0
