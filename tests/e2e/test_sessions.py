"""A job's tie to its session: real worker, real LiveKit, real Redis."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import anyio
import psutil
import pytest
from livekit import api
from redis import asyncio as aioredis

from connection_events import Reason, disconnected
from connection_events.in_redis import RedisChannel
from devstack.servers.redis import RedisServer
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from sessions import Gone, SessionRecord, SessionState, SessionStatus, SessionStyle, TaskState
from sessions.in_redis import RedisSessionState
from sessions.naming import dispatch_metadata, new_session_id, now_ms, room_metadata
from tests import leaks
from tests.e2e.blockable_agent import BLOCK
from tests.e2e.conftest import PATIENT, Deployment, deployment, shared_deployment
from tests.e2e.test_lifecycle import records, rooms
from tests.services import started
from worker.processes import start_of

BLOCKABLE_AGENT = Path(__file__).with_name("blockable_agent.py")
T = TypeVar("T")
TTL_S = 600


class Sessions(NamedTuple):
    """A worker that keeps its sessions in a Redis of its own, and that Redis."""

    worker: Deployment
    redis: RedisServer


@pytest.fixture(scope="module")
def running(webrtc: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """A worker whose jobs can be blocked."""
    server = started(RedisServer)
    settings = {
        "DATA_DIR": str(tmp_path_factory.mktemp("worker") / "data"),
        "REDIS_URL": server.info.url,
        "HEARTBEAT_S": "0.3",
        "IDLE_PROCESSES": "2",
        "RECALL_DEADLINE_MS": PATIENT["RECALL_DEADLINE_MS"],
    }
    with shared_deployment(settings, entrypoint=BLOCKABLE_AGENT) as worker:
        yield Sessions(worker, server)
    server.stop()


@pytest.fixture
async def state(running: Sessions) -> AsyncIterator[SessionState]:
    made = RedisSessionState(running.redis.info.url, fence_s=600)
    yield made
    await made.aclose()


@pytest.fixture
async def raw(running: Sessions) -> AsyncIterator[aioredis.Redis]:
    made: aioredis.Redis = aioredis.from_url(running.redis.info.url, decode_responses=True)
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


async def send_agent(worker: Deployment, record: SessionRecord, *, attempt: int = 1) -> None:
    """Send an agent to the session's room, which is made where it is not there."""
    info = worker.livekit
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as server:
        told = dispatch_metadata(record, attempt=attempt)
        if record.room not in await rooms(worker):
            agent = api.RoomAgentDispatch(metadata=told)
            marked = room_metadata(record)
            await server.room.create_room(
                api.CreateRoomRequest(name=record.room, metadata=marked, agents=[agent])
            )
        else:
            await server.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(room=record.room, metadata=told)
            )


async def _has_no_room(worker: Deployment, room: str) -> bool:
    """LiveKit sends a room's people away before it takes the room off its list."""
    return room not in await rooms(worker)


async def delete_room(worker: Deployment, room: str) -> None:
    info = worker.livekit
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as server:
        await server.room.delete_room(api.DeleteRoomRequest(room=room))


def entered(worker: Deployment, room: str) -> list[dict[str, object]]:
    """The first log lines of the jobs of a room."""
    mine = [record for record in records(worker) if record.get("room") == room]
    return [record for record in mine if record["message"] == "[ENTRYPOINT]"]


async def pid_of(state: SessionState, record: SessionRecord) -> int:
    """The process that has the session, once there is one."""

    async def pid() -> int:
        found = await state.records.get(record.id)
        return found.agent_pid if found is not None else 0

    return await until(pid)


