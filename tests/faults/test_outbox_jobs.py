"""Real jobs, killed while somebody speaks to them: what they had put away is not lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import psycopg
import pytest

from devstack.servers.supabase import SupabaseProject
from devstack.waiting import eventually
from session_context import livekit_identity_to_uuid
from tests import leaks
from tests.e2e.conftest import Deployment, shared_deployment
from tests.e2e.test_lifecycle import job_process, records
from tests.faults.proxy import FaultyProxy, Mode

PROMPTLY_S = 10.0

MODES = [Mode.PASS, Mode.REFUSE, Mode.HANG, Mode.CUT, Mode.ERROR_500, Mode.GARBAGE]


@pytest.fixture(scope="module")
def shared_faulty(webrtc, supabase, tmp_path_factory) -> Iterator[tuple[Deployment, FaultyProxy]]:
    direct = {
        "DATA_DIR": str(tmp_path_factory.mktemp("worker") / "data"),
        "SUPABASE_URL": supabase.info.url,
        "SUPABASE_SERVICE_ROLE_KEY": supabase.info.keys.service_role_key,
    }
    with ExitStack() as stack:
        with leaks.shared():
            proxy = stack.enter_context(FaultyProxy(supabase.info.url, is_shared=True))
        # Only turns: a fact is read from one a second later, which a busy job may live to.
        turns_only = {"FACT_EXTRACTION": "off", "STORE_TIMEOUT_S": "2"}
        settings = {**direct, **turns_only, "SUPABASE_URL": proxy.url}
        yield stack.enter_context(shared_deployment(settings, seen_through=direct)), proxy


@pytest.fixture
def faulty(
    shared_faulty: tuple[Deployment, FaultyProxy],
) -> Iterator[tuple[Deployment, FaultyProxy]]:
    shared_faulty[1].set(Mode.PASS)
    yield shared_faulty
    shared_faulty[1].set(Mode.REFUSE)


def stored(supabase: SupabaseProject, identity: str) -> list[str]:
    query = "select value from public.memory where user_id = %s order by session_id, place"
    with psycopg.connect(supabase.info.database.url) as connection:
        found = connection.execute(query, (livekit_identity_to_uuid(identity),)).fetchall()
    return [value for (value,) in found]


def put_away(running: Deployment, agent: str) -> int:
    """How many turns a job has said to be on the disk, which no answer waits for."""
    job = agent.removeprefix("agent-")
    mine = [record for record in records(running) if record.get("job_id") == job]
    return sum(record["message"] == "[MEMORY STORED]" for record in mine)


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=[] if mode in (Mode.PASS, Mode.REFUSE) else [pytest.mark.soak])
        for mode in MODES
    ],
)
async def test_a_killed_job_loses_nothing_that_was_answered(
    faulty, supabase, identity, new_room, mode
):
    running, proxy = faulty
    said: list[str] = []
    async with running.join(identity, new_room()) as person:
        agent = (await person.hear(PROMPTLY_S)).speaker
        job = await job_process(running, agent)
        proxy.set(mode)
        for number in range(5):
            said.append(f"I love hiking on mountain {number}")
            assert await person.ask(said[-1], PROMPTLY_S)
        await eventually(lambda: put_away(running, agent) >= len(said))
        await asyncio.sleep(random.uniform(0, 0.1))
        job.kill()
        await asyncio.to_thread(job.wait, 10)
    proxy.set(Mode.PASS)
    # Nobody is left but the worker itself, which delivers.
    await eventually(lambda: len(stored(supabase, identity)) >= len(said), 30)
    assert stored(supabase, identity) == said


async def test_what_a_killed_worker_left_is_delivered_when_it_starts_again(
    faulty, supabase, identity, new_room
):
    running, proxy = faulty
    async with running.join(identity, new_room()) as person:
        agent = (await person.hear(PROMPTLY_S)).speaker
        job = await job_process(running, agent)
        proxy.set(Mode.REFUSE)
        assert await person.ask("I love hiking on Sundays", PROMPTLY_S)
        await eventually(lambda: put_away(running, agent) == 1)
        running.worker.kill()
        with suppress(psutil.NoSuchProcess):  # it may have ended with its worker
            job.kill()
    assert stored(supabase, identity) == []
    proxy.set(Mode.PASS)
    with leaks.shared():
        running.worker.start()
    await eventually(lambda: stored(supabase, identity) == ["I love hiking on Sundays"], 30)
