"""A client dies in mid-sentence: no provider is asked for anything more, and the person goes on
where they were, in the same session or in the next."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from redis import asyncio as aioredis

from connection_events import ConnectionEvent
from connection_events.in_redis import RedisChannel
from devstack.machine import PROJECT_ROOT
from devstack.participant import access_token
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from sessions.naming import new_session_id
from tests.e2e.conftest import Deployment, deployment
from tests.standins import DeepgramStandIn, KnownRecordings, OpenAIStandIn, ScriptedBrain, Timing
from tests.standins.recordings import RECORDINGS

pytestmark = pytest.mark.alone

STORY = " ".join(f"This is sentence number {number} of the story." for number in range(1, 200))
QUESTION = "Please tell me a story"
RELEASED_WITHIN_S = 2.0
MOST_S = 20.0
"""LiveKit reports after 10.4 s that it hears nothing, and after 20.5 that somebody is gone."""


@dataclass
class Lost:
    """Somebody whose client is about to be killed.

    Attributes:
        identity: who.
        session_id: their session's id, and the name of its room.
        process: their client.
        events: what was said of their connection.
    """

    identity: str
    session_id: str
    process: subprocess.Popen[str]
    events: list[ConnectionEvent] = field(default_factory=list)

    def said(self) -> list[str]:
        return [event.type for event in self.events]


@pytest.fixture
def openai() -> Iterator[OpenAIStandIn]:
    brain = ScriptedBrain().in_json('{"facts": [], "summary": null}').when("tell me a story", STORY)
    brain.when("where were we", "We were in the story.")
    timing = Timing(token_s=0.05, audio_pace=1.0, seconds_per_character=0.06)
    with OpenAIStandIn(brain, transcribe=KnownRecordings(RECORDINGS), timing=timing) as running:
        yield running
        running.assert_no_faults()


@pytest.fixture
def deepgram() -> Iterator[DeepgramStandIn]:
    with DeepgramStandIn(KnownRecordings(RECORDINGS)) as running:
        yield running
        running.assert_no_faults()


@pytest.fixture
def spoken(
    worker_settings: dict[str, str], redis: str, openai: OpenAIStandIn, deepgram: DeepgramStandIn
) -> Iterator[Deployment]:
    settings = {
        **worker_settings,
        **openai.environment,
        **deepgram.environment,
        "TURN_DETECTION": "vad",
        "FACT_EXTRACTION": "rules",
        "REDIS_URL": redis,
        "RECONNECT_GRACE_S": "3",
        "IDLE_PROCESSES": "2",
    }
    with deployment(settings) as running:
        yield running


async def eventually_so(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask until the answer is yes."""
    with anyio.fail_after(60):
        while not await ask():  # noqa: ASYNC110 - Redis tells nobody of a change
            await asyncio.sleep(0.05)


async def all_of(answers: Iterable[Awaitable[bool]]) -> bool:
    return all([await answer for answer in answers])


@asynccontextmanager
async def about_to_be_lost(running: Deployment, identity: str) -> AsyncIterator[Lost]:
    """Let somebody be told a story by an agent that is in the middle of it."""
    session_id = new_session_id()
    metadata = {"sessionId": session_id, "creator": "c" * 32, "style": "endpoint", "attempt": 1}
    token = access_token(running.livekit, identity, session_id, metadata=metadata)
    command = [sys.executable, "-m", "tests.e2e.vanishing_person", running.livekit.url, token]
    process = subprocess.Popen(
        [*command, QUESTION], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    lost = Lost(identity, session_id, process)
    try:
        assert process.stdout is not None
        assert (await asyncio.to_thread(process.stdout.readline)).strip()
        yield lost
    finally:
        process.kill()
        process.communicate()


async def test_a_client_killed_in_mid_sentence_costs_nothing_more_and_its_person_goes_on(
    spoken, redis, openai, deepgram, identity
):
    client = aioredis.from_url(redis, decode_responses=True)
    channel = RedisChannel(redis, "connection_events")
    async with (
        about_to_be_lost(spoken, identity) as back_soon,
        about_to_be_lost(spoken, "late-" + identity) as back_late,
    ):

        async def note(event: ConnectionEvent) -> None:
            for lost in (back_soon, back_late):
                if event.conversation_id == lost.session_id:
                    lost.events.append(event)

        async def speaks(lost: Lost) -> bool:
            return bool(await client.get(f"tts:active:{lost.session_id}") == "true")

        async with channel.listening(note):
            both = (back_soon, back_late)
            await eventually_so(lambda: all_of(speaks(lost) for lost in both))
            await eventually(lambda: len(openai.chats) == 2)
            await asyncio.sleep(3)  # of the story
            killed_at = time.monotonic()
            for lost in both:
                lost.process.kill()

            await eventually(lambda: all(lost.events for lost in both), 30)
            assert time.monotonic() - killed_at < MOST_S
            await asyncio.sleep(RELEASED_WITHIN_S)
            assert [lost.said() for lost in both] == [["connection_disconnected"]] * 2
            assert all(each.closed_at for each in deepgram.connections)
            exchanges = [*openai.chats, *openai.speeches]
            assert all(each.outcome != "in progress" for each in exchanges)
            assert not any([await speaks(lost) for lost in both])
            released_at, ears = time.monotonic(), len(deepgram.connections)

            async with spoken.join(identity, back_soon.session_id) as person:
                assert "You are back" in (await person.hear(30)).text
                await eventually(lambda: back_soon.said()[-1] == "connection_reconnected")
                # Since then: the one line that they are greeted with, and one ear.
                exchanges = [*openai.chats, *openai.speeches]
                since = [each for each in exchanges if each.arrived_at > released_at]
                assert {each.route for each in since} == {"speech"}
                assert len(deepgram.connections) == ears + 1
                assert await person.ask("Where were we?") == "We were in the story."
                heard = str(openai.chats[-1].request.messages)
                assert "sentence number 1 of" in heard
                assert "sentence number 8 of" not in heard

            history = f"conversation:history:{livekit_identity_to_uuid(back_late.identity)}"
            await eventually_so(lambda: client.exists(history))
        async with spoken.join("late-" + identity, new_session_id()) as person:
            assert "There you are again" in (await person.hear(30)).text
            assert await person.ask("Where were we?") == "We were in the story."
            heard = str(openai.chats[-1].request.messages)
            assert QUESTION in heard
            assert "sentence number 1 of" in heard
            assert "sentence number 8 of" not in heard
    await client.aclose()
    await channel.aclose()
