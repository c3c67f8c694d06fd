"""A person in the room has an agent, or another one soon; one at a time, and not for ever."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from connection_events import Reason
from orchestrator.ending.watchdog import Watchdog
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.webhooks.outgoing import SessionEvent
from sessions import AgentProcess, Gone, SessionStatus, SessionStyle
from sessions.naming import now_ms
from tests.orchestrator.ending_world import (
    World,
    a_person,
    an_agent,
    made_settings,
    until,
)

pytest_plugins = ["tests.orchestrator.ending_fixtures"]

FIRST = AgentProcess(pid=4711, host="there", started=1.0)
SECOND = AgentProcess(pid=4712, host="there", started=2.0)
LONG_AGO = 60_000


class Ends:
    """Notes whose end was begun."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, Reason, str]] = []

    async def end(self, session_id: str, reason: Reason, *, asked_by: str) -> None:
        raise AssertionError("the watchdog waits for no clean-up")

    async def begin(self, session_id: str, reason: Reason, *, asked_by: str) -> bool:
        self.begun.append((session_id, reason, asked_by))
        return True


def watching(tended: World, **variables: str) -> tuple[Watchdog, Ends]:
    ends = Ends()
    given = {"READY_WITHIN_S": "0.2", "HEARTBEAT_S": "0.05", **variables}
    watchdog = Watchdog(
        state=tended.state,
        rooms=tended.rooms,
        spawner=DispatchSpawner(tended.rooms),
        endings=ends,
        webhooks=tended.webhooks,
        settings=made_settings(**given),
        every_s=0.02,
    )
    return watchdog, ends


async def test_a_ready_agent_makes_the_session_ready_and_the_back_end_is_told_once(tended):
    record = await tended.started(a_person(), an_agent())
    for _ in range(2):  # two orchestrators
        watchdog, _ = watching(tended)
        await watchdog.look()
        await watchdog.look()
    found = await tended.state.records.get(record.id)
    assert found.status is SessionStatus.READY
    assert [each for each in tended.webhooks.said if each[1] == record.id] == [
        (SessionEvent.READY, record.id)
    ]


async def test_an_agent_that_is_not_ready_in_time_is_removed_and_another_is_sent(tended):
    record = await tended.started(
        a_person(), an_agent("slow", state=""), connected_at=now_ms() - LONG_AGO
    )
    watchdog, _ = watching(tended, READY_WITHIN_S="30")
    await watchdog.look()
    assert tended.rooms.rooms[record.room].dispatches == []
    await tended.state.records.update(record.id, dispatched_at=now_ms() - LONG_AGO)
    async with watchdog.running():
        await until(lambda: _is_sent(tended, record.room, [2]))
        await until(lambda: _has_dispatch_id(tended, record.id))
    assert tended.rooms.removed == ["slow"]
    found = await tended.state.records.get(record.id)
    assert found.dispatches == 2
    assert found.dispatch_id == "AD_2"


async def test_a_job_that_beats_while_it_gets_ready_is_given_more_time(tended):
    since = now_ms() - 30_000
    record = await tended.started(
        a_person(), an_agent("slow", state=""), connected_at=since, dispatched_at=since
    )
    agents = tended.state.agents
    assert await agents.started(record.id, FIRST, attempt=1, ttl_s=60)
    await agents.beat(record.id, {"state": "starting"}, lives_s=60, ttl_s=60)
    patient, _ = watching(tended, READY_WITHIN_S="15")
    await patient.look()
    assert tended.rooms.rooms[record.room].dispatches == []
    hasty, _ = watching(tended, READY_WITHIN_S="5")
    await hasty.look()
    assert await _is_sent(tended, record.room, [2])


async def test_an_agent_of_an_older_dispatch_may_not_begin_any_more(tended):
    record = await tended.started(
        a_person(), connected_at=now_ms() - LONG_AGO, dispatched_at=now_ms() - LONG_AGO
    )
    watchdog, _ = watching(tended)
    await watchdog.look()
    agents = tended.state.agents
    assert not await agents.started(record.id, FIRST, attempt=1, ttl_s=60)
    assert await agents.started(record.id, SECOND, attempt=2, ttl_s=60)


async def test_nobody_is_sent_to_a_room_without_its_person(tended):
    record = await tended.started(
        a_person("bystander@example.com"), dispatched_at=now_ms() - LONG_AGO
    )
    watchdog, _ = watching(tended)
    await watchdog.look()
    assert tended.rooms.rooms[record.room].dispatches == []


