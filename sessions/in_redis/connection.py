"""One connection pool to Redis, with short time-outs and errors of our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from sessions.errors import StateUnreachableError

_TIMEOUT_S = 2.0


class Connection:
    """Runs commands and scripts in one Redis.

    Nothing connects before the first command. A command is tried anew once, on a fresh
    connection, as one that was idle while Redis restarted looks alive until it is used. One
    that was not answered in time is not: a Redis that is slow carries it out all the same.

    Args:
        url: as REDIS_URL has it.
    """

    def __init__(self, url: str) -> None:
        self.client: aioredis.Redis = aioredis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )

    @asynccontextmanager
    async def commands(self) -> AsyncIterator[Any]:
        """Give the client; what goes wrong with it within is raised as ours.

        It is untyped: redis-py types a command as for the blocking client and ours at once.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        cancelled_before = _cancellations()
        try:
            yield self.client
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            _go_on_unless_cancelled(cancelled_before)
            raise StateUnreachableError(
                f"Redis is out of reach ({type(error).__name__}); look at REDIS_URL"
            ) from error
        _go_on_unless_cancelled(cancelled_before)

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script and return what it returns.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        async with self.commands() as redis:
            return await redis.register_script(script)(keys=list(keys), args=list(arguments))

    async def aclose(self) -> None:
        """Close all connections."""
        await self.client.aclose()


def _cancellations() -> int:
    """Return how often the current task was asked to end; always 0 before Python 3.11."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling() if cancelling is not None else 0


def _go_on_unless_cancelled(before: int) -> None:
    """Say the cancellation again that redis-py took for a broken connection and tried anew."""
    if _cancellations() > before:
        raise asyncio.CancelledError
