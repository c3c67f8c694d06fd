"""Agents that Celery workers run: one a session, and each ends for certain."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, replace

import psutil
import pytest
from livekit import api

from config import PROJECT_ROOT, ConfigError, Settings
from devstack.participant import Participant, access_token
from devstack.servers.celery import CeleryWorker
from devstack.servers.livekit import LiveKitInfo, LiveKitServer
from memory import open_memory_store
from orchestrator.ending.adopting import adopt
from orchestrator.errors import UnavailableError
from orchestrator.join_tokens import JoinTokens
from orchestrator.rooms import Rooms
from orchestrator.spawners.celery import CelerySpawner
from orchestrator.spawners.celery_settings import configuration
from session_context import livekit_identity_to_uuid
from sessions import Gone, SessionRecord, SessionState
from sessions.in_redis import RedisSessionState
from sessions.naming import new_session_id, now_ms
from storage import open_storage
from tests import leaks
from tests.orchestrator.ending_world import a_session
from tests.services import started

APPLICATION = "orchestrator.spawners.celery_app"
READY_S = 60.0
"""For a machine that is busy with other tests; an idle one needs three."""

GONE_S = 6.0
"""Within which an agent's process is gone, whatever ends it."""


@dataclass
class World:
    """A LiveKit server, Redis, and what the orchestrator has to start agents by Celery."""

    livekit: LiveKitInfo
    rooms: Rooms
    state: SessionState
    spawner: CelerySpawner
    variables: dict[str, str]

    async def session(self, **fields) -> SessionRecord:
        """A session that has its room, and no agent yet."""
        session_id = new_session_id()
        identity = fields.pop("identity", None) or f"{uuid.uuid4().hex[:8]}@example.com"
        record = SessionRecord(
            id=session_id,
            room=session_id,
            identity=identity,
            user_id=livekit_identity_to_uuid(identity),
            creator="test",
            start_time=now_ms(),
            dispatches=1,
            **fields,
        )
        await self.state.records.add(record, ttl_s=600)
        await self.rooms.create(record, with_agent=False)
        return record

    def joins(self, record: SessionRecord) -> Participant:
        return Participant(self.livekit, access_token(self.livekit, record.identity, record.room))

    async def agents(self, record: SessionRecord) -> list[str]:
        present = await self.rooms.present(record.room)
        return [each.identity for each in present if each.is_ready_agent]

    async def agent_of(self, record: SessionRecord) -> psutil.Process:
        """The process of a session's agent, once the agent is ready."""
        await until(lambda: self.agents(record), within_s=READY_S)
        found = await self.state.records.get(record.id)
        assert found is not None
        return psutil.Process(found.agent_pid)

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[tuple[SessionRecord, psutil.Process]]:
        """A session whose person is there and whose agent is ready, and the agent's process."""
        record = await self.session()
        await self.spawner.spawn(record, attempt=1)
        async with self.joins(record):
            yield record, await self.agent_of(record)


async def until(true: Callable[[], Awaitable[object]], *, within_s: float = GONE_S) -> None:
    deadline = time.monotonic() + within_s
    while not await true():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.05)


async def is_gone(process: psutil.Process) -> None:
    """Wait until a process is gone; who started it may be gone as well."""

    async def gone() -> bool:
        try:
            return process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    await until(gone)


@pytest.fixture(scope="session")
def celery_livekit(webrtc: None) -> Iterator[LiveKitInfo]:
    server = started(LiveKitServer)
    yield server.info
    server.stop()


@asynccontextmanager
async def a_world(variables: Mapping[str, str], livekit: LiveKitInfo) -> AsyncIterator[World]:
    settings = Settings.from_environment(variables)
    state = RedisSessionState(settings.sessions.redis_url or "", fence_s=600)
    spawner = CelerySpawner(settings, state)
    try:
        async with api.LiveKitAPI(livekit.url, livekit.api_key, livekit.api_secret) as asked:
            rooms = Rooms(asked, agent_name="", reconnect_grace_s=30)
            yield World(livekit, rooms, state, spawner, dict(variables))
    finally:
        await state.aclose()


