"""Who may speak in a session, and what a job tells of itself while the state comes and goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from config import SessionSettings
from devstack.waiting import eventually
from sessions import (
    AgentProcess,
    SessionRecord,
    SessionState,
    SessionStatus,
    StateUnreachableError,
)
from sessions.in_process import ProcessSessionState
from sessions.naming import new_session_id, now_ms
from worker.activity import Activity
from worker.log_tail import LogTail
from worker.pulse import Pulse
from worker.seat import Seat, Verdict

SETTINGS = SessionSettings.model_validate({"HEARTBEAT_S": 0.02, "RELEASE_TIMEOUT_S": 0.5})
ME = AgentProcess(11, "here", 1.5)
OTHER = AgentProcess(12, "here", 2.5)


@pytest.fixture
def state() -> SessionState:
    return ProcessSessionState(fence_s=60)


def a_session(**fields: object) -> SessionRecord:
    session_id = new_session_id()
    return SessionRecord(
        id=session_id,
        room=session_id,
        identity="alice@example.com",
        user_id="a-user",
        creator="somebody",
        start_time=now_ms(),
        **{"dispatches": 1, **fields},  # type: ignore[arg-type]
    )


async def _nothing(attempt: int) -> None:
    pass


def a_seat(
    state: SessionState,
    record: SessionRecord,
    *,
    attempt: int | None = 1,
    process: AgentProcess = ME,
    newborn: SessionRecord | None = None,
    settings: SessionSettings = SETTINGS,
) -> Seat:
    return Seat(
        state,
        record.id,
        process,
        attempt=attempt,
        newborn=lambda: newborn,
        on_taken=_nothing,
        on_restored=lambda: None,
        settings=settings,
    )


async def test_a_session_that_is_there_is_taken(state):
    record = a_session()
    await state.records.add(record, ttl_s=60)
    long_lived = SessionSettings.model_validate({"HEARTBEAT_S": 60})
    seat = a_seat(state, record, settings=long_lived)
    assert await seat.take() is Verdict.GO_ON
    assert seat.is_taken
    assert await seat.keep({"state": "listening"}) is Verdict.GO_ON
    assert await state.agents.health(record.id) == {"state": "listening"}


async def test_an_ended_session_is_ended_for_every_job(state):
    record = a_session()
    await state.records.fence(record.id)
    assert await a_seat(state, record, newborn=record).take() is Verdict.ENDED
    assert await state.records.get(record.id) is None


async def test_a_session_of_our_own_token_is_born_and_one_of_nobodys_is_not(state):
    record = a_session()
    stranger = a_seat(state, record, newborn=None)
    assert await stranger.take() is Verdict.GO_ON
    assert not stranger.is_taken
    assert await state.records.get(record.id) is None
    assert await a_seat(state, record, newborn=record).take() is Verdict.GO_ON
    found = await state.records.get(record.id)
    assert found is not None
    assert found.agent_pid == ME.pid


async def test_two_jobs_of_one_dispatch_never_both_speak(state):
    record = a_session()
    seats = [a_seat(state, record, process=each, newborn=record) for each in (ME, OTHER)]
    verdicts = await asyncio.gather(*(seat.take() for seat in seats))
    assert sorted(verdicts) == [Verdict.GO_ON, Verdict.LEAVE]


async def test_an_automatic_dispatch_answers_the_newest_but_takes_it_from_nobody(state):
    record = a_session(dispatches=3)
    await state.records.add(record, ttl_s=60)
    seat = a_seat(state, record, attempt=None)
    assert await seat.take() is Verdict.GO_ON
    assert seat.attempt == 3
    assert await a_seat(state, record, attempt=None, process=OTHER).take() is Verdict.LEAVE


async def test_a_newer_dispatch_and_an_end_are_seen_at_the_next_heartbeat(state):
    record = a_session()
    await state.records.add(record, ttl_s=60)
    seat = a_seat(state, record)
    await seat.take()
    await state.records.update(record.id, dispatches=2)
    assert await seat.keep({}) is Verdict.LEAVE
    await state.records.fence(record.id)
    assert await seat.keep({}) is Verdict.ENDED


@asynccontextmanager
async def beating(state: SessionState, seat: Seat) -> AsyncIterator[tuple[Pulse, list[Verdict]]]:
    refused: list[Verdict] = []

    async def on_refused(verdict: Verdict) -> None:
        refused.append(verdict)

    activity = Activity(seat.session_id, on_task=lambda: None)
    tail = LogTail()
    logging.getLogger().addHandler(tail)
    pulse = Pulse(
        state,
        seat,
        activity,
        tail,
        health=lambda: {"state": activity.agent_state},
        on_refused=on_refused,
        settings=SETTINGS,
    )
    seat._on_restored = pulse.tell_all_again
    pulse.start()
    try:
        yield pulse, refused
    finally:
        await pulse.aclose()
        logging.getLogger().removeHandler(tail)


async def until(condition) -> None:
    for _ in range(500):
        if await condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came about")


async def test_what_changes_is_told_and_told_again_when_the_state_has_lost_it(state):
    record = a_session(user_name="Alice")
    await state.records.add(record, ttl_s=60)
    seat = a_seat(state, record)

    async def is_ready() -> bool:
        found = await state.records.get(record.id)
        return found is not None and found.status is SessionStatus.READY and found.agent_pid > 0

    async with beating(state, seat) as (pulse, refused):
        pulse.change(status=SessionStatus.READY, connected_at=7)
        await until(is_ready)
        state.records._memory.drop(record.id)
        await until(is_ready)
        found = await state.records.get(record.id)
        assert found is not None
        expected = replace(found, agent_pid=ME.pid, connected_at=7, user_name="Alice")
        assert found == expected
        assert refused == []


async def test_an_end_is_told_to_the_job_once(state):
    record = a_session()
    await state.records.add(record, ttl_s=60)
    async with beating(state, a_seat(state, record)) as (_, refused):
        await state.records.fence(record.id)

        async def is_refused() -> bool:
            return bool(refused)

        await until(is_refused)
        await asyncio.sleep(0.1)
        assert refused == [Verdict.ENDED]


async def test_an_outage_is_said_once_and_what_waited_is_told_after_it(state, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    record = a_session()
    await state.records.add(record, ttl_s=60)
    calls = 0

    async def away(*_: object, **__: object) -> bool:
        nonlocal calls
        calls += 1
        raise StateUnreachableError("away") from ConnectionError()

    async def tried() -> bool:
        return calls > 3

    async def is_ready() -> bool:
        found = await state.records.get(record.id)
        return found is not None and found.status is SessionStatus.READY

    with monkeypatch.context() as patch:
        patch.setattr(state.records, "has_ended", away)
        async with beating(state, a_seat(state, record)) as (pulse, _):
            pulse.change(status=SessionStatus.READY)
            await until(tried)
            patch.undo()
            await until(is_ready)
    messages = [each.getMessage() for each in caplog.records]
    assert messages.count("[Session] Redis is out of reach; the conversation goes on") == 1
    assert "[Session] Redis is back" in messages
    assert "Redis is back" in "".join(await state.agents.logs(record.id))


@pytest.mark.parametrize("steps", range(6))
async def test_a_pulse_that_is_woken_as_it_is_closed_ends(state, steps):
    record = a_session()
    await state.records.add(record, ttl_s=60)
    async with beating(state, a_seat(state, record)) as (pulse, _):
        await eventually(lambda: pulse._woken._waiters)
        running = pulse._task
        assert running is not None
        pulse.wake()
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running}, timeout=2)
        assert running.cancelled()
