"""A job's tie to its session: real worker, real LiveKit, real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import anyio
import psutil
import pytest
from livekit import api
from redis import asyncio as aioredis

from session_context import livekit_identity_to_uuid
from sessions import SessionRecord, SessionState
from sessions.in_redis import RedisSessionState
from sessions.naming import dispatch_metadata, new_session_id, now_ms, room_metadata
from tests.e2e.conftest import Deployment, shared_deployment

T = TypeVar("T")
TTL_S = 600


@pytest.fixture(scope="module")
def redis_deployment(
    webrtc: None, redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A worker that keeps its sessions in Redis."""
    settings = {
        "DATA_DIR": str(tmp_path_factory.mktemp("worker") / "data"),
        "REDIS_URL": redis,
        "HEARTBEAT_S": "0.3",
        "IDLE_PROCESSES": "2",
    }
    with shared_deployment(settings) as running:
        yield running


@pytest.fixture
async def state(redis: str) -> AsyncIterator[SessionState]:
    made = RedisSessionState(redis, fence_s=600)
    yield made
    await made.aclose()


@pytest.fixture
async def raw(redis: str) -> AsyncIterator[aioredis.Redis]:
    made: aioredis.Redis = aioredis.from_url(redis, decode_responses=True)
    yield made
    await made.aclose()


async def until(ask: Callable[[], Awaitable[T]], timeout_s: float = 10.0) -> T:
    """The first truthy answer."""
    with anyio.fail_after(timeout_s):
        while not (answer := await ask()):  # noqa: ASYNC110 - a remote state
            await asyncio.sleep(0.02)
    return answer


def a_session(identity: str, **fields: object) -> SessionRecord:
    session_id = new_session_id()
    return SessionRecord(
        id=session_id,
        room=session_id,
        identity=identity,
        user_id=livekit_identity_to_uuid(identity),
        creator="somebody",
        start_time=now_ms(),
        **{"dispatches": 1, **fields},  # type: ignore[arg-type]
    )


async def send_agent(running: Deployment, record: SessionRecord, *, attempt: int = 1) -> None:
    """Make the session's room with its mark, and send it an agent, as the orchestrator does."""
    info = running.livekit
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as server:
        agent = api.RoomAgentDispatch(metadata=dispatch_metadata(record, attempt=attempt))
        await server.room.create_room(
            api.CreateRoomRequest(name=record.room, metadata=room_metadata(record), agents=[agent])
        )


async def test_the_job_writes_what_the_contract_of_the_keys_says(
    redis_deployment, state, raw, identity
):
    record = a_session(identity, user_name="Alice")
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(redis_deployment, record)
    async with redis_deployment.join(identity, record.room) as person:
        await person.hear()
        await person.ask("roll a die")
        ready = await until(lambda: raw.sismember("session:ready", record.id))
        assert ready
        stored = await raw.hgetall(f"session:{record.id}")
        pid = await raw.get(f"agent:{record.id}:pid")
        process = psutil.Process(int(pid))
        assert pid == stored["agentPid"] == str(process.pid)
        assert abs(float(stored["agentStarted"]) - process.create_time()) < 1.5
        assert stored["status"] == "ready"
        assert int(stored["connectedAt"]) >= record.start_time
        await raw.expire(f"session:{record.id}", 50)
        await until(lambda: _is_renewed(raw, f"session:{record.id}"))
        health = await raw.hgetall(f"agent:{record.id}:health")
        assert health["pid"] == pid
        assert health["attempt"] == "1"
        assert abs(int(health["at"]) - now_ms()) < 2000
        assert 0 < await raw.pttl(f"agent:{record.id}:health") <= 900
        assert (await state.agents.counts(record.id))["messages"] >= 3
        lines = [json.loads(line) for line in await state.agents.logs(record.id)]
        assert "[SESSION INIT]" in [line["message"] for line in lines]
        assert identity not in str(lines)
        assert "die" not in str(lines)
    await until(lambda: state.agents.how_gone(record.id))
    assert await state.agents.how_gone(record.id) == "exited"
    assert await raw.get(f"agent:{record.id}:pid") is None


async def _is_renewed(raw: aioredis.Redis, key: str) -> bool:
    return int(await raw.ttl(key)) > 60