@pytest.fixture(scope="session")
def variables(
    celery_livekit: LiveKitInfo, redis: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return {
        "LIVEKIT_URL": celery_livekit.url,
        "LIVEKIT_API_KEY": celery_livekit.api_key,
        "LIVEKIT_API_SECRET": celery_livekit.api_secret,
        "REDIS_URL": redis,
        "SPAWNER": "celery",
        "TERM_GRACE_S": "3",
        "ALLOW_SCRIPTED_MODEL": "true",
        "ENV_FILE": "/dev/null",
        "DATA_DIR": str(tmp_path_factory.mktemp("celery") / "data"),
    }


@pytest.fixture
async def world(variables: dict[str, str], celery_livekit: LiveKitInfo) -> AsyncIterator[World]:
    async with a_world(variables, celery_livekit) as made:
        yield made


@pytest.fixture(scope="session")
def lasting_worker(variables: dict[str, str]) -> Iterator[CeleryWorker]:
    """A Celery worker for all tests that leave it as it is."""
    with leaks.shared():
        worker = CeleryWorker(APPLICATION, variables).start()
    yield worker
    worker.stop()


async def test_an_agent_that_celery_brings_serves_the_person_and_remembers_them(
    world, lasting_worker
):
    record = await world.session(opening_line="Hello from the record.")
    task_id = await world.spawner.spawn(record, attempt=1)
    async with world.joins(record) as person:
        assert (await person.hear(READY_S)).text == "Hello from the record."
        process = await world.agent_of(record)
        found = await world.state.records.get(record.id)
        assert found.celery_task_id == task_id
        assert found.agent_pid in {
            each.pid for each in psutil.Process(lasting_worker.pid).children(recursive=True)
        }
        await person.ask("My favorite color is teal.")
    await is_gone(process)
    storage = open_storage(Settings.from_environment(world.variables).store)
    with closing(storage):
        kept = open_memory_store(storage).list_memories(record.user_id, None, 50)
    assert any("teal" in memory.value for memory in kept)


async def test_who_joins_with_a_token_gets_their_agent_from_celery(world, lasting_worker):
    record = a_session(identity="dora@example.com", opening_line="Hello from the token.")
    tokens = JoinTokens(world.livekit.api_key, world.livekit.api_secret)
    asked = world.rooms.configuration(record, agent_name=None)
    token = tokens.make(room=record.room, identity=record.identity, room_config=asked)

    async def adopted() -> bool:
        return await adopt(
            record.room,
            state=world.state,
            rooms=world.rooms,
            spawner=world.spawner,
            settings=Settings.from_environment(world.variables),
        )

    async with Participant(world.livekit, token) as person:
        await until(adopted, within_s=READY_S)
        assert (await person.hear(READY_S)).text == "Hello from the token."
        process = await world.agent_of(record)
    await is_gone(process)


async def test_a_revoked_task_ends_its_agent(world, lasting_worker):
    async with world.conversation() as (record, process):
        assert await world.spawner.revoke(await world.state.records.get(record.id))
        await is_gone(process)


async def test_an_agent_that_hears_no_signal_is_killed(world, lasting_worker):
    async with world.conversation() as (record, process):
        process.suspend()
        assert await world.spawner.revoke(await world.state.records.get(record.id))
        await is_gone(process)

    async def reported() -> bool:
        return await world.state.agents.how_gone(record.id) is Gone.KILLED

    await until(reported)


async def test_a_session_that_ends_takes_its_agent_along_though_nobody_revokes_its_task(
    world, lasting_worker
):
    async with world.conversation() as (record, process):
        await world.state.records.fence(record.id)
        await is_gone(process)


async def test_a_task_that_is_delivered_twice_makes_one_agent(world, lasting_worker):
    async def refused() -> bool:
        return "is taken or has ended" in lasting_worker.log()

    async with world.conversation() as (record, process):
        await world.spawner.spawn(record, attempt=1)
        await until(refused)
        assert len(await world.agents(record)) == 1
        assert process.is_running()
        await world.rooms.delete(record.room)
        await is_gone(process)


async def test_a_session_that_ended_before_its_task_ran_gets_no_process(world, lasting_worker):
    record = await world.session()
    await world.state.records.fence(record.id)
    await world.spawner.spawn(record, attempt=1)

    async def refused() -> bool:
        return "not wanted" in lasting_worker.log()

    await until(refused)
    found = await world.state.records.get(record.id)
    assert found.agent_pid == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
async def test_a_celery_worker_that_is_ended_takes_its_agents_along(
    variables, celery_livekit, redis, number
):
    broker = redis.replace("/0", f"/{int(number)}")  # which no other worker listens to
    its_own = {**variables, "CELERY_BROKER_URL": broker, "IDLE_PROCESSES": "0"}
    with CeleryWorker(APPLICATION, its_own, concurrency=1) as worker:
        async with a_world(its_own, celery_livekit) as world, world.conversation() as (_, process):
            worker.signal(number)
            await is_gone(process)


async def test_an_agent_ends_when_the_main_process_of_its_worker_is_killed(
    variables, celery_livekit, redis, tmp_path
):
    broker = redis.replace("/0", "/9")
    its_own = {**variables, "CELERY_BROKER_URL": broker, "IDLE_PROCESSES": "0"}
    command = [sys.executable, "-m", "celery", "-A", APPLICATION, "worker", "--concurrency", "1"]
    with (tmp_path / "celery.log").open("wb") as log:  # not by devstack, which kills the group
        main = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env={**os.environ, **its_own},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    below: list[psutil.Process] = []
    try:
        async with a_world(its_own, celery_livekit) as world:
            await until(world.spawner.is_available, within_s=READY_S)
            async with world.conversation():
                below = psutil.Process(main.pid).children(recursive=True)
                main.kill()
                for each in below:
                    await is_gone(each)
    finally:
        for each in below:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        main.kill()
        main.wait()


async def test_a_pool_process_that_is_killed_takes_its_agent_along(world, lasting_worker):
    async with world.conversation() as (_, process):
        process.parent().kill()
        await is_gone(process)


async def test_a_worker_answers_for_availability_and_nobody_else_does(world, lasting_worker):
    assert await world.spawner.is_available()


async def test_without_a_worker_celery_is_not_available(variables, celery_livekit, redis):
    elsewhere = {**variables, "CELERY_BROKER_URL": redis.replace("/0", "/5")}
    async with a_world(elsewhere, celery_livekit) as world:
        assert not await world.spawner.is_available()


async def test_a_lost_broker_is_said_within_seconds(variables, celery_livekit):
    lost = {**variables, "CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
    async with a_world(lost, celery_livekit) as world:
        record = await world.session()
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            await world.spawner.spawn(record, attempt=1)
        assert not await world.spawner.is_available()
        with pytest.raises(UnavailableError):
            await world.spawner.revoke(replace(record, celery_task_id="any"))
        assert time.monotonic() - began < 9


async def test_a_broker_that_keeps_silent_is_said_within_seconds(variables, celery_livekit):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        async with a_world({**variables, "CELERY_BROKER_URL": broker}, celery_livekit) as world:
            record = await world.session()
            began = time.monotonic()
            with pytest.raises(UnavailableError):
                await world.spawner.spawn(record, attempt=1)
            assert time.monotonic() - began < 5
            assert not await world.spawner.is_available()


def test_celery_needs_redis_for_the_state_of_sessions():
    with pytest.raises(ConfigError, match="REDIS_URL"):
        configuration(Settings.from_environment({}))


def test_celery_takes_json_only(variables):
    assert configuration(Settings.from_environment(variables))["accept_content"] == ["json"]