async def test_the_time_counts_from_the_persons_arrival_also_where_no_webhook_said_so(tended):
    record = await tended.started(a_person(), dispatched_at=now_ms() - LONG_AGO)
    watchdog, _ = watching(tended, READY_WITHIN_S="30")
    before = now_ms()
    await watchdog.look()
    assert tended.rooms.rooms[record.room].dispatches == []
    found = await tended.state.records.get(record.id)
    assert found.connected_at >= before


async def test_after_two_agents_more_the_session_is_failed_and_the_back_end_is_told(tended):
    record = await tended.started(
        a_person(), connected_at=now_ms() - LONG_AGO, dispatched_at=now_ms() - LONG_AGO
    )
    watchdog, _ = watching(tended, READY_WITHIN_S="0.03")
    async with watchdog.running():
        await until(lambda: _has_status(tended, record.id, SessionStatus.FAILED))
        await until(lambda: _is_told(tended))
    assert tended.rooms.rooms[record.room].dispatches == [2, 3]
    assert tended.webhooks.said == [(SessionEvent.FAILED, record.id)]
    assert not await tended.state.agents.started(record.id, FIRST, attempt=3, ttl_s=60)


async def test_each_wait_is_longer_than_the_one_before(lone_world):
    tended = lone_world
    waited_since: list[int] = []
    dispatch = tended.rooms.dispatch

    async def noted(*args, **kwargs):
        waited_since.append((await tended.state.records.get(record.id)).dispatched_at)
        return await dispatch(*args, **kwargs)

    tended.rooms.dispatch = noted
    began = now_ms()
    record = await tended.started(a_person(), connected_at=began)
    watchdog, _ = watching(tended, READY_WITHIN_S="0.2")
    async with watchdog.running():
        await until(lambda: _has_status(tended, record.id, SessionStatus.FAILED))
    failed = await tended.state.records.get(record.id)
    at = [began, *waited_since, failed.dispatched_at]
    waits = [until_ms - since_ms for since_ms, until_ms in itertools.pairwise(at)]
    assert len(waits) == 3
    assert waits[0] >= 200
    assert waits[1] >= 300
    assert waits[2] >= 450


@pytest.mark.parametrize("seen_by", ["a missing heartbeat", "the reaper's report"])
async def test_where_a_job_dies_in_mid_conversation_another_agent_comes(tended, seen_by):
    record = await tended.started(a_person(), an_agent("old"))
    agents = tended.state.agents
    assert await agents.started(record.id, FIRST, attempt=1, ttl_s=60)
    await agents.beat(record.id, {"at": "1"}, lives_s=0.2, ttl_s=60)
    await tended.state.records.update(record.id, status=SessionStatus.READY)
    watchdog, _ = watching(tended)
    await watchdog.look()
    assert tended.rooms.rooms[record.room].dispatches == []
    if seen_by == "the reaper's report":
        await agents.gone(record.id, Gone.KILLED, process=FIRST)
        await watchdog.look()
    else:
        async with watchdog.running():
            await until(lambda: _is_sent(tended, record.room, [2]))
    assert tended.rooms.rooms[record.room].dispatches == [2]
    assert tended.rooms.removed == ["old"]
    assert await agents.started(record.id, SECOND, attempt=2, ttl_s=60)


async def test_a_ghost_in_the_room_does_not_pass_for_the_new_agent(tended):
    record = await tended.started(a_person(), an_agent("ghost"), agent_attempt=1, dispatches=2)
    watchdog, _ = watching(tended)
    await watchdog.look()
    assert await _has_status(tended, record.id, SessionStatus.STARTING)


async def test_without_reports_of_the_job_the_list_of_participants_tells_its_death(lone_world):
    tended = lone_world
    record = await tended.started(a_person(), an_agent("old"))
    watchdog, _ = watching(tended)
    async with watchdog.running():
        await until(lambda: _has_status(tended, record.id, SessionStatus.READY))
        del tended.rooms.rooms[record.room].people["old"]
        await until(lambda: _is_sent(tended, record.room, [2]))


async def test_an_agent_that_died_after_its_person_left_is_not_replaced(tended):
    record = await tended.started(agent_pid=4711, agent_gone="killed")
    await tended.state.records.update(record.id, status=SessionStatus.READY)
    watchdog, _ = watching(tended)
    await watchdog.look()
    assert tended.rooms.rooms[record.room].dispatches == []


async def test_a_session_whose_agent_died_and_whose_person_stays_away_ends(tended):
    record = await tended.started(agent_pid=4711, agent_gone="killed")
    await tended.state.records.update(record.id, status=SessionStatus.READY)
    watchdog, ends = watching(tended, RECONNECT_GRACE_S="0.1")
    await watchdog.look()
    assert ends.begun == []
    await asyncio.sleep(0.11)
    await watchdog.look()
    assert ends.begun == [(record.id, Reason.TIMEOUT, "watchdog")]
    assert tended.rooms.rooms[record.room].dispatches == []


