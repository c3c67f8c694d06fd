"""The channel over Redis pub/sub."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis import asyncio as aioredis
from redis.exceptions import RedisError

from connection_events.channel import Handler
from connection_events.message import ConnectionEvent
from connection_events.metrics import PUBLISHED, RESUBSCRIBED
from connection_events.telling import tell

logger = logging.getLogger("connection_events")

_TIMEOUT_S = 2.0
_PING_EVERY_S = 5.0
_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 5.0
_CANCELLED_AGAIN_AFTER_S = 0.1


class RedisChannel:
    """See `EventChannel`. Connects at its first use.

    Args:
        url: as REDIS_URL has it.
        name: the pub/sub channel.
    """

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._client: aioredis.Redis = aioredis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            health_check_interval=int(_PING_EVERY_S),
        )

    async def publish(self, event: ConnectionEvent) -> bool:
        """See `EventChannel.publish`."""
        try:
            await self._client.publish(self._name, event.as_json())
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            PUBLISHED.labels("failed").inc()
            logger.warning(
                "a connection event could not be published",
                extra={"error": type(error).__name__, "conversation_id": event.conversation_id},
            )
            return False
        PUBLISHED.labels("ok").inc()
        return True

    @asynccontextmanager
    async def listening(self, handler: Handler) -> AsyncIterator[None]:
        """See `EventChannel.listening`; waits a moment for the first subscription."""
        subscribed = asyncio.Event()
        task = asyncio.create_task(self._listen(handler, subscribed), name="connection events")
        try:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(subscribed.wait(), _TIMEOUT_S)
            yield
        finally:
            while not task.done():  # redis-py takes a cancellation for a broken connection at times
                task.cancel()
                await asyncio.wait([task], timeout=_CANCELLED_AGAIN_AFTER_S)

    async def aclose(self) -> None:
        """See `EventChannel.aclose`."""
        await self._client.aclose()

    async def _listen(self, handler: Handler, subscribed: asyncio.Event) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(self._name)
                    while True:
                        message = await pubsub.get_message(timeout=_PING_EVERY_S)
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            subscribed.set()
                            backoff_s = _FIRST_BACKOFF_S
                        elif message["type"] == "message":
                            await tell(handler, message["data"])
            except (RedisError, OSError, asyncio.TimeoutError) as error:
                RESUBSCRIBED.inc()
                logger.warning(
                    "the events channel is broken; subscribing anew",
                    extra={"error": type(error).__name__},
                )
            await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            backoff_s = min(2 * backoff_s, _LONGEST_BACKOFF_S)
