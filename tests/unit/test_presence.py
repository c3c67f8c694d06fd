"""Who leaves deliberately ends the job at once; who vanishes has a while to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from livekit import rtc
from livekit.rtc import ConnectionQuality, DisconnectReason

from connection_events import Reason
from worker.presence import Presence

GRACE_S = 30.0

DELIBERATE = [
    DisconnectReason.CLIENT_INITIATED,
    DisconnectReason.PARTICIPANT_REMOVED,
    DisconnectReason.ROOM_DELETED,
    DisconnectReason.USER_REJECTED,
]
VANISHED = [
    DisconnectReason.UNKNOWN_REASON,
    DisconnectReason.CONNECTION_TIMEOUT,
    DisconnectReason.SIGNAL_CLOSE,
    DisconnectReason.MEDIA_FAILURE,
    DisconnectReason.DUPLICATE_IDENTITY,
]


class Room(rtc.EventEmitter[str]):
    """A room in which the test says who comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.remote_participants: dict[str, object] = {}

    def enter(self, identity: str) -> None:
        self.remote_participants[identity] = there = SimpleNamespace(
            identity=identity, sid="PA_1", connection_quality=ConnectionQuality.QUALITY_GOOD
        )
        self.emit("participant_connected", there)

    def leave(self, identity: str, reason: DisconnectReason) -> None:
        self.remote_participants.pop(identity, None)
        gone = SimpleNamespace(identity=identity, disconnect_reason=reason)
        self.emit("participant_disconnected", gone)


class Job:
    """A job whose end is noted instead of brought about, in order with what precedes it."""

    def __init__(self) -> None:
        self.room = Room()
        self.noted: list[str] = []

    def shutdown(self, reason: str) -> None:
        self.noted.append(reason)

    def on_gone(self, reason: Reason) -> None:
        self.reason = reason
        self.noted.append("gone")


class Clock:
    """The running loop's clock, which goes on when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self._now)

    async def passes(self, seconds: float) -> None:
        self._now += seconds
        for _ in range(3):  # the loop looks for timers that are due, and runs them
            await asyncio.sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clock]:
    with monkeypatch.context() as patch:
        yield Clock(patch)


@pytest.fixture
def job() -> Job:
    made = Job()
    made.room.enter("alice")
    return made


@pytest.fixture
async def presence(job, clock):
    watching = Presence(job, "alice", grace_s=GRACE_S, on_gone=job.on_gone)
    yield watching
    await watching.aclose()


@pytest.mark.parametrize("reason", DELIBERATE, ids=DisconnectReason.Name)
async def test_a_deliberate_leave_ends_the_job_at_once(job, presence, reason):
    job.room.leave("alice", reason)
    assert job.noted == ["gone", "the participant left"]


@pytest.mark.parametrize("reason", VANISHED, ids=DisconnectReason.Name)
async def test_whoever_vanishes_is_waited_for_and_then_the_job_ends_once(
    job, presence, clock, reason
):
    job.room.leave("alice", reason)
    await clock.passes(GRACE_S - 1)
    assert job.noted == []
    await clock.passes(2)
    assert job.noted == ["gone", "the participant did not come back"]
    await clock.passes(GRACE_S + 1)
    assert len(job.noted) == 2


async def test_whoever_comes_back_in_time_keeps_the_job(job, presence, clock):
    job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
    job.room.enter("alice")
    await clock.passes(GRACE_S + 1)
    assert job.noted == []


async def test_whoever_is_there_on_a_second_device_keeps_the_job(job, presence, clock):
    # The second device connects before the first one is reported gone.
    job.room.enter("alice")
    gone = SimpleNamespace(identity="alice", disconnect_reason=DisconnectReason.DUPLICATE_IDENTITY)
    job.room.emit("participant_disconnected", gone)
    await clock.passes(GRACE_S + 1)
    assert job.noted == []


async def test_each_time_somebody_vanishes_they_have_the_whole_grace_again(job, presence, clock):
    for _ in range(4):
        job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
        await clock.passes(GRACE_S - 1)
        job.room.enter("alice")
    assert job.noted == []
    job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
    await clock.passes(GRACE_S + 1)
    assert job.noted == ["gone", "the participant did not come back"]


async def test_a_deliberate_leave_does_not_wait_for_the_grace_of_an_earlier_one(
    job, presence, clock
):
    job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
    job.room.leave("alice", DisconnectReason.CLIENT_INITIATED)
    await clock.passes(GRACE_S + 1)
    assert job.noted == ["gone", "the participant left"]


@pytest.mark.parametrize("reason", [*DELIBERATE, *VANISHED], ids=DisconnectReason.Name)
async def test_others_may_come_and_go(job, presence, clock, reason):
    job.room.enter("bob")
    job.room.leave("bob", reason)
    await clock.passes(GRACE_S + 1)
    assert job.noted == []


async def test_another_who_comes_does_not_stop_the_wait(job, presence, clock):
    job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
    job.room.enter("bob")
    await clock.passes(GRACE_S + 1)
    assert job.noted == ["gone", "the participant did not come back"]


async def test_a_closed_watch_ends_nothing_any_more(job, presence, clock):
    job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
    await presence.aclose()
    job.room.leave("alice", DisconnectReason.CLIENT_INITIATED)
    await clock.passes(GRACE_S + 1)
    assert job.noted == []
    await presence.aclose()
