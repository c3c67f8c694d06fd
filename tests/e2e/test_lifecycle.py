"""Jobs begin, wait, end and are counted as an operator expects."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import anyio
import httpx
import psutil
import pytest
from livekit import api

from devstack.participant import Participant
from devstack.ports import free_port
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from tests.e2e.conftest import Deployment, deployment

HANGING_AGENT = Path(__file__).with_name("hanging_agent.py")
SOAK = os.environ.get("SOAK") == "true"


def records(running: Deployment) -> list[dict[str, object]]:
    """The worker's log, as the records that it is."""
    return [json.loads(line) for line in running.worker.log().splitlines() if line[:1] == "{"]


async def job_process(running: Deployment, agent_identity: str) -> psutil.Process:
    """The process of the job whose agent somebody has heard."""
    job = agent_identity.removeprefix("agent-")

    def pid() -> object:
        mine = [r for r in records(running) if r.get("job_id") == job]
        return next((r["pid"] for r in mine if r["message"] == "[ENTRYPOINT]"), None)

    return psutil.Process(int(str(await eventually(pid))))


async def dispatch(running: Deployment, room: str, metadata: str = "") -> None:
    """Send an agent to a room, whoever is in it."""
    info = running.livekit
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as server:
        agent = api.RoomAgentDispatch(agent_name="", metadata=metadata)
        await server.room.create_room(api.CreateRoomRequest(name=room, agents=[agent]))


async def people_in(running: Deployment, room: str) -> dict[str, api.ParticipantInfo]:
    """Everybody whom the server sees in a room, agents included, by identity."""
    info = running.livekit
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as server:
        there = await server.room.list_participants(api.ListParticipantsRequest(room=room))
        return {each.identity: each for each in there.participants}


async def rooms(running: Deployment) -> list[str]:
    """The names of all rooms that the server has."""
    info = running.livekit
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as server:
        return [room.name for room in (await server.room.list_rooms(api.ListRoomsRequest())).rooms]


async def agents_in(running: Deployment, room: str) -> int:
    """How many agents the server sees in a room."""
    there = (await people_in(running, room)).values()
    return sum(each.kind == api.ParticipantInfo.Kind.AGENT for each in there)


async def test_a_job_is_gone_soon_after_its_person_has_left(sqlite_deployment, identity, new_room):
    async with sqlite_deployment.join(identity, new_room()) as person:
        agent = (await person.hear()).speaker
        process = await job_process(sqlite_deployment, agent)
    await eventually(lambda: not process.is_running())


async def test_sigterm_ends_a_job_in_order_with_what_was_said_kept(
    sqlite_deployment, identity, new_room
):
    room = new_room()
    async with sqlite_deployment.join(identity, room) as person:
        agent = (await person.hear()).speaker
        process = await job_process(sqlite_deployment, agent)
        await person.ask("I love hiking")
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: not process.is_running())
        assert await agents_in(sqlite_deployment, room) == 0
    assert sqlite_deployment.said(identity) == ["I love hiking"]
    # A job's last lines come to the log by way of its worker.
    log = sqlite_deployment.worker.log
    await eventually(lambda: "job received SIGTERM; shutting down" in log())


async def test_a_job_that_hangs_at_its_end_is_ended_at_its_deadline(
    worker_settings, identity, new_room
):
    settings = {**worker_settings, "JOB_SHUTDOWN_TIMEOUT_S": "0.5"}
    with deployment(settings, entrypoint=HANGING_AGENT) as running:
        async with running.join(identity, new_room()) as person:
            agent = (await person.hear()).speaker
            process = await job_process(running, agent)
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: not process.is_running())


async def test_an_idle_process_ends_on_sigterm_and_is_replaced(worker_settings, identity, new_room):
    with deployment(worker_settings) as running:
        idle = await eventually(lambda: _idle_processes(running))
        for process in idle:
            process.send_signal(signal.SIGTERM)
        await eventually(lambda: not any(process.is_running() for process in idle))
        async with running.join(identity, new_room()) as person:
            assert (await person.hear()).text