@pytest.mark.parametrize(("how", "ends_at_once"), [("exited", True), ("killed", False)])
async def test_a_session_whose_agent_left_in_order_and_took_the_room_along_ends_at_once(
    tended, how, ends_at_once
):
    record = await tended.started(room=False, agent_pid=4711, agent_gone=how)
    await tended.state.records.update(record.id, status=SessionStatus.READY)
    watchdog, ends = watching(tended, RECONNECT_GRACE_S="60")
    await watchdog.look()
    expected = [(record.id, Reason.CLIENT_DISCONNECT, "watchdog")]
    assert ends.begun == (expected if ends_at_once else [])


async def test_a_person_who_comes_back_to_a_dead_agent_within_the_grace_time_gets_another(tended):
    record = await tended.started(agent_pid=4711, agent_gone="killed")
    await tended.state.records.update(record.id, status=SessionStatus.READY)
    watchdog, ends = watching(tended, RECONNECT_GRACE_S="0.1")
    await watchdog.look()
    tended.rooms.open(record, a_person())
    await asyncio.sleep(0.11)
    await watchdog.look()
    assert tended.rooms.rooms[record.room].dispatches == [2]
    assert ends.begun == []


async def test_a_session_that_ends_while_an_agent_is_sent_has_no_room_after_it(lone_world):
    tended = lone_world
    record = await tended.started(
        a_person(), connected_at=now_ms() - LONG_AGO, dispatched_at=now_ms() - LONG_AGO
    )
    dispatch = tended.rooms.dispatch

    async def dispatch_after_the_end(*args, **kwargs):
        async with tended.cleaning() as cleanups:
            await cleanups.end(record.id, Reason.CLIENT_DISCONNECT, asked_by="end")
        return await dispatch(*args, **kwargs)

    tended.rooms.dispatch = dispatch_after_the_end
    watchdog, _ = watching(tended)
    await watchdog.look()
    assert await tended.is_gone(record)


async def test_livekit_out_of_reach_costs_no_dispatch(tended):
    record = await tended.started(
        a_person(), connected_at=now_ms() - LONG_AGO, dispatched_at=now_ms() - LONG_AGO
    )
    tended.rooms.away = True
    watchdog, _ = watching(tended)
    await watchdog.look()
    found = await tended.state.records.get(record.id)
    assert found.dispatches == 1


async def test_a_session_that_lasted_as_long_as_it_may_ends(tended):
    record = await tended.started(a_person(), expires_at=now_ms() - 1)
    watchdog, ends = watching(tended)
    await watchdog.look()
    assert (record.id, Reason.TIMEOUT, "expiry") in ends.begun


async def test_a_device_that_does_not_connect_in_time_loses_its_session(tended):
    late = now_ms() - 31_000
    record = await tended.started(style=SessionStyle.NAMESPACE, start_time=late)
    there = await tended.started(a_person(), style=SessionStyle.NAMESPACE, start_time=late)
    new = await tended.started(style=SessionStyle.NAMESPACE)
    watchdog, ends = watching(tended)
    await watchdog.look()
    ended = [each[0] for each in ends.begun]
    assert record.id in ended
    assert there.id not in ended
    assert new.id not in ended


async def test_of_two_orchestrators_one_watches_until_it_ends(tended):
    one, _ = watching(tended, READY_WITHIN_S="60")
    other, _ = watching(tended, READY_WITHIN_S="0.01")
    async with one.running():
        await until(lambda: _is_held(tended))
        record = await tended.started(
            a_person(), connected_at=now_ms() - LONG_AGO, dispatched_at=now_ms()
        )
        async with other.running():
            assert not await _is_sent(tended, record.room, [2])
    async with other.running():
        await until(lambda: _is_sent(tended, record.room, [2]))


async def _is_held(tended: World) -> bool:
    return not await tended.state.marks.lease("watchdog", owner="nobody", for_s=0.001)


async def _is_sent(tended: World, room: str, attempts: list[int]) -> bool:
    return tended.rooms.rooms[room].dispatches == attempts


async def _has_dispatch_id(tended: World, session_id: str) -> bool:
    found = await tended.state.records.get(session_id)
    return found is not None and bool(found.dispatch_id)


async def _is_told(tended: World) -> bool:
    return bool(tended.webhooks.said)


async def _has_status(tended: World, session_id: str, status: SessionStatus) -> bool:
    found = await tended.state.records.get(session_id)
    return found is not None and found.status is status