async def test_the_job_writes_what_the_contract_of_the_keys_says(running, state, raw, identity):
    record = a_session(identity, user_name="Alice")
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record)
    async with running.worker.join(identity, record.room) as person:
        await person.hear()
        await person.ask("I have a secret ferret")
        assert await until(lambda: raw.sismember("session:ready", record.id))
        stored = await raw.hgetall(f"session:{record.id}")
        pid = await raw.get(f"agent:{record.id}:pid")
        process = psutil.Process(int(pid))
        assert pid == stored["agentPid"] == str(process.pid)
        assert float(stored["agentStarted"]) == start_of(process.pid)
        assert stored["status"] == "ready"
        assert int(stored["connectedAt"]) >= record.start_time
        await raw.expire(f"session:{record.id}", 50)
        await until(lambda: _is_renewed(raw, f"session:{record.id}"))
        health = await raw.hgetall(f"agent:{record.id}:health")
        assert (health["pid"], health["attempt"]) == (pid, "1")
        assert abs(int(health["at"]) - now_ms()) < 2000
        assert 0 < await raw.pttl(f"agent:{record.id}:health") <= 900
        # A beat renews first, then tells what was counted, then the log lines.
        await until(lambda: _has_counted(state, record.id, 3))
        lines = await until(lambda: _tail_with(state, record.id, "[SESSION INIT]"))
        assert identity not in str(lines)
        assert "ferret" not in str(lines)
    await until(lambda: state.agents.how_gone(record.id))
    assert await state.agents.how_gone(record.id) == "exited"
    assert await raw.get(f"agent:{record.id}:pid") is None


async def _has_counted(state: SessionState, session_id: str, messages: int) -> bool:
    return (await state.agents.counts(session_id)).get("messages", 0) >= messages


async def _tail_with(
    state: SessionState, session_id: str, message: str
) -> list[dict[str, object]] | None:
    """The job's last log lines, once this one is among them."""
    lines = [json.loads(line) for line in await state.agents.logs(session_id)]
    return lines if message in [line["message"] for line in lines] else None


async def _is_renewed(raw: aioredis.Redis, key: str) -> bool:
    return int(await raw.ttl(key)) > 60


async def test_tool_calls_are_tasks_of_the_session(running, state, identity):
    record = a_session(identity)
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record)
    async with running.worker.join(identity, record.room) as person:
        await person.hear()
        await person.ask("what do you know about me?")
        (task,) = await until(lambda: state.agents.tasks(record.id, [TaskState.COMPLETED]))
    assert task.type == "list_memories"
    assert task.result_available
    assert task.created_at <= task.updated_at


async def test_reading_for_facts_in_the_background_is_a_task_of_the_session(
    running, state, identity
):
    record = a_session(identity)
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record)
    async with running.worker.join(identity, record.room) as person:
        await person.hear()
        await person.ask("I love hiking")
        (task,) = await until(lambda: state.agents.tasks(record.id, [TaskState.COMPLETED]))
    assert (task.type, task.result_available) == ("fact_extraction", True)
    assert "hiking" not in task.as_json()


async def test_a_session_of_the_token_endpoint_is_born_with_its_job(running, state, identity):
    record = a_session(identity, style=SessionStyle.ENDPOINT, voice_id="nova")
    metadata = json.loads(dispatch_metadata(record, attempt=1))
    async with running.worker.join(identity, record.room, metadata=metadata) as person:
        await person.hear()
        found = await until(lambda: state.records.get(record.id))
    assert (found.identity, found.user_id) == (identity, record.user_id)
    assert (found.creator, found.style) == (record.creator, SessionStyle.ENDPOINT)
    assert (found.room, found.voice_id, found.dispatches) == (record.room, "nova", 1)


async def test_a_room_of_no_session_leaves_nothing_in_redis(running, raw, identity, new_room):
    room = new_room()
    async with running.worker.join(identity, room) as person:
        assert (await person.hear()).text
        assert not [key async for key in raw.scan_iter(f"*{room}*")]
        assert not await raw.exists(f"session:user:{livekit_identity_to_uuid(identity)}")


