"""Everybody in the room learns that the agent was cut off, and of nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from livekit import rtc
from livekit.agents.voice import SpeechHandle

from connection_events.interruptions import INTERRUPTIONS
from devstack.waiting import eventually
from worker.interruptions import Interruptions


class Talk:
    """A session in which the test says what is spoken, and what the room was told."""

    session: Any
    room: Any

    def __init__(self) -> None:
        self.session = rtc.EventEmitter[str]()
        self.told: list[str] = []
        self.fails = False
        person = SimpleNamespace(set_attributes=self._set)
        self.room = SimpleNamespace(isconnected=lambda: True, local_participant=person)
        self.interruptions = Interruptions(self.room)
        self.interruptions.watch(self.session)

    async def _set(self, attributes: dict[str, str]) -> None:
        if self.fails:
            raise RuntimeError("not foreseen")
        self.told.append(attributes[INTERRUPTIONS])

    def agent_is(self, state: str, speech: SpeechHandle | None = None) -> None:
        self.session.current_speech = speech
        self.session.emit("agent_state_changed", SimpleNamespace(new_state=state))

    async def settled(self) -> None:
        for _ in range(5):  # callbacks of futures, then the task that tells
            await asyncio.sleep(0)


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    made = Talk()
    yield made
    await made.interruptions.aclose()


def cut_off(speech: SpeechHandle) -> None:
    speech.interrupt(force=True)
    speech._mark_done()


async def test_each_speech_that_is_cut_off_is_counted_once(talk):
    for count in ("1", "2"):
        speech = SpeechHandle.create()
        talk.agent_is("speaking", speech)
        talk.agent_is("listening", speech)  # held back
        talk.agent_is("speaking", speech)
        cut_off(speech)
        await talk.settled()
        assert talk.told[-1] == count
    assert talk.told == ["1", "2"]


async def test_speech_that_ends_or_was_only_held_back_is_not_told(talk):
    speech = SpeechHandle.create()
    for state in ("speaking", "listening", "speaking"):
        talk.agent_is(state, speech)
    speech._mark_done()
    await talk.settled()
    assert talk.told == []


async def test_what_nobody_has_heard_yet_is_not_told(talk):
    speech = SpeechHandle.create()
    talk.agent_is("thinking", speech)
    cut_off(speech)
    await talk.settled()
    assert talk.told == []


async def test_one_that_could_not_be_told_is_in_the_next_count(talk, caplog):
    talk.fails = True
    for _ in range(2):
        speech = SpeechHandle.create()
        talk.agent_is("speaking", speech)
        cut_off(speech)
        await talk.settled()
        talk.fails = False
    assert talk.told == ["2"]
    assert "nobody could be told" in caplog.text


async def test_a_room_that_is_slow_to_take_it_holds_up_no_end(talk):
    talk.room.local_participant.set_attributes = AsyncMock(side_effect=asyncio.Event().wait)
    speech = SpeechHandle.create()
    talk.agent_is("speaking", speech)
    cut_off(speech)
    await eventually(lambda: talk.room.local_participant.set_attributes.await_count)
    await asyncio.wait_for(talk.interruptions.aclose(), 5)
