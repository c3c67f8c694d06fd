"""Sessions on a real LiveKit server with its real webhooks, a real Redis and a real worker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import psutil
import pytest
from aiohttp import web
from livekit import api

from config import Settings
from connection_events import Reason
from connection_events.in_process import ProcessChannel
from devstack.participant import Participant, access_token
from devstack.ports import LOOPBACK, free_port
from devstack.servers.livekit import LiveKitInfo, LiveKitOptions, LiveKitServer
from devstack.servers.worker import Worker
from orchestrator.ending.cleanup import Cleanups
from orchestrator.ending.watchdog import Watchdog
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Rooms
from orchestrator.spawners.dispatch import DispatchSpawner
from orchestrator.webhooks.incoming import LiveKitWebhooks
from sessions import SessionRecord, SessionState, SessionStatus
from sessions.in_redis import RedisSessionState
from tests import leaks
from tests.orchestrator.ending_world import ALICE, SaidWebhooks, a_session, made_settings, until
from tests.services import started

pytestmark = pytest.mark.timeout(180)

AGENT_NAME = "ours"


@dataclass
class Hooked:
    """A LiveKit server and the port of the only receiver of its webhooks."""

    livekit: LiveKitInfo
    port: int


@pytest.fixture(scope="module")
def hooked(webrtc: None) -> Iterator[Hooked]:
    port = free_port()
    options = LiveKitOptions(webhook_urls=[f"http://{LOOPBACK}:{port}/webhook/livekit"])
    server = started(lambda: LiveKitServer(options))
    yield Hooked(server.info, port)
    server.stop()


@pytest.fixture(scope="module")
def worker(hooked: Hooked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    settings = {
        "ALLOW_SCRIPTED_MODEL": "true",
        "ENV_FILE": "/dev/null",
        "DATA_DIR": str(tmp_path_factory.mktemp("worker") / "data"),
        "IDLE_PROCESSES": "1",
        "LIVEKIT_AGENT_NAME": AGENT_NAME,
    }
    with leaks.shared():
        running = Worker(hooked.livekit, settings, dev=False)
        running.start()
    yield running
    running.stop()


@dataclass
class Orchestrated:
    """The parts that end sessions, over real servers; webhooks come in by HTTP."""

    livekit: LiveKitInfo
    state: SessionState
    rooms: Rooms
    cleanups: Cleanups
    webhooks: LiveKitWebhooks
    settings: Settings
    said: SaidWebhooks
    failures: int = 0
    came: list[str] = field(default_factory=list)

    async def start(self, *, with_agent: bool, **fields: object) -> SessionRecord:
        record = a_session(**fields)
        await self.state.records.add(record, ttl_s=600)
        await self.rooms.create(record, with_agent=with_agent)
        return record

    def joining(self, record: SessionRecord) -> Participant:
        return Participant(self.livekit, access_token(self.livekit, ALICE, record.room))

    async def is_gone(self, record: SessionRecord) -> bool:
        return (
            await self.state.records.get(record.id) is None
            and await self.state.records.has_ended(record.id)
            and not await self.state.cleanups.is_pending(record.id)
            and await self.rooms.find(record.room) is None
        )

    async def has_status(self, record: SessionRecord, status: SessionStatus) -> bool:
        found = await self.state.records.get(record.id)
        return found is not None and found.status is status

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.failures > 0:
            self.failures -= 1
            return web.Response(status=500)
        try:
            answer = await self.webhooks.receive(
                body,
                authorization=request.headers.get("Authorization"),
                signature=request.headers.get("X-LiveKit-Signature"),
            )
        except OrchestratorError as error:
            return web.json_response({"detail": error.detail}, status=error.status)
        self.came.append(answer["event"])
        return web.json_response(answer)

    @asynccontextmanager
    async def watched(self, **variables: str) -> AsyncIterator[None]:
        watchdog = Watchdog(
            state=self.state,
            rooms=self.rooms,
            spawner=DispatchSpawner(self.rooms),
            endings=self.cleanups,
            webhooks=self.said,
            settings=_settings(self.livekit, **variables),
            every_s=0.2,
        )
        async with watchdog.running():
            yield


def _settings(livekit: LiveKitInfo, **variables: str) -> Settings:
    return made_settings(
        **{
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
            "RECONNECT_GRACE_S": "1",
            **variables,
        }
    )


@pytest.fixture
async def orchestrated(hooked: Hooked, redis: str) -> AsyncIterator[Orchestrated]:
    settings, livekit = _settings(hooked.livekit), hooked.livekit
    state = RedisSessionState(redis, fence_s=60)
    async with AsyncExitStack() as running:
        running.push_async_callback(state.aclose)
        client = api.LiveKitAPI(livekit.http_url, livekit.api_key, livekit.api_secret)
        await running.enter_async_context(client)
        rooms = Rooms(client, agent_name=AGENT_NAME, reconnect_grace_s=1)
        said = SaidWebhooks()
        cleanups = Cleanups(
            state=state,
            events=ProcessChannel(),
            rooms=rooms,
            spawner=DispatchSpawner(rooms),
            webhooks=said,
            settings=settings,
        )
        await running.enter_async_context(cleanups.running())
        webhooks = LiveKitWebhooks(
            state=state,
            events=ProcessChannel(),
            rooms=rooms,
            spawner=DispatchSpawner(rooms),
            endings=cleanups,
            settings=settings,
        )
        await running.enter_async_context(webhooks.running())
        made = Orchestrated(livekit, state, rooms, cleanups, webhooks, settings, said)
        await running.enter_async_context(_receiving(made, hooked.port))
        yield made


@asynccontextmanager
async def _receiving(orchestrated: Orchestrated, port: int) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_post("/webhook/livekit", orchestrated.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield
    finally:
        await runner.cleanup()


async def test_a_person_who_hangs_up_ends_their_session_by_livekits_webhook(orchestrated):
    record = await orchestrated.start(with_agent=False)
    async with orchestrated.joining(record):
        await until(lambda: _is_connected(orchestrated, record))
    began = time.monotonic()
    await until(lambda: orchestrated.is_gone(record))
    assert time.monotonic() - began < 3


async def test_a_receiver_that_fails_at_first_gets_the_event_again(orchestrated):
    record = await orchestrated.start(with_agent=False)
    async with orchestrated.joining(record):
        await until(lambda: _is_connected(orchestrated, record))
        orchestrated.failures = 2
    await until(lambda: orchestrated.is_gone(record), timeout_s=10)
    assert orchestrated.failures == 0


async def test_an_old_token_does_not_bring_an_ended_session_back(orchestrated):
    record = await orchestrated.start(with_agent=False)
    report = await orchestrated.cleanups.end(record.id, Reason.CLIENT_DISCONNECT, asked_by="end")
    assert report.errors == []
    token = access_token(orchestrated.livekit, ALICE, record.room)
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{orchestrated.livekit.url}/rtc?access_token={token}") as joined,
    ):
        await joined.receive(timeout=5)
        await until(lambda: orchestrated.is_gone(record), timeout_s=1)
    assert "room_started" in orchestrated.came


async def test_ending_a_conversation_takes_its_room_and_its_job_within_a_second(
    orchestrated, worker
):
    idle = _jobs(worker)
    record = await orchestrated.start(with_agent=True)
    async with orchestrated.watched(), orchestrated.joining(record):
        await until(lambda: orchestrated.has_status(record, SessionStatus.READY), timeout_s=20)
        began = time.monotonic()
        report = await orchestrated.cleanups.end(
            record.id, Reason.CLIENT_DISCONNECT, asked_by="end"
        )
        assert time.monotonic() - began < 1
    assert report.errors == []
    assert report.room_deleted
    assert report.process_killed
    assert await orchestrated.is_gone(record)
    await until(lambda: _are_gone(idle))


async def test_a_person_whose_agent_was_never_sent_gets_one_from_the_watchdog(orchestrated, worker):
    record = await orchestrated.start(with_agent=False)
    async with orchestrated.watched(READY_WITHIN_S="1"), orchestrated.joining(record):
        began = time.monotonic()
        await until(lambda: orchestrated.has_status(record, SessionStatus.READY), timeout_s=20)
        assert time.monotonic() - began < 10
        present = await orchestrated.rooms.present(record.room)
        assert sum(each.is_agent for each in present) == 1
        await orchestrated.cleanups.end(record.id, Reason.CLIENT_DISCONNECT, asked_by="end")
    assert await orchestrated.is_gone(record)


def _jobs(worker: Worker) -> list[psutil.Process]:
    """The process that waits for a job now: the next job is its."""
    return [
        each
        for each in psutil.Process(worker.pid).children(recursive=True)
        if "job_proc" in " ".join(each.cmdline()) or "forkserver" in " ".join(each.cmdline())
    ]


async def _are_gone(processes: list[psutil.Process]) -> bool:
    return any(not each.is_running() for each in processes)


async def _is_connected(orchestrated: Orchestrated, record: SessionRecord) -> bool:
    found = await orchestrated.state.records.get(record.id)
    return found is not None and found.connected_at > 0