@pytest.mark.parametrize("told", [True, False], ids=["with metadata", "by the room's name"])
async def test_an_old_token_brings_no_ended_session_back(running, state, identity, told):
    record = a_session(identity)
    await state.records.fence(record.id)
    metadata = json.loads(dispatch_metadata(record, attempt=1)) if told else None
    # Without a track: one that is published in a room that is deleted is waited for in vain.
    person = running.worker.join(identity, record.room, publish_track=False, metadata=metadata)
    async with person:
        await asyncio.wait_for(person.disconnected.wait(), 10)
        gone_at = time.time()
        with pytest.raises(asyncio.TimeoutError):
            await person.hear(0.2)
    (job,) = await eventually(lambda: entered(running.worker, record.room))
    began_at = datetime.fromisoformat(str(job["timestamp"]).replace("Z", "+00:00")).timestamp()
    assert gone_at - began_at < 1.0
    await until(lambda: _has_no_room(running.worker, record.room), 1.0)
    assert await state.records.get(record.id) is None


async def test_an_older_dispatch_gets_no_agent_and_the_room_stays(running, state, identity):
    record = a_session(identity, dispatches=2)
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record, attempt=1)
    async with running.worker.join(identity, record.room) as person:
        await eventually(lambda: entered(running.worker, record.room))
        with pytest.raises(asyncio.TimeoutError):
            await person.hear(2)
        await send_agent(running.worker, record, attempt=2)
        assert (await person.hear()).text


async def test_an_agent_leaves_when_a_newer_one_is_sent_which_remembers_the_person(
    running, state, identity
):
    record = a_session(identity)
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record)
    async with running.worker.join(identity, record.room) as person:
        first = (await person.hear()).speaker
        await person.ask("I love hiking")
        process = psutil.Process(await pid_of(state, record))
        await state.records.update(record.id, dispatches=2)
        await eventually(lambda: not process.is_running())
        await send_agent(running.worker, record, attempt=2)
        again = await person.hear()
        assert again.speaker != first
        assert "There you are again" in again.text
        assert "hiking" in await person.ask("Do I love hiking?")


async def test_a_killed_job_is_seen_at_once_and_another_serves_the_person(running, state, identity):
    record = a_session(identity)
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record)
    async with running.worker.join(identity, record.room) as person:
        await person.hear()
        psutil.Process(await pid_of(state, record)).kill()
        how = await until(lambda: state.agents.how_gone(record.id), 1.5)
        assert how is Gone.KILLED
        await state.records.update(record.id, dispatches=2)
        await send_agent(running.worker, record, attempt=2)
        assert (await person.hear()).text


async def test_a_job_that_blocks_and_ignores_sigterm_is_gone_within_six_seconds(
    running, state, identity
):
    record = a_session(identity)
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record)
    events = RedisChannel(running.redis.info.url, "connection_events")
    async with running.worker.join(identity, record.room) as person:
        await person.hear()
        process = psutil.Process(await pid_of(state, record))
        await person.room.local_participant.publish_data("", topic=BLOCK)
        await until(lambda: _is_silent(state, record.id))
        began_at = time.monotonic()
        await state.cleanups.claim(record.id, owner="test", reason="end", lease_s=30)
        await events.publish(disconnected(record.id, Reason.CLIENT_DISCONNECT))
        await delete_room(running.worker, record.room)
        await until(lambda: state.agents.how_gone(record.id))
        seconds = time.monotonic() - began_at
    await events.aclose()
    assert not process.is_running()
    assert 4.5 < seconds < 6
    assert await state.agents.how_gone(record.id) is Gone.KILLED
    await state.cleanups.finish(record.id, owner="test", report={})


async def _is_silent(state: SessionState, session_id: str) -> bool:
    return await state.agents.health(session_id) is None


