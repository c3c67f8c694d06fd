"""Whatever is killed, restarted, lost or forged: nothing of a session is left."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from livekit import api

from devstack.development import Development, development
from devstack.for_pytest import skip_where_unavailable
from devstack.participant import Participant, access_token
from devstack.ports import free_port
from devstack.servers.orchestrator import Orchestrator, webhook_url
from devstack.waiting import eventually
from sessions.naming import ROOM_MARK, ROOM_PREFIX, new_session_id
from tests import leaks
from tests.e2e.blockable_agent import BLOCK
from tests.faults.proxy import FaultyProxy, Mode
from tests.faults.session_traces import Session, Sessions, note

pytestmark = pytest.mark.timeout(300)

COOPERATIVE_S = 3.0
FORCED_S = 9.0
RECONCILED_S = 20.0
"""Upper bounds that hold on a busy machine too; the table at the end has the real figures."""

BLOCKABLE_AGENT = Path(__file__).parents[1] / "e2e/blockable_agent.py"

SETTINGS = {
    "RECONNECT_GRACE_S": "1",
    "RECONCILE_EVERY_S": "2",
    "RECONCILE_AGE_S": "3",
    "HEARTBEAT_S": "1",
    "RATE_LIMIT": "10000/minute",
    "IDLE_PROCESSES": "2",
    # Twenty agents at once take longer than 6 s to start on two cores; none is sent twice for it.
    "READY_WITHIN_S": "60",
}


@pytest.fixture(scope="module")
def webhooks() -> Iterator[tuple[FaultyProxy, int]]:
    """What stands between LiveKit and the orchestrator's webhook, and the orchestrator's port."""
    port = free_port()
    with ExitStack() as running:
        with leaks.shared():
            upstream = f"http://127.0.0.1:{port}"
            proxy = running.enter_context(FaultyProxy(upstream, is_shared=True))
        yield proxy, port


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sessions") / "data"


@pytest.fixture(scope="module")
def stack(
    webrtc: None, webhooks: tuple[FaultyProxy, int], data_folder: Path
) -> Iterator[Development]:
    """A stack of this module's own, as its parts are killed."""
    proxy, port = webhooks
    settings = {**SETTINGS, "DATA_DIR": str(data_folder)}
    at = webhook_url(int(proxy.url.rpartition(":")[2]))
    with ExitStack() as running:
        with skip_where_unavailable(), leaks.shared():
            made = development(
                settings,
                port=port,
                webhooks_at=at,
                persistent_redis=True,
                entrypoint=BLOCKABLE_AGENT,
            )
            stack = running.enter_context(made)
        yield stack


@pytest.fixture
async def sessions(stack: Development) -> AsyncIterator[Sessions]:
    made = Sessions(stack)
    yield made
    await made.aclose()


@pytest.fixture
def name() -> str:
    """Somebody whom no other test knows."""
    return f"{uuid.uuid4().hex[:12]}@example.com"


async def restarted(server: Any, between: float = 0.0) -> None:
    """Kill a server, and start it again."""
    server.kill()
    await asyncio.sleep(between)
    with leaks.shared():
        await asyncio.to_thread(server.start)


# --- ends


async def test_an_end_leaves_nothing(sessions, name):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        since = time.monotonic()
        report = await sessions.end(session)
        note("ended by request", await sessions.gone(session, since=since, within_s=COOPERATIVE_S))
        await asyncio.wait_for(person.disconnected.wait(), 5)
    assert report["process_killed"], report
    assert report["room_deleted"], report
    assert report["redis_cleaned"], report
    assert report["errors"] == []


async def test_an_end_while_the_agent_is_on_its_way_is_no_forced_one(sessions):
    longest = 0.0
    for after_s in (0.1, 0.2, 0.3, 0.4, 0.5):
        since = time.monotonic() + after_s
        session = await begun_and_ended(sessions, after_s)
        times = await sessions.gone(session, since=since, within_s=COOPERATIVE_S)
        longest = max(longest, *times.values())
    note("ended 0.1 to 0.5 s after its start, the longest", dict.fromkeys(times, longest))
    assert longest < COOPERATIVE_S


async def test_a_person_who_leaves_leaves_nothing(sessions, name):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
    since = time.monotonic()
    note("the person left", await sessions.gone(session, since=since, within_s=RECONCILED_S))


