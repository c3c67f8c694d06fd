"""The real servers, one of each for the whole run, where this machine can have them.

A server that cannot be had skips the tests that need it, with what is missing; in CI it
fails them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeVar

import pytest

from devstack.development import Development, development
from devstack.for_pytest import skip_where_unavailable
from devstack.participant import Participant, access_token
from devstack.servers.database import Database
from devstack.servers.livekit import LiveKitInfo, LiveKitServer
from devstack.servers.postgres import Postgres
from devstack.servers.redis import RedisServer
from devstack.servers.supabase import SupabaseProject
from migrations.apply import apply
from tests import leaks

S = TypeVar("S", LiveKitServer, Postgres, RedisServer, SupabaseProject)


def started(make: Callable[[], S]) -> S:
    """Start a server, or skip (with CI=true: fail) the test that asks for it."""
    with skip_where_unavailable(), leaks.shared():
        return make().start()


@pytest.fixture(scope="session")
def webrtc() -> None:
    """The SDK's native runtime, loaded: it opens sockets of its own, and keeps them."""

    async def join(livekit: LiveKitInfo) -> None:
        async with Participant(livekit, access_token(livekit, "warm-up", "warm-up")):
            pass

    with leaks.shared(), started(LiveKitServer) as server:
        asyncio.run(join(server.info))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres server, from which tests take databases of their own."""
    server = started(Postgres)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    """A Redis server's URL."""
    server = started(RedisServer)
    yield server.info.url
    server.stop()


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """A database as a new Supabase project has it: roles, default grants, no migration."""
    made = postgres.create_supabase_database()
    yield made
    postgres.drop_database(made)


@pytest.fixture(scope="session")
def supabase(postgres: Postgres) -> Iterator[SupabaseProject]:
    """A migrated Supabase project for all tests that keep to users of their own."""
    made = postgres.create_supabase_database()
    apply(made.url)
    project = started(lambda: SupabaseProject(made))
    yield project
    project.stop()
    postgres.drop_database(made)


@pytest.fixture(scope="session")
def development_stack(
    webrtc: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Development]:
    """What ``make run`` runs, for tests that keep to sessions of their own."""
    settings = {"DATA_DIR": str(tmp_path_factory.mktemp("development") / "data")}
    with ExitStack() as running:
        with skip_where_unavailable(), leaks.shared():
            made = running.enter_context(development(settings))
        yield made
