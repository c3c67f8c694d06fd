"""A conversation's time, and its silence: the person is told, then it ends."""

from __future__ import annotations

import asyncio
import time

import pytest
from livekit import rtc
from livekit.agents import AgentStateChangedEvent, UserStateChangedEvent

from assistant.persona import farewell
from tests.unit.test_presence import Clock
from worker import limits
from worker.limits import Limit, Limits
from worker.whereabouts import Sign, Whereabouts

AWAY = Sign(Whereabouts.GONE, 1)
BACK = Sign(Whereabouts.HERE, 2)


class Ending:
    """Notes what is said and ended, in order."""

    def __init__(self) -> None:
        self.session: rtc.EventEmitter[str] = rtc.EventEmitter()
        self.noted: list[str] = []
        self.ended = asyncio.Event()
        self.farewell_hangs = False

    async def tell(self, limit: Limit) -> None:
        self.noted.append(f"tell {limit.value}")
        if self.farewell_hangs:
            await asyncio.Event().wait()

    async def end(self, limit: Limit) -> None:
        self.noted.append(f"end {limit.value}")
        self.ended.set()

    def watched(self, left_s: float, silence_s: float | None) -> Limits:
        made = Limits(left_s=left_s, silence_s=silence_s, tell=self.tell, end=self.end)
        made.start(self.session)  # type: ignore[arg-type]
        return made

    def user(self, old: str, new: str) -> None:
        event = UserStateChangedEvent(old_state=old, new_state=new)  # type: ignore[arg-type]
        self.session.emit("user_state_changed", event)

    def agent(self, old: str, new: str) -> None:
        event = AgentStateChangedEvent(old_state=old, new_state=new)  # type: ignore[arg-type]
        self.session.emit("agent_state_changed", event)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def ending() -> Ending:
    return Ending()


async def test_a_session_ends_after_its_length_and_the_person_is_told_first(ending):
    watched = ending.watched(0.05, None)
    await asyncio.wait_for(ending.ended.wait(), 2)
    assert ending.noted == ["tell length", "end length"]
    await watched.aclose()


async def test_a_session_that_has_had_its_time_ends_at_once(ending):
    watched = ending.watched(-5, None)
    await asyncio.wait_for(ending.ended.wait(), 2)
    await watched.aclose()


@pytest.mark.alone
async def test_silence_ends_it_and_speech_of_either_side_does_not_count_as_silence(ending):
    began_at = time.monotonic()
    watched = ending.watched(60, 0.2)
    ending.agent("listening", "speaking")
    await asyncio.sleep(0.3)
    ending.user("listening", "speaking")
    ending.agent("speaking", "listening")
    await asyncio.sleep(0.3)
    assert ending.noted == []
    ending.user("speaking", "listening")
    await asyncio.sleep(0.1)
    ending.user("listening", "away")  # no sound
    await asyncio.wait_for(ending.ended.wait(), 2)
    assert 0.75 < time.monotonic() - began_at < 1.2
    assert ending.noted == ["tell silence", "end silence"]
    await watched.aclose()


async def test_nobody_is_silent_while_the_person_is_away_and_silence_begins_anew_on_their_return(
    ending, clock
):
    watched = ending.watched(600, 10)
    await clock.passes(0)  # it begins to wait
    await clock.passes(8)
    watched.follow(AWAY)
    await clock.passes(100)
    assert ending.noted == []
    watched.follow(BACK)
    await clock.passes(8)
    assert ending.noted == []
    await clock.passes(3)
    await clock.passes(0)
    assert ending.noted == ["tell silence", "end silence"]
    await watched.aclose()


async def test_a_session_has_its_length_also_while_the_person_is_away(ending, clock):
    watched = ending.watched(60, 10)
    await clock.passes(0)
    watched.follow(AWAY)
    await clock.passes(61)
    await clock.passes(0)
    assert ending.noted == ["tell length", "end length"]
    await watched.aclose()


async def test_a_farewell_that_hangs_does_not_hold_up_the_end(ending, monkeypatch):
    monkeypatch.setattr(limits, "_FAREWELL_DEADLINE_S", 0.05)
    ending.farewell_hangs = True
    watched = ending.watched(0.01, None)
    await asyncio.wait_for(ending.ended.wait(), 2)
    await watched.aclose()


async def test_nothing_ends_once_nobody_watches(ending):
    watched = ending.watched(0.05, 0.05)
    await watched.aclose()
    await asyncio.sleep(0.15)
    assert ending.noted == []


def test_the_farewell_is_in_the_persons_language_and_in_english_where_there_is_none():
    assert farewell("de-AT", after_silence=False).startswith("Unsere Zeit")
    assert farewell("de", after_silence=True) != farewell("de", after_silence=False)
    assert farewell("fi", after_silence=True) == farewell("en", after_silence=True)