async def test_a_session_whose_webhooks_are_lost_ends_as_well(sessions, name, webhooks):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        webhooks[0].set(Mode.REFUSE)
    since = time.monotonic()
    try:
        times = await sessions.gone(session, since=since, within_s=RECONCILED_S)
    finally:
        webhooks[0].set(Mode.PASS)
    note("the person left, every webhook lost", times)


# --- the agent's process


async def test_an_agent_that_is_killed_is_replaced_and_its_session_leaves_nothing(sessions, name):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await person.ask("Hello, my name is Anna.")
        first = await sessions.agent_process(session)
        first.kill()
        assert "Anna" in (await person.hear(20)).text
        await sessions.agent_process(session, but=first.pid)
        since = time.monotonic()
        report = await sessions.end(session)
        times = await sessions.gone(session, since=since, within_s=COOPERATIVE_S)
    note("agent killed -9 and replaced, then ended", times)
    assert report["errors"] == []


async def test_an_agent_killed_as_its_session_ends_leaves_nothing(sessions, name):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        process = await sessions.agent_process(session)
        process.kill()
        since = time.monotonic()
        report = await sessions.end(session)
        times = await sessions.gone(session, since=since, within_s=FORCED_S)
    note("agent killed -9, ended at once", times)
    assert report["process_killed"], report


async def blocked(person: Participant, sessions: Sessions, session: Session) -> None:
    """Let the person's agent ignore SIGTERM and run its loop no more, and wait until it does."""
    await person.room.local_participant.publish_data("", topic=BLOCK)
    await eventually(lambda: not sessions.redis.exists(f"agent:{session.id}:health"), 15)


def ignores_sigterm(pid: int) -> bool:
    """What the kernel says, as the process cannot say it any more (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = int(re.findall(r"^SigIgn:\s*(\w+)$", status, re.MULTILINE)[0], 16)
    return bool(ignored & 1 << (signal.SIGTERM - 1))


async def test_an_agent_that_ignores_sigterm_and_blocks_its_loop_is_ended(sessions, name):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        process = await sessions.agent_process(session)
        await person.room.local_participant.publish_data("", topic=BLOCK)
        await eventually(lambda: ignores_sigterm(process.pid))
        since = time.monotonic()
        report = await sessions.end(session)
        times = await sessions.gone(session, since=since, within_s=FORCED_S)
    note("agent ignores SIGTERM and blocks its loop, ended", times)
    assert report["process_killed"], report
    assert not report["process_exited"], report
    assert report["errors"] == []


async def test_an_agent_that_hangs_in_mid_conversation_is_ended_and_replaced(sessions, name):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await person.ask("Hello, my name is Anna.")
        first = await sessions.agent_process(session)
        await blocked(person, sessions, session)
        assert "Anna" in (await person.hear(20)).text
        await sessions.agent_process(session, but=first.pid)
        await eventually(lambda: not first.is_running(), FORCED_S)
        since = time.monotonic()
        report = await sessions.end(session)
        times = await sessions.gone(session, since=since, within_s=COOPERATIVE_S)
    note("agent hung and replaced, then ended", times)
    assert report["errors"] == []


# --- the servers


async def test_a_conversation_goes_on_while_redis_restarts_and_ends_after_it(sessions, name, stack):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        stack.stack.redis.kill()
        assert "Nice to meet you" in await person.ask("Hello, my name is Anna.")
        with leaks.shared():
            await asyncio.to_thread(stack.stack.redis.start)
        since = time.monotonic()
        report = await ended_once_redis_is_back(sessions, session)
        times = await sessions.gone(session, since=since, within_s=FORCED_S)
    note("Redis restarted in the middle, ended", times)
    assert report["redis_cleaned"], report


async def ended_once_redis_is_back(sessions: Sessions, session: Session) -> dict[str, Any]:
    """End a session; the orchestrator may need a moment to see Redis again."""
    deadline = time.monotonic() + 10
    while True:
        answer = await sessions.http.post("/api/session/end", json={"sessionId": session.id})
        if answer.status_code != 503 or time.monotonic() > deadline:
            details: dict[str, Any] = answer.raise_for_status().json()["details"]
            return details
        await asyncio.sleep(0.05)


async def test_a_session_that_redis_forgot_is_noted_again_by_its_job_and_can_be_ended(
    sessions, name
):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        sessions.redis.flushall()
        await eventually(lambda: sessions.redis.hget(f"session:{session.id}", "agentPid"), 10)
        assert "Nice to meet you" in await person.ask("Hello, my name is Anna.")
        since = time.monotonic()
        report = await sessions.end(session)
        times = await sessions.gone(session, since=since, within_s=COOPERATIVE_S)
    note("Redis lost everything, then ended", times)
    assert report["errors"] == []


async def test_a_session_whose_livekit_restarts_is_ended(sessions, name, stack):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        since = time.monotonic()
        await restarted(stack.stack.livekit)
    # A job notices that its server is gone after 23 to 28 s, if nobody tells it.
    note("LiveKit restarted", await sessions.gone(session, since=since, within_s=40))


@pytest.mark.parametrize("after_s", [0.0, 0.3, 2.0])
async def test_a_clean_up_whose_orchestrator_is_killed_is_finished_by_the_next(
    sessions, name, stack, after_s
):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        process = await sessions.agent_process(session)
        process.send_signal(signal.SIGSTOP)  # so that there is something to wait for
        since = time.monotonic()
        ending = asyncio.create_task(sessions.end(session))
        await eventually(lambda: sessions.redis.zscore("sessions:ended", session.id))
        await asyncio.sleep(after_s)
        await restarted(stack.orchestrator)
        await asyncio.gather(ending, return_exceptions=True)
        times = await sessions.gone(session, since=since, within_s=RECONCILED_S)
    note(f"stuck agent, orchestrator killed {after_s} s into its end", times)


@pytest.fixture
async def other(stack: Development, data_folder: Path) -> AsyncIterator[Orchestrator]:
    """A second orchestrator beside the stack's own."""
    shared = {"REDIS_URL": stack.stack.redis.info.url, "LIVEKIT_AGENT_NAME": ""}
    settings = {**SETTINGS, **shared, "DATA_DIR": str(data_folder)}
    made = Orchestrator(stack.livekit, settings)
    with leaks.shared():
        await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


