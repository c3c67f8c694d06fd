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

    Args:
        generation: reads it; a blocking call.
        threads: where that runs.
        deadline_s: seconds that a reply may wait for it.
    """

    def __init__(
        self, generation: Callable[[], int], threads: StoreThreads, *, deadline_s: float
    ) -> None:
        self._generation = generation
        self._threads = threads
        self._deadline_s = deadline_s
        self._known: int | None = None

    async def erased_meanwhile(self) -> bool:
        """Tell whether the person was erased since the session last knew; True once each time."""
        try:
            seen = await asyncio.wait_for(
                self._threads.run_if_free(self._generation), self._deadline_s
            )
        except asyncio.TimeoutError:
            _LOOKS.labels("late").inc()
        except NoFreeThreadError:
            _LOOKS.labels("busy").inc()
        except Exception as error:  # noqa: BLE001 - fail open, whatever the store raises
            _LOOKS.labels("failed").inc()
            logger.warning(
                "nobody can say whether the person was erased; replying as before",
                extra={"error": type(error).__name__},
            )
        else:
            return self._is_news(seen)
        return False

    @property
    def latest(self) -> int:
        """The newest generation that was seen or that the session knows; 0 where none is."""
        return max(self._known or 0, get_session_generation() or 0)

    def forget(self) -> None:
        """Take the next generation that is seen for the session's own: it has begun anew."""
        self._known = None

    def _is_news(self, seen: int) -> bool:
        known = [each for each in (self._known, get_session_generation()) if each is not None]
        self._known = seen
        erased = bool(known) and seen > max(known)
        _LOOKS.labels("erased" if erased else "same").inc()
        return erased
