"""How often somebody may start sessions and ask for tokens: by caller, and by address."""

from __future__ import annotations

import logging
import math
import time
from typing import Any, cast

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from prometheus_client import Counter

from config import ConfigError, Settings
from orchestrator.errors import TooManyError

logger = logging.getLogger("orchestrator")

_TIMEOUT_S = 2.0
_DETAIL = "too many requests; try again later"

LIMITED = Counter("voice_agent_rate_limited", "Requests refused by a rate limit, by route", ["on"])
LIMIT_FAILURES = Counter(
    "voice_agent_rate_limit_failures", "Limits that were counted in this process, as Redis failed"
)


class RateLimits:
    """Counts in Redis where there is one, so that several orchestrators count together.

    While Redis does not answer each process counts for itself.

    Args:
        settings: RATE_LIMIT and REDIS_URL.

    Raises:
        ConfigError: RATE_LIMIT cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._limit = _parsed(settings.orchestrator.rate_limit)
        self._here_storage = MemoryStorage()
        self._here = FixedWindowRateLimiter(self._here_storage)
        self._redis: RedisStorage | None = None
        self._shared: FixedWindowRateLimiter | None = None
        if settings.sessions.redis_url is not None:
            self._redis = _redis_storage(settings.sessions.redis_url)
            self._shared = FixedWindowRateLimiter(self._redis)

    async def spend(self, on: str, who: str) -> None:
        """Count a request.

        Args:
            on: what it is for; each is counted apart.
            who: a caller or an address.

        Raises:
            TooManyError: the limit is reached.
        """
        limiter = self._shared or self._here
        try:
            allowed, reset_at = await self._hit(limiter, on, who)
        except StorageError as error:
            LIMIT_FAILURES.inc()
            logger.warning(
                "Redis does not count requests; this process does",
                extra={"error": type(error.storage_error).__name__},
            )
            allowed, reset_at = await self._hit(self._here, on, who)
        if not allowed:
            LIMITED.labels(on).inc()
            raise TooManyError(_DETAIL, retry_after_s=math.ceil(reset_at - time.time()))

    async def aclose(self) -> None:
        """Give back what is held."""
        if self._redis is not None:
            # A base class that the library shares between drivers does not name it.
            await cast("Any", self._redis.bridge).storage.aclose()
        timer = self._here_storage.timer
        if timer is not None:
            timer.cancel()

    async def _hit(self, limiter: FixedWindowRateLimiter, on: str, who: str) -> tuple[bool, float]:
        if await limiter.hit(self._limit, on, who):
            return True, 0.0
        stats = await limiter.get_window_stats(self._limit, on, who)
        return False, stats.reset_time


def _parsed(text: str) -> RateLimitItem:
    try:
        return parse(text)
    except ValueError:
        raise ConfigError("RATE_LIMIT: must be such as 60/minute. See .env.example.") from None


def _redis_storage(url: str) -> RedisStorage:
    scheme, separator, rest = url.partition("://")
    known = {"unix": "async+redis+unix"}.get(scheme, f"async+{scheme}")
    return RedisStorage(
        f"{known}{separator}{rest}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="limits",
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
    )
