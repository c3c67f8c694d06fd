"""What nobody owns is ended; what is new, or is not ours, is left alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from connection_events import Reason
from orchestrator.ending.cleanup import Cleanups
from orchestrator.ending.reconciler import Reconciler
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.spawners.spawner import Spawner
from sessions import AgentProcess, Gone, SessionRecord
from sessions.in_process import ProcessSessionState
from sessions.naming import now_ms
from tests.orchestrator.ending_world import (
    ALICE,
    RememberedTasks,
    World,
    a_person,
    a_session,
    an_agent,
    made_settings,
    until,
)

pytest_plugins = ["tests.orchestrator.ending_fixtures"]

OLD_S = 120


def old() -> int:
    return now_ms() - OLD_S * 1000


def reconciling(
    tended: World, cleanups: Cleanups, spawner: Spawner | None = None, **variables: str
) -> Reconciler:
    return Reconciler(
        state=tended.state,
        rooms=tended.rooms,
        spawner=spawner or DispatchSpawner(tended.rooms),
        cleanups=cleanups,
        settings=made_settings(**variables),
    )


async def reconcile(tended: World, spawner: Spawner | None = None, **variables: str) -> None:
    async with tended.cleaning() as cleanups:
        await reconciling(tended, cleanups, spawner, **variables).reconcile()


async def test_a_session_without_a_room_ends(tended):
    record = await tended.started(room=False, start_time=old())
    await reconcile(tended)
    assert await tended.is_gone(record)


async def test_a_session_without_a_room_that_is_new_is_left_alone(tended):
    record = await tended.started(room=False)
    await reconcile(tended)
    assert await tended.state.records.get(record.id) == record


async def test_a_session_with_its_room_is_left_alone(tended):
    record = await tended.started(a_person(), an_agent(), start_time=old())
    await reconcile(tended)
    assert await tended.state.records.get(record.id) == record
    assert not tended.rooms.removed


async def test_a_room_without_a_session_ends(tended):
    record = a_session()
    tended.rooms.open(record, an_agent(), age_s=OLD_S)
    await reconcile(tended)
    assert await tended.is_gone(record)
    assert [event.conversation_id for event in tended.heard] == [record.id]


@pytest.mark.parametrize("mark", [True, False], ids=["new", "somebody else's"])
async def test_a_room_that_is_new_or_somebody_elses_is_left_alone(tended, mark):
    record = a_session()
    tended.rooms.open(record, an_agent(), mark=mark, age_s=0 if mark else OLD_S)
    await reconcile(tended)
    assert record.room in tended.rooms.rooms
    assert not await tended.state.records.has_ended(record.id)


async def test_the_room_of_an_ended_session_is_deleted_at_any_age(tended):
    record = a_session()
    await tended.state.records.fence(record.id)
    tended.rooms.open(record, a_person())
    await reconcile(tended)
    assert tended.rooms.rooms == {}


async def test_what_livekit_missed_while_it_was_away_is_done_later(tended):
    record = await tended.started(a_person(), an_agent())
    async with tended.cleaning() as cleanups:
        tended.rooms.away = True
        report = await cleanups.begin(record.id, Reason.CLIENT_DISCONNECT, asked_by="end")
        assert report
        await until(lambda: _has_report(tended, record.id))
        tended.rooms.away = False
        await reconciling(tended, cleanups).reconcile()
    assert await tended.is_gone(record)


async def _process_without_session(tended: World) -> SessionRecord:
    record = await tended.started()
    process = AgentProcess(pid=4711, host="there", started=1.0)
    await tended.state.agents.started(record.id, process, attempt=1, ttl_s=60)
    await tended.state.agents.beat(record.id, {"at": "1"}, lives_s=60, ttl_s=60)
    tended.rooms.rooms.clear()
    await _lose_record(tended, record.id)
    return record


async def test_a_process_that_was_without_a_session_a_moment_ago_is_left_alone(tended):
    record = await _process_without_session(tended)
    await reconcile(tended)
    assert not await tended.state.records.has_ended(record.id)
    async with tended.cleaning() as cleanups:
        patient = reconciling(tended, cleanups, RECONCILE_AGE_S="0.05")
        await patient.reconcile()
        assert not await tended.state.records.has_ended(record.id)
        noted_again = replace(record, start_time=now_ms() + OLD_S * 1000)  # no room, and not old
        await tended.state.records.add(noted_again, ttl_s=60)
        await patient.reconcile()
        await asyncio.sleep(0.06)
        await _lose_record(tended, record.id)
        await patient.reconcile()
        assert not await tended.state.records.has_ended(record.id)


async def test_a_process_without_a_session_or_a_room_is_told_to_end(tended):
    record = await _process_without_session(tended)
    await reconcile(tended, RECONCILE_AGE_S="0")
    assert await tended.state.records.has_ended(record.id)
    assert [event.conversation_id for event in tended.heard] == [record.id]
    assert record.id not in await tended.state.agents.reporting()


async def test_what_a_killed_agent_left_in_the_room_is_removed(tended):
    process = AgentProcess(pid=4711, host="there", started=1.0)
    record = await tended.started(an_agent("ghost", joined_at=1), start_time=old())
    await tended.state.agents.started(record.id, process, attempt=1, ttl_s=60)
    await tended.state.agents.gone(record.id, Gone.KILLED, process=process)
    await reconcile(tended)
    assert tended.rooms.removed == ["ghost"]


async def test_a_conversation_that_nobody_knows_of_survives(tended):
    """Without Redis the orchestrator was started anew; with it, a webhook was lost."""
    record = a_session()
    tended.rooms.open(record, a_person(), an_agent(), age_s=OLD_S)
    await reconcile(tended)
    found = await tended.state.records.get(record.id)
    assert found.identity == ALICE
    assert record.room in tended.rooms.rooms


async def test_a_person_whose_webhook_was_lost_gets_their_agent_where_tasks_bring_it(tended):
    record = a_session()
    tended.rooms.open(record, a_person(), age_s=OLD_S)
    tasks = RememberedTasks()
    await reconcile(tended, tasks)
    assert [(sent.id, attempt) for sent, attempt in tasks.sent] == [(record.id, 1)]
    assert record.room in tended.rooms.rooms


async def test_one_room_that_cannot_be_asked_about_does_not_stop_the_others(lone_world):
    tended = lone_world
    first, second = a_session(), a_session()
    for each in (first, second):
        await tended.state.records.fence(each.id)
        tended.rooms.open(each)
    delete = tended.rooms.delete

    async def fail_once(room: str) -> bool:
        tended.rooms.delete = delete
        tended.rooms.away = True
        try:
            return bool(await delete(room))
        finally:
            tended.rooms.away = False

    tended.rooms.delete = fail_once
    await reconcile(tended)
    assert list(tended.rooms.rooms) == [first.room]


async def test_it_goes_on_by_itself_and_where_another_orchestrator_died(tended):
    record = a_session()
    await tended.state.records.fence(record.id)
    await tended.state.marks.lease("reconciler", owner="a dead one", for_s=0.2)
    tended.rooms.open(record)
    async with (
        tended.cleaning() as cleanups,
        reconciling(tended, cleanups, RECONCILE_EVERY_S="0.05").running(),
    ):
        await until(lambda: tended.is_gone(record))


async def _has_report(tended: World, session_id: str) -> bool:
    return await tended.state.cleanups.report(session_id) is not None


async def _lose_record(tended: World, session_id: str) -> None:
    if isinstance(tended.state, ProcessSessionState):
        tended.state.records._memory.records.pop(session_id)  # type: ignore[attr-defined]
        return
    async with tended.state.records._connection.commands() as redis:  # type: ignore[attr-defined]
        await redis.delete(f"session:{session_id}")
