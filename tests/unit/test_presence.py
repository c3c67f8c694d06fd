"""Who leaves deliberately ends the job at once; who vanishes has a while to come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from livekit import rtc
from livekit.rtc import ConnectionQuality, DisconnectReason

from connection_events import Reason, disconnected, reconnected
from worker.presence import Presence, reason_of
from worker.whereabouts import Sign

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
        self.remote_participants: dict[str, SimpleNamespace] = {}

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


@pytest.fixture
async def watched(job, clock):
    """A watch whose changes are noted, with the real time as the signs have it."""
    changes: list[Sign] = []
    watching = Presence(
        job, "alice", grace_s=GRACE_S, on_gone=job.on_gone, on_change=changes.append
    )
    yield watching, changes
    await watching.aclose()


def quality(job: Job, value: int) -> None:
    person = job.room.remote_participants["alice"]
    person.connection_quality = value
    job.room.emit("connection_quality_changed", person, value)


def whereabouts(changes: list[Sign]) -> list[str]:
    return [sign.where.value for sign in changes]


async def test_a_client_of_which_livekit_hears_nothing_is_away_until_it_does(job, watched, clock):
    _, changes = watched
    quality(job, ConnectionQuality.QUALITY_POOR)
    quality(job, ConnectionQuality.QUALITY_LOST)
    quality(job, ConnectionQuality.QUALITY_LOST)
    quality(job, ConnectionQuality.QUALITY_GOOD)
    assert whereabouts(changes) == ["unheard", "here"]
    assert changes[0].heard_ms < changes[0].at_ms - 10_000
    await clock.passes(10 * GRACE_S)
    assert job.noted == []


async def test_the_quality_of_others_says_nothing(job, watched):
    _, changes = watched
    bob = SimpleNamespace(identity="bob")
    job.room.emit("connection_quality_changed", bob, ConnectionQuality.QUALITY_LOST)
    job.room.emit("connection_quality_changed", None, ConnectionQuality.QUALITY_LOST)
    assert changes == []


async def test_a_second_device_is_no_change_for_whoever_listens(job, watched, clock):
    _, changes = watched
    job.room.leave("alice", DisconnectReason.UNKNOWN_REASON)
    job.room.enter("alice")
    await clock.passes(5)
    assert all(sign.is_here for sign in changes)


async def test_who_is_said_to_be_gone_is_believed_to_be_until_livekit_knows_better(
    job, watched, clock
):
    watching, changes = watched
    watching.told(disconnected("session_1_a", Reason.SERVER_ERROR))
    assert whereabouts(changes) == ["gone"]
    await clock.passes(5)
    assert whereabouts(changes) == ["gone", "here"]
    assert job.noted == []


async def test_what_livekit_reports_is_not_replaced_by_its_own_echo_on_the_channel(job, watched):
    watching, changes = watched
    quality(job, ConnectionQuality.QUALITY_LOST)
    (unheard,) = changes
    echo = disconnected("session_1_a", Reason.TIMEOUT)
    watching.told(echo.model_copy(update={"timestamp_ms": unheard.at_ms}))
    assert changes == [unheard]
    quality(job, ConnectionQuality.QUALITY_GOOD)
    assert whereabouts(changes) == ["unheard", "here"]


async def test_who_is_said_to_be_gone_while_unheard_is_back_as_soon_as_they_are_heard(
    job, watched, monkeypatch
):
    watching, changes = watched
    quality(job, ConnectionQuality.QUALITY_LOST)
    monkeypatch.setattr("worker.presence.now_ms", lambda: changes[0].at_ms + 5)
    watching.told(
        disconnected("session_1_a", Reason.TIMEOUT).model_copy(
            update={"timestamp_ms": changes[0].at_ms + 5}
        )
    )
    assert whereabouts(changes) == ["unheard", "gone"]
    quality(job, ConnectionQuality.QUALITY_GOOD)
    assert whereabouts(changes) == ["unheard", "gone", "here"]


async def test_a_better_connection_does_not_bring_back_who_is_said_to_be_gone(job, watched):
    watching, changes = watched
    watching.told(disconnected("session_1_a", Reason.CLIENT_DISCONNECT))
    quality(job, ConnectionQuality.QUALITY_POOR)
    quality(job, ConnectionQuality.QUALITY_GOOD)
    assert whereabouts(changes) == ["gone"]


async def test_who_is_said_to_be_gone_and_leaves_the_room_has_the_whole_grace(job, watched, clock):
    watching, _ = watched
    watching.told(disconnected("session_1_a", Reason.CLIENT_DISCONNECT))
    job.room.leave("alice", DisconnectReason.SIGNAL_CLOSE)
    await clock.passes(GRACE_S - 1)
    assert job.noted == []
    await clock.passes(2)
    assert job.noted == ["gone", "the participant did not come back"]
    assert job.reason is Reason.TIMEOUT


async def test_an_event_from_before_the_person_came_back_says_nothing(job, watched):
    watching, changes = watched
    late = disconnected("session_1_a", Reason.TIMEOUT)
    late = late.model_copy(update={"timestamp_ms": late.timestamp_ms - 5_000})
    job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
    job.room.enter("alice")
    watching.told(late)
    assert whereabouts(changes) == ["gone", "here"]


async def test_another_hosts_clock_that_is_ahead_outweighs_nothing_that_is_seen_here(job, watched):
    watching, _ = watched
    ahead = disconnected("session_1_a", Reason.TIMEOUT)
    watching.told(ahead.model_copy(update={"timestamp_ms": ahead.timestamp_ms + 3_600_000}))
    job.room.enter("alice")
    assert watching.holds.is_here


async def test_who_is_said_to_be_back_and_is_not_in_the_room_is_waited_for(job, watched, clock):
    watching, changes = watched
    job.room.leave("alice", DisconnectReason.CONNECTION_TIMEOUT)
    watching.told(reconnected("session_1_a", Reason.TIMEOUT))
    await clock.passes(GRACE_S + 1)
    assert whereabouts(changes) == ["gone"]
    assert job.noted == ["gone", "the participant did not come back"]


@pytest.mark.parametrize(
    ("livekits", "ours"),
    [
        (DisconnectReason.CLIENT_INITIATED, Reason.CLIENT_DISCONNECT),
        (DisconnectReason.ROOM_DELETED, Reason.CLIENT_DISCONNECT),
        (DisconnectReason.CONNECTION_TIMEOUT, Reason.TIMEOUT),
        (DisconnectReason.UNKNOWN_REASON, Reason.TIMEOUT),
        (DisconnectReason.SERVER_SHUTDOWN, Reason.SERVER_ERROR),
        (DisconnectReason.STATE_MISMATCH, Reason.SERVER_ERROR),
    ],
)
def test_each_of_livekits_reasons_is_one_of_three(livekits, ours):
    assert reason_of(livekits) is ours