def _idle_processes(running: Deployment) -> list[psutil.Process]:
    pids = [r["pid"] for r in records(running) if r["message"] == "process initialized"]
    return [psutil.Process(int(str(pid))) for pid in pids if psutil.pid_exists(int(str(pid)))]


async def test_a_job_to_which_nobody_comes_ends_and_says_so(worker_settings, new_room):
    with deployment({**worker_settings, "PARTICIPANT_TIMEOUT_S": "0.5"}) as running:
        room = new_room()
        await dispatch(running, room)
        await eventually(lambda: "nobody came; the job ends" in running.worker.log())
        await eventually(lambda: "process exiting" in running.worker.log())
        # A job leaves its room after it has told its worker that it exits.
        with anyio.fail_after(10):
            while await agents_in(running, room):  # noqa: ASYNC110 - a remote state
                await asyncio.sleep(0.02)


async def test_a_job_that_waits_for_somebody_ends_at_once_with_its_worker(
    worker_settings, tmp_path, new_room
):
    with deployment(worker_settings, dev=True, log_dir=tmp_path) as running:
        await dispatch(running, new_room())
        await eventually(lambda: "[ENTRYPOINT]" in running.worker.log())
        running.worker.stop()
        assert "did not exit in time" not in running.worker.log()
        assert "process exiting" in running.worker.log()


@pytest.mark.parametrize("metadata", ["{", '{"openingLine": 7}', "[]", "\U0001f600"])
async def test_bad_metadata_is_logged_and_the_call_goes_on(
    worker_settings, sqlite_deployment, identity, new_room, metadata
):
    room = new_room()
    await dispatch(sqlite_deployment, room, metadata)
    async with sqlite_deployment.join(identity, room) as person:
        assert "What may I call you?" in (await person.hear()).text
    await eventually(lambda: "dispatch metadata" in sqlite_deployment.worker.log())


async def _greeted(person: Participant) -> str:
    async with person:
        return (await person.hear(120)).text


@pytest.mark.parametrize(
    ("bursts", "joins"),
    [(2, 6), pytest.param(10, 20, marks=pytest.mark.soak)],
)
@pytest.mark.timeout(900)
async def test_a_burst_of_joins_gets_an_agent_each(worker_settings, new_room, bursts, joins):
    with deployment(worker_settings) as running:
        for burst in range(bursts):
            people = [running.join(f"p{burst}-{n}@example.com", new_room()) for n in range(joins)]
            greetings = await asyncio.gather(*(_greeted(person) for person in people))
            assert len(greetings) == joins


async def test_a_worker_takes_no_more_jobs_than_it_may_and_takes_the_next_when_one_ends(
    worker_settings, new_room
):
    with deployment({**worker_settings, "MAX_JOBS": "1"}) as running:
        async with running.join("first@example.com", new_room()) as first:
            process = await job_process(running, (await first.hear()).speaker)
            async with running.join("second@example.com", new_room()) as second:
                with pytest.raises(asyncio.TimeoutError):
                    await second.hear(3)
        await eventually(lambda: not process.is_running(), 30)
        # The worker tells the server of its load every 2.5 s.
        for _ in range(5):
            room = new_room()
            async with running.join("third@example.com", room) as third:
                try:
                    assert (await third.hear(3)).text
                except asyncio.TimeoutError:
                    if not _entries(running, room):
                        continue
                    assert (await third.hear()).text  # taken, and on its way
                return
        pytest.fail("after the first job had ended, no other was taken")


def _entries(running: Deployment, room: str) -> list[dict[str, object]]:
    mine = [record for record in records(running) if record.get("room") == room]
    return [record for record in mine if record["message"] == "[ENTRYPOINT]"]


