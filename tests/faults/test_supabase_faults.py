"""A fault of the store never costs the caller the conversation, and no reply waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from devstack.waiting import eventually
from tests import leaks
from tests.e2e.conftest import Deployment, deployment, shared_deployment
from tests.faults.proxy import FaultyProxy, Mode

BROKEN = [mode for mode in Mode if mode is not Mode.PASS]

# Far beyond what a reply takes, far below what an answer of one byte a second takes.
PROMPTLY_S = 10.0


class Faulty(NamedTuple):
    """A worker and the proxy between it and its store."""

    running: Deployment
    proxy: FaultyProxy


@pytest.fixture(scope="module")
def shared_faulty(webrtc, supabase, tmp_path_factory) -> Iterator[Faulty]:
    direct = {
        "DATA_DIR": str(tmp_path_factory.mktemp("worker") / "data"),
        "SUPABASE_URL": supabase.info.url,
        "SUPABASE_SERVICE_ROLE_KEY": supabase.info.keys.service_role_key,
    }
    with ExitStack() as stack:
        with leaks.shared():
            proxy = stack.enter_context(FaultyProxy(supabase.info.url, is_shared=True))
        proxy.set(Mode.REFUSE)
        settings = {**direct, "SUPABASE_URL": proxy.url, "STORE_TIMEOUT_S": "2"}
        running = stack.enter_context(shared_deployment(settings, seen_through=direct))
        yield Faulty(running, proxy)


@pytest.fixture
def faulty(shared_faulty: Faulty) -> Iterator[Faulty]:
    shared_faulty.proxy.set(Mode.PASS)
    yield shared_faulty
    shared_faulty.proxy.set(Mode.REFUSE)


@pytest.mark.parametrize("mode", BROKEN)
async def test_a_store_that_is_broken_at_join_costs_nobody_the_conversation(
    faulty, identity, new_room, mode
):
    faulty.proxy.set(mode)
    async with faulty.running.join(identity, new_room()) as person:
        assert "What may I call you?" in (await person.hear(PROMPTLY_S)).text
        assert "keep that in mind" in await person.ask("I love hiking", PROMPTLY_S)
        assert "cannot be reached" in await person.ask("my name is anna", PROMPTLY_S)
        assert await person.ask("Where do I hike?", PROMPTLY_S)


@pytest.mark.parametrize("mode", BROKEN)
async def test_a_store_that_breaks_in_the_middle_costs_nobody_the_conversation(
    faulty, identity, new_room, mode
):
    async with faulty.running.join(identity, new_room()) as person:
        await person.hear(PROMPTLY_S)
        assert "remember" in await person.ask("my name is anna", PROMPTLY_S)
        faulty.proxy.set(mode)
        for number in range(3):
            assert await person.ask(f"I love hiking on mountain {number}", PROMPTLY_S)
        faulty.proxy.set(Mode.PASS)
        # What was said meanwhile is kept once the store is back, in order and once.
        said = [f"I love hiking on mountain {number}" for number in range(3)]
        await eventually(lambda: faulty.running.said(identity)[-3:] == said, PROMPTLY_S + 10)
        assert "remember" in await person.ask("my favorite color is blue", PROMPTLY_S)
    await eventually(lambda: faulty.running.has_met(identity), PROMPTLY_S + 10)
    async with faulty.running.join(identity, new_room()) as person:
        assert "Welcome back, Anna!" in (await person.hear(PROMPTLY_S)).text


async def test_what_was_told_while_the_store_was_away_for_the_whole_conversation_is_delivered(
    faulty, identity, new_room
):
    faulty.proxy.set(Mode.REFUSE)
    async with faulty.running.join(identity, new_room()) as person:
        await person.hear(PROMPTLY_S)
        await person.ask("I love hiking", PROMPTLY_S)
        # A tool that stores is answered by the outbox, and so is one that looks it up.
        assert "remember" in await person.ask("my favorite color is blue", PROMPTLY_S)
        assert "blue" in await person.ask("what is my favorite color?", PROMPTLY_S)
    await eventually(
        lambda: "what was said waits in the outbox" in faulty.running.worker.log(), PROMPTLY_S
    )
    assert "turns were lost" not in faulty.running.worker.log()
    # Nobody talks any more: the worker itself delivers.
    faulty.proxy.set(Mode.PASS)
    told = {"I love hiking", "blue"}
    await eventually(lambda: told <= set(faulty.running.values(identity)), PROMPTLY_S + 10)
    assert identity not in faulty.running.worker.log()
    assert "I love hiking" not in faulty.running.worker.log()


async def test_a_worker_outlives_a_restart_of_postgrest(
    supabase, worker_settings, identity, new_room
):
    settings = {
        **worker_settings,
        "SUPABASE_URL": supabase.info.url,
        "SUPABASE_SERVICE_ROLE_KEY": supabase.info.keys.service_role_key,
    }
    with deployment(settings) as running:
        async with running.join(identity, new_room()) as person:
            await person.hear()
            supabase.postgrest.kill()
            assert await person.ask("I love hiking", PROMPTLY_S)
            with leaks.shared():
                supabase.postgrest.start()
            await eventually(lambda: "I love hiking" in running.values(identity), 15)
            assert "remember" in await person.ask("my name is anna", PROMPTLY_S)


async def test_with_an_anon_key_that_the_database_refuses_sqlite_takes_over_with_one_warning(
    supabase, worker_settings, identity, new_room
):
    settings = {
        **worker_settings,
        "SUPABASE_URL": supabase.info.url,
        "SUPABASE_ANON_KEY": supabase.info.keys.anon_key,
    }
    with deployment(settings) as running:
        async with running.join(identity, new_room()) as person:
            await person.hear()
            assert "remember" in await person.ask("my favorite color is blue")
        await eventually(lambda: "blue" in running.values(identity))
        warnings = [
            line
            for line in running.worker.log().splitlines()
            if "SUPABASE_SERVICE_ROLE_KEY" in line
        ]
        assert len(warnings) == 1