async def test_of_two_orchestrators_one_cleans_up_and_the_other_takes_over(
    sessions, name, stack, other
):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        asked = {"sessionId": session.id}
        async with httpx.AsyncClient(base_url=other.url, timeout=30.0) as elsewhere:
            answer, report = await asyncio.gather(
                elsewhere.post("/api/session/end", json=asked), sessions.end(session)
            )
    assert answer.json()["details"] == report
    second = await sessions.start(name)
    async with sessions.person(second) as person:
        await person.hear()
        process = await sessions.agent_process(second)
        process.send_signal(signal.SIGSTOP)  # so that there is something to wait for
        since = time.monotonic()
        ending = asyncio.create_task(sessions.end(second))
        await eventually(lambda: sessions.redis.zscore("sessions:ended", second.id))
        stack.orchestrator.kill()
        times = await sessions.gone(second, since=since, within_s=FORCED_S)
        await asyncio.gather(ending, return_exceptions=True)
    with leaks.shared():
        await asyncio.to_thread(stack.orchestrator.start)
    note("stuck agent, its orchestrator killed, finished by another", times)


# --- what is none of ours


async def test_rooms_and_agents_of_others_on_the_same_livekit_are_left_alone(sessions, name, stack):
    theirs = f"{ROOM_PREFIX}of-another-application-{uuid.uuid4().hex}"
    developers = f"somebody-develops-{uuid.uuid4().hex}"
    dispatch = api.RoomAgentDispatch(agent_name="")
    for room, agents in ((theirs, []), (developers, [dispatch])):
        request = api.CreateRoomRequest(name=room, empty_timeout=300, agents=agents)
        await sessions.livekit.room.create_room(request)
    async with Participant(stack.livekit, access_token(stack.livekit, name, developers)) as person:
        await person.hear()
        orphan = new_session_id()  # ours, which the reconciler ends once it is old enough
        mark = json.dumps({"by": ROOM_MARK, "session": orphan, "creator": ""})
        request = api.CreateRoomRequest(name=orphan, metadata=mark, empty_timeout=300)
        await sessions.livekit.room.create_room(request)
        await sessions.gone(Session(orphan, ""), since=time.monotonic(), within_s=RECONCILED_S)
        assert {theirs, developers} <= await sessions.rooms()
        assert "Nice to meet you" in await person.ask("Hello, my name is Anna.")
    await sessions.livekit.room.delete_room(api.DeleteRoomRequest(room=theirs))


# --- webhooks


