"""LiveKit, Redis, a worker that speaks, and an orchestrator, shared by the tests of voice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from livekit import api

from connection_events import ConnectionEvent, RedisChannel
from devstack.servers.livekit import LiveKitServer
from devstack.servers.orchestrator import Orchestrator
from devstack.servers.worker import Worker
from orchestrator.rooms import Present, Rooms
from orchestrator.voice_client import VoiceClient
from orchestrator.voice_client.turns import Turns, Voice
from sessions.in_redis import RedisSessionState
from tests.standins import DeepgramStandIn, KnownRecordings, OpenAIStandIn, ScriptedBrain, Timing
from tests.standins.recordings import RECORDINGS

AGENT = "voice-tests"
GREETING = "What may I call you?"
LONG_ANSWER = "This is a long story, " + "and it goes on, " * 20 + "until it ends."
PING_S = 1.0


def brain() -> ScriptedBrain:
    """A model that knows what the recordings ask."""
    made = ScriptedBrain().in_json('{"facts": [], "summary": null}')
    made.when("what is my favorite color", "Your favorite color is blue.")
    made.when("my name is anna", "Nice to meet you, Anna.")
    made.when("long story", LONG_ANSWER)
    made.when("hello", "Hello to you.")
    return made


@dataclass
class VoiceWorld:
    """What runs.

    Attributes:
        livekit: the media server.
        orchestrator: with the gateway.
        worker: with the agents.
        redis_url: of both.
        openai: the stand-in of the model and the voice.
        deepgram: the stand-in of the hearing.
    """

    livekit: LiveKitServer
    orchestrator: Orchestrator
    worker: Worker
    redis_url: str
    openai: OpenAIStandIn
    deepgram: DeepgramStandIn

    @property
    def websockets(self) -> str:
        return self.orchestrator.url.replace("http://", "ws://")

    async def create(self, namespace: str = "tests") -> str:
        """Create a session of the second style, and return its websocket_url."""
        body = {"namespace_id": namespace, "device_type": "test", "client_version": "1"}
        async with httpx.AsyncClient(base_url=self.orchestrator.url) as http:
            answer = await http.post("/api/v1/sessions", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["websocket_url"])

    async def fresh_url(self, url: str) -> str:
        """Ask for the session's websocket_url again, which has a new ticket."""
        async with httpx.AsyncClient(base_url=self.orchestrator.url) as http:
            answer = await http.get(f"/api/v1/sessions/{session_of(url)}")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["websocket_url"])

    async def stats(self, url: str) -> dict[str, int]:
        async with httpx.AsyncClient(base_url=self.orchestrator.url) as http:
            return dict((await http.get(f"/api/v1/sessions/{session_of(url)}/stats")).json())

    async def delete(self, url: str) -> None:
        async with httpx.AsyncClient(base_url=self.orchestrator.url, timeout=20) as http:
            await http.delete(f"/api/v1/sessions/{session_of(url)}")

    async def present(self, url: str) -> list[Present]:
        """Who is in a session's room."""
        info = self.livekit.info
        http_url = info.url.replace("ws://", "http://")
        async with api.LiveKitAPI(http_url, info.api_key, info.api_secret) as livekit:
            rooms = Rooms(livekit, agent_name=AGENT, reconnect_grace_s=30)
            return await rooms.present(f"session_{session_of(url)}")

    async def has_ended(self, url: str) -> bool:
        state = RedisSessionState(self.redis_url, fence_s=60)
        try:
            return await state.records.has_ended(session_of(url))
        finally:
            await state.aclose()

    @asynccontextmanager
    async def events(self, url: str) -> AsyncIterator[asyncio.Queue[tuple[ConnectionEvent, float]]]:
        """What is said of a session, each with when it was heard."""
        heard: asyncio.Queue[tuple[ConnectionEvent, float]] = asyncio.Queue()

        async def hear(event: ConnectionEvent) -> None:
            if event.conversation_id == session_of(url):
                await heard.put((event, time.monotonic()))

        channel = RedisChannel(self.redis_url, "connection_events")
        async with channel.listening(hear):
            yield heard
        await channel.aclose()


def session_of(url: str) -> str:
    """The id of the session in a websocket_url."""
    return str(httpx.URL(url).params["session_id"])


@asynccontextmanager
async def talking(url: str, sample_rate: int = 16_000) -> AsyncIterator[tuple[Turns, Voice, list]]:
    """A conversation over the shipped client: its turns, its voice, what was said."""
    voice, said = Voice(), []
    client = VoiceClient(url, sample_rate=sample_rate, on_voice=voice.take)
    async with (
        client,
        Turns(client, tell=lambda who, text: said.append((who, text)), voice=voice) as turns,
    ):
        yield turns, voice, said


@contextmanager
def voice_world(folder: Path, redis_url: str) -> Iterator[VoiceWorld]:
    """Run all of it."""
    with ExitStack() as running:
        livekit = running.enter_context(LiveKitServer())
        quick = Timing(seconds_per_character=0.02)
        words = KnownRecordings(RECORDINGS)
        openai = running.enter_context(OpenAIStandIn(brain(), transcribe=words, timing=quick))
        deepgram = running.enter_context(DeepgramStandIn(KnownRecordings(RECORDINGS)))
        shared = {"REDIS_URL": redis_url, "LIVEKIT_AGENT_NAME": AGENT, "ENV_FILE": "/dev/null"}
        settings = {
            **shared,
            "DATA_DIR": str(folder / "data"),
            "IDLE_PROCESSES": "2",
            "TURN_DETECTION": "vad",
            **openai.environment,
            **deepgram.environment,
        }
        worker = running.enter_context(Worker(livekit.info, settings, dev=False))
        own = {
            **shared,
            "ENCRYPTION_ENABLED": "false",
            "MAX_SESSIONS_PER_USER": "300",
            "RATE_LIMIT": "10000/minute",
            "VOICE_PING_S": str(PING_S),
        }
        orchestrator = running.enter_context(Orchestrator(livekit.info, own))
        yield VoiceWorld(livekit, orchestrator, worker, redis_url, openai, deepgram)
