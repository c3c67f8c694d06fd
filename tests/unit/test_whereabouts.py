"""For every order of duplicated, delayed and lost events the end state is the same."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import rtc
from livekit.rtc import ConnectionQuality, DisconnectReason

from connection_events import ConnectionEvent, EventType, Reason
from connection_events.in_process import ProcessChannel
from tests.unit.test_releases import NAMES, FakeStage
from worker.presence import Presence
from worker.release import Releases
from worker.whereabouts import Sign, Signs, Whereabouts

SIGNS = st.builds(
    Sign,
    st.sampled_from(Whereabouts),
    st.integers(0, 5),
    st.sampled_from(Reason),
    told=st.booleans(),
)
STATES = st.sampled_from(["here", "unheard", "gone"])


@given(st.lists(SIGNS, min_size=1, max_size=8), st.data())
def test_the_same_signs_in_any_order_and_any_number_of_times_leave_the_same(heard, data):
    again = data.draw(st.lists(st.sampled_from(heard), max_size=8))
    shuffled = data.draw(st.permutations([*heard, *again]))

    def after(signs: list[Sign]) -> Sign:
        known = Signs(Sign(Whereabouts.HERE, -1))
        for sign in signs:
            known.note(sign)
        return known.holds

    assert after(shuffled) == after(heard)


class Room(rtc.EventEmitter[str]):
    """The room of the story, in which LiveKit's events come in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.person = SimpleNamespace(
            identity="alice", sid="PA_1", connection_quality=ConnectionQuality.QUALITY_GOOD
        )
        self.remote_participants = {"alice": self.person}

    def becomes(self, state: str) -> None:
        if state == "gone":
            if self.remote_participants.pop("alice", None) is not None:
                self.person.disconnect_reason = DisconnectReason.CONNECTION_TIMEOUT
                self.emit("participant_disconnected", self.person)
            self.person.connection_quality = ConnectionQuality.QUALITY_GOOD
            return
        if "alice" not in self.remote_participants:
            self.remote_participants["alice"] = self.person
            self.emit("participant_connected", self.person)
        lost = state == "unheard"
        quality = ConnectionQuality.QUALITY_LOST if lost else ConnectionQuality.QUALITY_GOOD
        if quality != self.person.connection_quality:
            self.person.connection_quality = quality
            self.emit("connection_quality_changed", self.person, quality)


def event_of(state: str, at_ms: int, conversation: str = "session_1_a") -> ConnectionEvent:
    kind = EventType.RECONNECTED if state == "here" else EventType.DISCONNECTED
    return ConnectionEvent(
        type=kind.value, conversation_id=conversation, timestamp_ms=at_ms, reason=Reason.TIMEOUT
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(STATES, max_size=6), st.data())
def test_the_job_ends_up_as_its_person_is_whatever_becomes_of_the_events(story, data):
    """LiveKit tells the story in its order; the channel loses, repeats, delays and swaps."""
    times = range(10, 10 + 10 * len(story), 10)
    said = [event_of(state, at_ms) for state, at_ms in zip(story, times, strict=True)]
    strangers = [event_of("gone", 5, "session_2_b"), event_of("gone", 99, "session_2_b")]
    heard = data.draw(st.lists(st.sampled_from([*said, *strangers]), max_size=10))
    steps: list[object] = data.draw(st.permutations([*heard, *(["livekit"] * len(story))]))

    async def run() -> tuple[bool, list[bool], list[str]]:
        ended: list[str] = []
        job: Any = SimpleNamespace(room=Room(), shutdown=ended.append)
        stages = {name: FakeStage() for name in NAMES}
        releases = Releases("session_1_a", timeout_s=1.0)
        clock = {"now": 0}

        def follow(sign: Sign) -> None:
            if sign.is_here:
                releases.want_working()
            else:
                releases.want_released(sign.reason)

        with mock.patch("worker.presence.now_ms", side_effect=lambda: clock["now"]):
            presence = Presence(job, "alice", grace_s=60, on_gone=lambda _: None, on_change=follow)
            channel = ProcessChannel()

            async def told(event: ConnectionEvent) -> None:
                if event.conversation_id == "session_1_a":
                    presence.told(event)

            releases.attach(stages)
            upcoming = iter(zip(story, times, strict=True))
            async with channel.listening(told):
                for step in steps:
                    if isinstance(step, ConnectionEvent):
                        # An event is heard when it has happened, or later.
                        clock["now"] = max(clock["now"], step.timestamp_ms)
                        await channel.publish(step)
                    else:
                        state, at_ms = next(upcoming)
                        clock["now"] = max(clock["now"], at_ms)
                        job.room.becomes(state)
                    await asyncio.sleep(0)
            await releases.settled()
            is_released = releases.is_released
            await presence.aclose()
        await releases.aclose()
        return is_released, [stage.works for stage in stages.values()], ended

    is_away = bool(story) and story[-1] != "here"
    assert asyncio.run(run()) == (is_away, [not is_away] * 3, [])