def event(name: str, session: Session, **more: Any) -> str:
    return json.dumps(
        {
            "event": name,
            "id": f"EV_{uuid.uuid4().hex}",
            "createdAt": str(int(time.time())),
            "room": {"name": session.id, "sid": "RM_x"},
            **more,
        }
    )


async def post(sessions: Sessions, body: str, secret: str | None = None) -> int:
    headers = {"Content-Type": "application/webhook+json"}
    if secret is not None:
        digest = hmac.new(secret.encode(), body.encode(), hashlib.sha256)
        headers["X-LiveKit-Signature"] = digest.hexdigest()
    answer = await sessions.http.post("/webhook/livekit", content=body, headers=headers)
    return answer.status_code


async def test_webhooks_that_are_forged_repeated_or_out_of_order_harm_nobody(sessions, name, stack):
    session = await sessions.start(name)
    secret = stack.livekit.api_secret
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        left = event("participant_left", session, participant={"identity": name})
        finished = event("room_finished", session)
        for body in (left, finished):
            assert await post(sessions, body) == 401
            assert await post(sessions, body, "another secret") == 401
            assert [await post(sessions, body, secret) for _ in range(3)] == [200, 200, 200]
        await asyncio.sleep(2)  # longer than the grace time of these tests
        assert await person.ask("Hello, my name is Anna.")
        since = time.monotonic()
        await sessions.end(session)
        times = await sessions.gone(session, since=since, within_s=COOPERATIVE_S)
        for body in (left, finished, event("participant_joined", session)):
            assert await post(sessions, body, secret) == 200
    assert not any((await sessions.left(session)).values())
    note("forged, repeated, reordered webhooks, then ended", times)


async def test_an_old_token_does_not_bring_an_ended_session_back(sessions, name, stack):
    session = await sessions.start(name)
    async with sessions.person(session) as person:
        await person.hear()
        await sessions.agent_process(session)
        await sessions.end(session)
    # Not the SDK, which tries again for a minute as the room is deleted under it.
    url, given = f"{stack.livekit.url}/rtc", {"access_token": session.token, "protocol": "15"}
    since = time.monotonic()
    async with aiohttp.ClientSession() as http, http.ws_connect(url, params=given) as signal_only:
        assert not signal_only.closed
        times = await sessions.gone(session, since=since, within_s=COOPERATIVE_S)
        await asyncio.sleep(1.0)  # in which a job that was dispatched would have come
        assert not any((await sessions.left(session)).values())
    note("joined again with an old token", times)


# --- many


async def in_and_out(sessions: Sessions) -> Session:
    session = await sessions.start(f"{uuid.uuid4().hex[:12]}@example.com")
    async with sessions.person(session) as person:
        await person.hear(120)
        await sessions.agent_process(session)
        await sessions.end(session)
    return session


async def begun_and_ended(sessions: Sessions, after_s: float) -> Session:
    """End a session however far its agent has come after some seconds."""
    session = await sessions.start(f"{uuid.uuid4().hex[:12]}@example.com")
    await asyncio.sleep(after_s)
    report = await sessions.end(session)
    assert report["redis_cleaned"], report
    return session


async def test_twenty_sessions_at_once_leave_nothing_wherever_they_are_ended(sessions, data_folder):
    many = await asyncio.gather(*(begun_and_ended(sessions, n * 0.1) for n in range(20)))
    since = time.monotonic()
    times = await sessions.gone(*many, since=since, within_s=FORCED_S)
    await eventually(lambda: not registered(data_folder), FORCED_S)
    note("20 at once, each ended 0 to 2 s after its start", times)


def registered(data_folder: Path) -> list[str]:
    """The processes that have registered themselves on this host and have not ended."""
    folder = data_folder / "agents"
    return sorted(each.name for each in folder.glob("*.json"))


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_twenty_conversations_at_once_leave_nothing(sessions):
    going = (in_and_out(sessions) for _ in range(20))
    ended = await asyncio.gather(*going, return_exceptions=True)
    many = [each for each in ended if isinstance(each, Session)]
    assert [each for each in ended if not isinstance(each, Session)] == []
    times = await sessions.gone(*many, since=time.monotonic(), within_s=FORCED_S)
    note("20 conversations at once", times)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_a_hundred_sessions_in_a_row_leave_nothing(sessions):
    many = [await in_and_out(sessions) for _ in range(100)]
    times = await sessions.gone(*many, since=time.monotonic(), within_s=FORCED_S)
    note("100 in a row", times)
