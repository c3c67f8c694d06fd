"""Notices that the person was erased from elsewhere, before the next reply.

Asked side by side with recall, under the same deadline, and failing open: a reply is never
late or lost because nobody could say whether the person was erased. A write that comes too
late is refused by the store itself, whatever was noticed here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from prometheus_client import Counter

from session_context import get_session_generation
from storage import NoFreeThreadError, StoreThreads

logger = logging.getLogger("assistant.erasure_watch")

_LOOKS = Counter(
    "voice_agent_erasure_looks", "Looks for an erasure before a reply, by outcome", ["result"]
)


class ErasureWatch:
    """Compares the person's generation in the store with the one the session knows.

    A look that the reply did not wait for still counts: the next turn must not be told to a
    session that does not know.

    Args:
        generation: reads it; a blocking call.
        threads: where that runs.
        deadline_s: seconds that a reply may wait for it.
        on_late_news: called where the person was erased, and no reply waits to be told.
    """

    def __init__(
        self,
        generation: Callable[[], int],
        threads: StoreThreads,
        *,
        deadline_s: float,
        on_late_news: Callable[[], None],
    ) -> None:
        self._generation = generation
        self._threads = threads
        self._deadline_s = deadline_s
        self._on_late_news = on_late_news
        self._known: int | None = None
        self._looks: set[asyncio.Task[int]] = set()

    async def erased_meanwhile(self) -> bool:
        """Tell whether the person was erased since the session last knew; True once each time."""
        look = asyncio.create_task(self._threads.run_if_free(self._generation), name="erasure_look")
        self._looks.add(look)
        try:
            await asyncio.wait({look}, timeout=self._deadline_s)
        finally:
            if not look.done():
                _LOOKS.labels("late").inc()
                look.add_done_callback(self._come_late)
        return look.done() and not look.cancelled() and self._is_news(look)

    @property
    def latest(self) -> int:
        """The newest generation that was seen or that the session knows; 0 where none is."""
        return max(self._known or 0, get_session_generation() or 0)

    def forget(self) -> None:
        """Take the next generation that is seen for the session's own: it has begun anew."""
        self._known = None

    async def aclose(self) -> None:
        """Wait for no look any longer."""
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    def _come_late(self, look: asyncio.Task[int]) -> None:
        if not look.cancelled() and self._is_news(look):
            self._on_late_news()
        self._looks.discard(look)

    def _is_news(self, look: asyncio.Task[int]) -> bool:
        self._looks.discard(look)
        error = look.exception()
        if isinstance(error, NoFreeThreadError):
            _LOOKS.labels("busy").inc()
            return False
        if error is not None:  # fail open, whatever the store raises
            _LOOKS.labels("failed").inc()
            logger.warning(
                "nobody can say whether the person was erased; replying as before",
                extra={"error": type(error).__name__},
            )
            return False
        return self._is_newer(look.result())

    def _is_newer(self, seen: int) -> bool:
        known = [each for each in (self._known, get_session_generation()) if each is not None]
        self._known = max(seen, self._known or 0)
        erased = bool(known) and seen > max(known)
        _LOOKS.labels("erased" if erased else "same").inc()
        return erased
