"""The channels over Redis pub/sub."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from redis import asyncio as aioredis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from connection_events.backoff import Backoff
from connection_events.broadcast import Listener
from connection_events.channel import BroadcastChannel
from connection_events.metrics import PUBLISHED, RESUBSCRIBED

logger = logging.getLogger("connection_events")

_TIMEOUT_S = 2.0
_PING_EVERY_S = 5.0
_CANCELLED_AGAIN_AFTER_S = 0.1


class _SilentError(Exception):
    """Redis has answered no ping of late: the connection is open at our end only."""


class RedisBroadcast:
    """See `Broadcast`. Connects at its first use.

    Publishing tries once more on a fresh connection, as one that was idle while Redis
    restarted looks alive until it is used. What was not acknowledged in time is not said
    again: a Redis that is slow says it all the same.

    Args:
        url: as REDIS_URL has it.
        ping_every_s: seconds between two pings on a subscription where nothing is said.
    """

    def __init__(self, url: str, *, ping_every_s: float = _PING_EVERY_S) -> None:
        self._ping_every_s = ping_every_s
        self._ending: set[asyncio.Task[None]] = set()
        self._client: aioredis.Redis = aioredis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )

    async def publish(self, channel: str, text: str) -> bool:
        """See `Broadcast.publish`."""
        try:
            await self._client.publish(channel, text)
        except (RedisError, OSError, asyncio.TimeoutError) as error:
            PUBLISHED.labels("failed").inc()
            logger.warning(
                "a message could not be published",
                extra={"error": type(error).__name__, "channel": channel},
            )
            return False
        PUBLISHED.labels("ok").inc()
        return True

    @asynccontextmanager
    async def listening(self, channel: str, listener: Listener) -> AsyncIterator[None]:
        """See `Broadcast.listening`; waits a moment for the first subscription."""
        subscribed, settled = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(
            self._listen(channel, listener, subscribed, settled), name=f"listening to {channel}"
        )
        try:
            # Not asyncio.wait_for, which before Python 3.12 can swallow a cancellation.
            with anyio.move_on_after(_TIMEOUT_S):
                await subscribed.wait()
            yield
        finally:
            # A task of its own: whoever is cancelled here again does not break it off.
            ending = asyncio.create_task(_end(task, settled), name=f"no more of {channel}")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)

    async def aclose(self) -> None:
        """See `Broadcast.aclose`."""
        if self._ending:
            await asyncio.wait(self._ending)
        await self._client.aclose()

    async def _listen(
        self,
        channel: str,
        listener: Listener,
        subscribed: asyncio.Event,
        settled: asyncio.Event,
    ) -> None:
        backoff = Backoff()
        while True:
            settled.clear()
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(channel)
                    settled.set()
                    await self._hear(pubsub, listener, subscribed, backoff)
            except Exception as error:  # noqa: BLE001 - whatever breaks, it is subscribed anew
                RESUBSCRIBED.inc()
                logger.warning(
                    "a subscription is broken; subscribing anew",
                    extra={"error": type(error).__name__, "channel": channel},
                )
            settled.set()
            await asyncio.sleep(backoff.next_s())

    async def _hear(
        self, pubsub: PubSub, listener: Listener, subscribed: asyncio.Event, backoff: Backoff
    ) -> None:
        heard_at = time.monotonic()
        while True:
            message = await pubsub.get_message(timeout=self._ping_every_s)
            now = time.monotonic()
            if message is None:
                # The driver's own health check waits for no answer, so a half-open
                # connection would pass it until TCP gives up, after many minutes.
                if now - heard_at > 2 * self._ping_every_s:
                    raise _SilentError
                await pubsub.ping()
                continue
            heard_at = now
            if message["type"] == "subscribe":
                subscribed.set()
                backoff.begin_anew()
            elif message["type"] == "message":
                await listener(message["data"])


async def _end(listening: asyncio.Task[None], settled: asyncio.Event) -> None:
    # The driver leaves a socket open where it is cancelled while it connects.
    with anyio.move_on_after(_TIMEOUT_S):
        await settled.wait()
    while not listening.done():  # redis-py takes a cancellation for a broken connection at times
        listening.cancel()
        await asyncio.wait([listening], timeout=_CANCELLED_AGAIN_AFTER_S)


class RedisChannel(BroadcastChannel):
    """`EventChannel` over Redis. Connects at its first use.

    Args:
        url: as REDIS_URL has it.
        name: the pub/sub channel.
    """

    def __init__(self, url: str, name: str) -> None:
        super().__init__(RedisBroadcast(url), name)
