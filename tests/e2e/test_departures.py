"""Somebody goes: by hanging up, by vanishing, or before the conversation has begun."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from devstack.machine import PROJECT_ROOT
from devstack.participant import access_token
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from tests.e2e.conftest import Deployment, deployment
from tests.e2e.test_lifecycle import job_process, people_in, records, rooms
from tests.faults.proxy import FaultyProxy, Mode

Vanishing = Callable[[Deployment, str, str], "subprocess.Popen[str]"]


@pytest.fixture
def vanishing() -> Iterator[Vanishing]:
    """Let somebody join as a process of their own, which a test can kill."""
    running: list[subprocess.Popen[str]] = []

    def join(to: Deployment, identity: str, room: str) -> subprocess.Popen[str]:
        token = access_token(to.livekit, identity, room)
        made = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.vanishing_person", to.livekit.url, token],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(made)
        return made

    yield join
    for process in running:
        process.kill()
        process.communicate()


async def greeted_by(person: subprocess.Popen[str]) -> str:
    """Return the agent whose greeting somebody has heard."""
    assert person.stdout is not None
    return (await asyncio.to_thread(person.stdout.readline)).strip()


async def until_the_server_notices(running: Deployment, room: str, identity: str) -> None:
    for _ in range(600):
        if identity not in await people_in(running, room):
            return
        await asyncio.sleep(0.1)
    pytest.fail("the server still believes that the killed person is there")


async def test_the_job_of_somebody_who_vanished_lives_for_the_grace_and_ends_then(
    worker_settings, vanishing, identity, new_room
):
    room = new_room()
    with deployment({**worker_settings, "RECONNECT_GRACE_S": "4"}) as running:
        person = vanishing(running, identity, room)
        agent = await greeted_by(person)
        process = await job_process(running, agent)
        person.kill()
        await until_the_server_notices(running, room, identity)
        assert agent in await people_in(running, room)
        assert process.is_running()
        await eventually(lambda: not process.is_running(), 30)
        # A job's last lines come to the log by way of its worker.
        await eventually(lambda: "did not come back" in running.worker.log())
        assert await rooms(running) == []


async def test_somebody_who_comes_back_within_the_grace_goes_on_with_the_same_agent(
    worker_settings, vanishing, identity, new_room
):
    room = new_room()
    with deployment({**worker_settings, "RECONNECT_GRACE_S": "60"}) as running:
        person = vanishing(running, identity, room)
        agent = await greeted_by(person)
        process = await job_process(running, agent)
        # When somebody was last heard of is known to a second: less would cut the greeting off.
        await asyncio.sleep(1.5)
        person.kill()
        await until_the_server_notices(running, room, identity)
        async with running.join(identity, room) as back:
            # LiveKit drops what is typed before the agent's room has the person again.
            await eventually(lambda: "the participant is back" in running.worker.log())
            await back.type("my favorite color is blue")
            answer = await back.hear()
            assert "remember" in answer.text
            assert answer.speaker == agent
        await eventually(lambda: not process.is_running(), 30)
        assert "blue" in running.values(identity)


async def test_somebody_who_leaves_while_they_are_looked_up_leaves_no_job_behind(
    worker_settings, identity, new_room
):
    room = new_room()
    with FaultyProxy("http://127.0.0.1:9") as store:
        store.set(Mode.HANG)
        settings = {
            **worker_settings,
            "SUPABASE_URL": store.url,
            "SUPABASE_SERVICE_ROLE_KEY": "key",
            "JOIN_DEADLINE_MS": "60000",
            "STORE_TIMEOUT_S": "60",
        }
        with deployment(settings) as running:
            async with running.join(identity, room):
                user = livekit_identity_to_uuid(identity)
                bound = await eventually(
                    lambda: [r for r in records(running) if r.get("user_uuid") == user]
                )
                process = await job_process(running, f"agent-{bound[0]['job_id']}")
            await eventually(lambda: not process.is_running(), 30)
            assert "[SESSION INIT]" not in running.worker.log()
            assert await rooms(running) == []
