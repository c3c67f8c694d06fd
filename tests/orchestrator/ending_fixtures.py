"""Worlds over each kind of state."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis import asyncio as aioredis

from sessions import SessionState
from sessions.in_process import ProcessSessionState
from sessions.in_redis import RedisSessionState
from tests.orchestrator.ending_world import World, world_of

_OWN_DATABASE = "/7"
"""Emptied before each test, as a watchdog looks at every session."""


@pytest.fixture(params=["process", "redis"])
async def tended(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A world over each kind of state."""
    if request.param == "process":
        state: SessionState = ProcessSessionState(fence_s=60)
    else:
        url = request.getfixturevalue("redis").removesuffix("/0") + _OWN_DATABASE
        async with aioredis.from_url(url) as redis:
            await redis.flushdb()
        state = RedisSessionState(url, fence_s=60)
    async with world_of(state) as made:
        yield made


@pytest.fixture
async def lone_world() -> AsyncIterator[World]:
    """A world without Redis."""
    async with world_of(ProcessSessionState(fence_s=60)) as made:
        yield made
