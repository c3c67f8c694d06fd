"""Orchestrators for the tests of the REST interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from devstack.servers.livekit import LiveKitInfo, LiveKitServer
from tests.orchestrator.rest.world import BACKEND, DEVELOPMENT, PRODUCTION, World, orchestrating
from tests.services import started


@pytest.fixture(scope="session")
def quiet_livekit() -> Iterator[LiveKitInfo]:
    """A LiveKit server without a worker, so that rooms are made and stay quiet."""
    server = started(LiveKitServer)
    yield server.info
    server.stop()


@pytest.fixture
async def development(quiet_livekit: LiveKitInfo, redis: str) -> AsyncIterator[World]:
    """In development mode, over Redis."""
    async with orchestrating(quiet_livekit, redis_url=redis, **DEVELOPMENT) as world:
        yield world


@pytest.fixture
async def production(quiet_livekit: LiveKitInfo, redis: str) -> AsyncIterator[World]:
    """In production, with all kinds of callers, over Redis."""
    async with orchestrating(quiet_livekit, redis_url=redis, **PRODUCTION) as world:
        world.headers = BACKEND
        yield world


@pytest.fixture(params=["redis", "process"])
async def anywhere(
    request: pytest.FixtureRequest, quiet_livekit: LiveKitInfo
) -> AsyncIterator[World]:
    """In production, with all kinds of callers; over Redis, and without it."""
    url = request.getfixturevalue("redis") if request.param == "redis" else ""
    async with orchestrating(quiet_livekit, redis_url=url, **PRODUCTION) as world:
        world.headers = BACKEND
        yield world
