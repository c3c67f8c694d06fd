"""What nobody owns is ended; what is new, or is not ours, is left alone."""

from __future__ import annotations

import asyncio

import pytest

from connection_events import Reason
from orchestrator.ending.cleanup import Cleanups
from orchestrator.ending.reconciler import Reconciler
from sessions import AgentProcess, Gone, SessionRecord
from sessions.in_process import ProcessSessionState
from sessions.naming import now_ms
from tests.orchestrator.ending_world import (
    ALICE,
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


def reconciling(world: World, cleanups: Cleanups, **variables: str) -> Reconciler:
    settings = made_settings(**variables)
    return Reconciler(state=world.state, rooms=world.rooms, cleanups=cleanups, settings=settings)


async def reconcile(world: World, **variables: str) -> None:
    async with world.cleaning() as cleanups:
        await reconciling(world, cleanups, **variables).reconcile()


async def test_a_session_without_a_room_ends(world):
    record = await world.started(room=False, start_time=old())
    await reconcile(world)
    assert await world.is_gone(record)


async def test_a_session_without_a_room_that_is_new_is_left_alone(world):
    record = await world.started(room=False)
    await reconcile(world)
    assert await world.state.records.get(record.id) == record


async def test_a_session_with_its_room_is_left_alone(world):
    record = await world.started(a_person(), an_agent(), start_time=old())
    await reconcile(world)
    assert await world.state.records.get(record.id) == record
    assert not world.rooms.removed


async def test_a_room_without_a_session_ends(world):
    record = a_session()
    world.rooms.open(record, an_agent(), age_s=OLD_S)
    await reconcile(world)
    assert await world.is_gone(record)
    assert [event.conversation_id for event in world.heard] == [record.id]


@pytest.mark.parametrize("mark", [True, False], ids=["new", "somebody else's"])
async def test_a_room_that_is_new_or_somebody_elses_is_left_alone(world, mark):
    record = a_session()
    world.rooms.open(record, an_agent(), mark=mark, age_s=0 if mark else OLD_S)
    await reconcile(world)
    assert record.room in world.rooms.rooms
    assert not await world.state.records.has_ended(record.id)


async def test_the_room_of_an_ended_session_is_deleted_at_any_age(world):
    record = a_session()
    await world.state.records.fence(record.id)
    world.rooms.open(record, a_person())
    await reconcile(world)
    assert world.rooms.rooms == {}


async def test_what_livekit_missed_while_it_was_away_is_done_later(world):
    record = await world.started(a_person(), an_agent())
    async with world.cleaning() as cleanups:
        world.rooms.away = True
        report = await cleanups.begin(record.id, Reason.CLIENT_DISCONNECT, asked_by="end")
        assert report
        await until(lambda: _has_report(world, record.id))
        world.rooms.away = False
        await reconciling(world, cleanups).reconcile()
    assert await world.is_gone(record)


async def _process_without_session(world: World) -> SessionRecord:
    record = await world.started()
    process = AgentProcess(pid=4711, host="there", started=1.0)
    await world.state.agents.started(record.id, process, attempt=1, ttl_s=60)
    await world.state.agents.beat(record.id, {"at": "1"}, lives_s=60, ttl_s=60)
    world.rooms.rooms.clear()
    await _lose_record(world, record.id)
    return record


async def test_a_process_that_was_without_a_session_a_moment_ago_is_left_alone(world):
    record = await _process_without_session(world)
    await reconcile(world)
    assert not await world.state.records.has_ended(record.id)
    async with world.cleaning() as cleanups:
        patient = reconciling(world, cleanups, RECONCILE_AGE_S="0.05")
        await patient.reconcile()
        assert not await world.state.records.has_ended(record.id)
        await world.state.records.add(record, ttl_s=60)  # its job noted it again
        await patient.reconcile()
        await asyncio.sleep(0.06)
        await _lose_record(world, record.id)
        await patient.reconcile()
        assert not await world.state.records.has_ended(record.id)


async def test_a_process_without_a_session_or_a_room_is_told_to_end(world):
    record = await _process_without_session(world)
    await reconcile(world, RECONCILE_AGE_S="0")
    assert await world.state.records.has_ended(record.id)
    assert [event.conversation_id for event in world.heard] == [record.id]
    assert record.id not in await world.state.agents.reporting()


async def test_what_a_killed_agent_left_in_the_room_is_removed(world):
    process = AgentProcess(pid=4711, host="there", started=1.0)
    record = await world.started(an_agent("ghost", joined_at=1), start_time=old())
    await world.state.agents.started(record.id, process, attempt=1, ttl_s=60)
    await world.state.agents.gone(record.id, Gone.KILLED, process=process)
    await reconcile(world)
    assert world.rooms.removed == ["ghost"]


async def test_without_redis_a_conversation_survives_the_orchestrators_restart(lone_world):
    record = a_session()
    lone_world.rooms.open(record, a_person(), an_agent(), age_s=OLD_S)
    await reconcile(lone_world)
    found = await lone_world.state.records.get(record.id)
    assert found.identity == ALICE
    assert record.room in lone_world.rooms.rooms


async def test_one_room_that_cannot_be_asked_about_does_not_stop_the_others(lone_world):
    world = lone_world
    first, second = a_session(), a_session()
    for each in (first, second):
        await world.state.records.fence(each.id)
        world.rooms.open(each)
    delete = world.rooms.delete

    async def fail_once(room: str) -> bool:
        world.rooms.delete = delete
        world.rooms.away = True
        try:
            return bool(await delete(room))
        finally:
            world.rooms.away = False

    world.rooms.delete = fail_once
    await reconcile(world)
    assert list(world.rooms.rooms) == [first.room]


async def test_it_goes_on_by_itself_and_where_another_orchestrator_died(world):
    record = a_session()
    await world.state.records.fence(record.id)
    await world.state.marks.lease("reconciler", owner="a dead one", for_s=0.2)
    world.rooms.open(record)
    async with (
        world.cleaning() as cleanups,
        reconciling(world, cleanups, RECONCILE_EVERY_S="0.05").running(),
    ):
        await until(lambda: world.is_gone(record))


async def _has_report(world: World, session_id: str) -> bool:
    return await world.state.cleanups.report(session_id) is not None


async def _lose_record(world: World, session_id: str) -> None:
    if isinstance(world.state, ProcessSessionState):
        world.state.records._memory.records.pop(session_id)  # type: ignore[attr-defined]
        return
    async with world.state.records._connection.commands() as redis:  # type: ignore[attr-defined]
        await redis.delete(f"session:{session_id}")