async def test_the_worker_listens_on_loopback_only(sqlite_deployment):
    process = psutil.Process(sqlite_deployment.worker.pid)
    listening = {
        connection.laddr.ip
        for each in [process, *process.children(recursive=True)]
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


async def test_the_metrics_of_all_jobs_are_served_where_the_operator_wants_them(
    worker_settings, new_room
):
    port = free_port()
    with deployment({**worker_settings, "PROMETHEUS_PORT": str(port)}) as running:
        for identity in ("anna@example.com", "bob@example.com"):
            async with running.join(identity, new_room()) as person:
                agent = (await person.hear()).speaker
                process = await job_process(running, agent)
                await person.ask("I love hiking")
                await person.ask("uh")
            await asyncio.to_thread(process.wait, 30)
        metrics = await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/metrics")
    counted = dict(re.findall(r"^(\S+) ([0-9.]+)$", metrics.text, re.MULTILINE))
    assert counted['voice_agent_turns_total{result="stored"}'] == "2.0"
    assert counted['voice_agent_turns_total{result="filler"}'] == "2.0"
    assert "anna" not in metrics.text


async def test_no_metrics_are_served_unless_the_operator_wants_them(sqlite_deployment):
    process = psutil.Process(sqlite_deployment.worker.pid)
    ports = {
        connection.laddr.port
        for each in [process, *process.children(recursive=True)]
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    for port in ports:
        answer = await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == httpx.codes.NOT_FOUND


async def test_the_log_has_the_tags_that_operators_know_and_nothing_personal(
    sqlite_deployment, identity, new_room
):
    async with sqlite_deployment.join(identity, new_room()) as person:
        agent = (await person.hear()).speaker
        await person.ask("I love playing the theremin")
    job = agent.removeprefix("agent-")
    await eventually(lambda: "theremin" in " ".join(sqlite_deployment.values(identity)))
    tags = {
        "[ENTRYPOINT]",
        "[SESSION] using session user",
        "[PROFILE CREATE]",
        "[SESSION INIT]",
        "[USER INPUT]",
        "[MEMORY CATEGORIZATION]",
        "[MEMORY STORED]",
    }

    def mine() -> list[dict[str, object]]:
        return [record for record in records(sqlite_deployment) if record.get("job_id") == job]

    # Logged once it is stored, and come to the log by way of the worker.
    await eventually(lambda: tags <= {str(record["message"]) for record in mine()})
    assert not [record for record in mine() if identity in str(record) or "theremin" in str(record)]


async def test_in_development_the_log_says_what_was_said_and_who_said_it(
    worker_settings, identity, new_room
):
    with deployment(worker_settings, dev=True) as running:
        async with running.join(identity, new_room()) as person:
            await person.hear()
            await person.ask("I love playing the theremin")
        await eventually(lambda: "I love playing the theremin" in running.worker.log())
        assert identity in running.worker.log()


async def test_the_line_of_a_sessions_start_says_what_an_operator_looks_for(
    sqlite_deployment, identity, new_room
):
    room = new_room()
    async with sqlite_deployment.join(identity, room) as person:
        await person.hear()
        sid = person.room.local_participant.sid
        (start,) = await eventually(lambda: _session_inits(sqlite_deployment, room))
    assert start["participant_sid"] == sid
    assert start["user_uuid"] == livekit_identity_to_uuid(identity)
    assert start["profile_ready"] is True
    assert start["started"] is True
    assert identity not in str(start)


async def test_where_personal_data_may_be_logged_the_line_of_a_sessions_start_names_the_person(
    worker_settings, identity, new_room
):
    room = new_room()
    with deployment({**worker_settings, "LOG_PERSONAL_DATA": "true"}) as running:
        async with running.join(identity, room) as person:
            await person.hear()
            (start,) = await eventually(lambda: _session_inits(running, room))
    assert start["identity"] == identity
    assert start["user_uuid"] == livekit_identity_to_uuid(identity)


def _session_inits(running: Deployment, room: str) -> list[dict[str, object]]:
    mine = [record for record in records(running) if record.get("room") == room]
    return [record for record in mine if record["message"] == "[SESSION INIT]"]
