"""LiveKit, Redis, a worker that speaks, and an orchestrator, shared by the tests of voice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from livekit import api
from redis import asyncio as aioredis

from connection_events import ConnectionEvent
from connection_events.in_redis import RedisChannel
from devstack.servers.livekit import LiveKitServer
from devstack.servers.orchestrator import Orchestrator
from devstack.servers.redis import RedisServer
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


@dataclass(frozen=True)
class Resources:
    """What a process holds."""

    descriptors: int
    threads: int

    def about_as_much_as(self, other: Resources) -> bool:
        # Connections to Redis and to LiveKit's API are pooled; the runtime's threads too.
        return self.descriptors <= other.descriptors + 8 and self.threads <= other.threads + 8


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

    async def is_deserted(self, url: str) -> bool:
        """Whether the session's person has left its room."""
        return all(each.is_agent for each in await self.present(url))

    async def has_ended(self, url: str) -> bool:
        state = RedisSessionState(self.redis_url, fence_s=60)
        try:
            return await state.records.has_ended(session_of(url))
        finally:
            await state.aclose()

    async def left_of(self, session_id: str) -> list[str]:
        """What is there of a session: its room, keys with its id, what is noted of it."""
        info = self.livekit.info
        async with api.LiveKitAPI(
            info.url.replace("ws://", "http://"), info.api_key, info.api_secret
        ) as livekit:
            rooms = await livekit.room.list_rooms(api.ListRoomsRequest())
        left = [room.name for room in rooms.rooms if session_id in room.name]
        async with aioredis.from_url(self.redis_url, decode_responses=True) as client:
            return left + [key async for key in client.scan_iter(f"*{session_id}*")]

    def resources(self) -> Resources:
        """What the orchestrator holds, and which processes run conversations."""
        process = psutil.Process(self.orchestrator.pid)
        return Resources(process.num_fds(), process.num_threads())

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


Talk = tuple[Turns, Voice, list[tuple[str, str]]]


async def until(condition: Callable[[], Awaitable[object]], timeout_s: float = 15.0) -> None:
    """Wait for a condition that another process brings about."""
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, f"still not so after {timeout_s} s"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def talking(
    url: str, sample_rate: int = 16_000
) -> AsyncIterator[tuple[Turns, Voice, list[tuple[str, str]]]]:
    """A conversation over the shipped client: its turns, its voice, what was said."""
    voice = Voice()
    said: list[tuple[str, str]] = []
    client = VoiceClient(url, sample_rate=sample_rate, on_voice=voice.take)
    async with (
        client,
        Turns(client, tell=lambda who, text: said.append((who, text)), voice=voice) as turns,
    ):
        yield turns, voice, said


@contextmanager
def voice_world(folder: Path) -> Iterator[VoiceWorld]:
    """Run all of it, and a Redis of its own: its orchestrator looks after whatever is in it."""
    with ExitStack() as running:
        livekit = running.enter_context(LiveKitServer())
        redis_url = running.enter_context(RedisServer()).info.url
        quick = Timing(seconds_per_character=0.01)
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
            "PYTHONFAULTHANDLER": "1",
        }
        orchestrator = running.enter_context(Orchestrator(livekit.info, own))
        yield VoiceWorld(livekit, orchestrator, worker, redis_url, openai, deepgram)