async def test_redis_going_away_costs_nothing_and_the_record_is_back_with_it(
    running, raw, state, identity
):
    record = a_session(identity, user_name="Alice")
    await state.records.add(record, ttl_s=TTL_S)
    await send_agent(running.worker, record)
    async with running.worker.join(identity, record.room) as person:
        await person.hear()
        pid = await pid_of(state, record)
        await until(lambda: raw.sismember("session:ready", record.id))
        with without(running.redis, "gone"):
            for said in ("I love hiking", "I live in Porto"):
                asked_at = time.monotonic()
                assert await person.ask(said)
                assert time.monotonic() - asked_at < 3
            await eventually(lambda: outages(running.worker, record.room))
        found = await until(lambda: _ready(state, record.id))
        assert found is not None
        assert found.agent_pid == pid
        assert (found.user_name, found.start_time) == ("Alice", record.start_time)
        assert await raw.get(f"agent:{record.id}:pid") == str(pid)
        await until(lambda: _is_beating(state, record.id))
    assert len(outages(running.worker, record.room)) == 1


def outages(worker: Deployment, room: str) -> list[dict[str, object]]:
    """What the jobs of a room have said of Redis being away."""
    mine = [record for record in records(worker) if record.get("room") == room]
    return [record for record in mine if "out of reach" in str(record["message"])]


async def _is_beating(state: SessionState, session_id: str) -> bool:
    return await state.agents.health(session_id) is not None


async def _ready(state: SessionState, session_id: str) -> SessionRecord | None:
    found = await state.records.get(session_id)
    return found if found is not None and found.status is SessionStatus.READY else None


@contextmanager
def without(redis: RedisServer, fault: str) -> Iterator[None]:
    """Take Redis away for a while."""
    with leaks.shared():
        if fault == "gone":
            redis.kill()
        else:
            redis.freeze()
    try:
        yield
    finally:
        with leaks.shared():
            if fault == "gone":
                redis.start()
            else:
                redis.thaw()


@pytest.mark.parametrize("fault", ["gone", "hangs"])
async def test_without_redis_at_its_start_a_job_serves_and_is_known_when_redis_is_back(
    running, state, identity, fault
):
    record = a_session(identity)
    metadata = json.loads(dispatch_metadata(record, attempt=1))
    person = running.worker.join(identity, record.room, metadata=metadata)
    with without(running.redis, fault):
        began_at = time.monotonic()
        await person.__aenter__()
        assert (await person.hear()).text
        assert time.monotonic() - began_at < 4
    try:
        assert await until(lambda: _ready(state, record.id))
    finally:
        await person.__aexit__()


@pytest.fixture
def limited(
    worker_settings: dict[str, str], redis: str, request: pytest.FixtureRequest
) -> Iterator[Deployment]:
    """A worker with one limit, as either of two could come first on a busy machine."""
    with deployment({**worker_settings, "REDIS_URL": redis, **request.param}) as worker:
        yield worker


@pytest.mark.parametrize("limited", [{"SILENCE_TIMEOUT_S": "2"}], ids=["silence"], indirect=True)
async def test_who_says_nothing_is_told_so_and_the_session_ends(limited, identity, redis):
    record = a_session(identity)
    state = RedisSessionState(redis, fence_s=600)
    metadata = json.loads(dispatch_metadata(record, attempt=1))
    async with limited.join(identity, record.room, metadata=metadata) as person:
        await person.hear()
        heard_at = time.monotonic()
        assert "not heard from you" in (await person.hear()).text
        assert time.monotonic() - heard_at > 1.5
        await asyncio.wait_for(person.disconnected.wait(), 5)
    assert await state.records.has_ended(record.id)
    await until(lambda: _has_no_room(limited, record.room), 1.0)
    await state.aclose()


@pytest.mark.parametrize("limited", [{"MAX_SESSION_S": "6"}], ids=["length"], indirect=True)
async def test_a_conversation_that_is_too_long_is_ended_with_a_word(limited, identity, new_room):
    room = new_room()
    async with limited.join(identity, room) as person:
        await person.hear()
        heard = ""
        for _ in range(15):
            heard += await person.ask("uh")
            with suppress(asyncio.TimeoutError):
                heard += (await person.hear(0.5)).text
            if "time is up" in heard:
                break
        assert "time is up" in heard
        await asyncio.wait_for(person.disconnected.wait(), 5)
    await until(lambda: _has_no_room(limited, room), 1.0)
