"""What hears, thinks and speaks at this moment, as far as it reaches a provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import TypeVar, cast

T = TypeVar("T")

HEARING = "hearing"
THINKING = "thinking"
SPEAKING = "speaking"


class ActiveProcessors:
    """The streams that are open in one conversation, with when each last gave something."""

    def __init__(self) -> None:
        self._last_activity: dict[tuple[str, int], float] = {}
        self._numbers = 0
        self._closed = asyncio.Event()

    def active(self, kind: str) -> int:
        """Return how many streams of a kind are open."""
        return sum(each == kind for each, _ in self._last_activity)

    @property
    def last_activity(self) -> dict[str, float]:
        """When a stream of each kind that is open last gave something, by time.monotonic()."""
        latest: dict[str, float] = {}
        for (kind, _), at in self._last_activity.items():
            latest[kind] = max(at, latest.get(kind, 0.0))
        return latest

    async def follow(self, kind: str, stream: AsyncIterable[T]) -> AsyncGenerator[T, None]:
        """Give what a stream gives; it is active from now until it has been closed."""
        self._numbers += 1
        entry = (kind, self._numbers)
        self._last_activity[entry] = time.monotonic()
        try:
            async with aclosing(cast("AsyncGenerator[T, None]", stream)) as given:
                async for each in given:
                    self._last_activity[entry] = time.monotonic()
                    yield each
        finally:
            del self._last_activity[entry]
            self._closed.set()

    async def until_closed(self, kind: str) -> None:
        """Wait until no stream of a kind is open."""
        while self.active(kind):
            self._closed.clear()
            await self._closed.wait()
