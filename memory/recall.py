"""Finds what is relevant to a turn, in time or not at all.

A reply never waits longer for its memories than the deadline, and never fails for them.
"""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import Counter

from memory.manager import MemoryManager
from memory.model import Memory
from storage import NoFreeThreadError, StoreThreads

logger = logging.getLogger("memory.recall")

_RECALLS = Counter("voice_agent_recalls", "Recalls before a reply, by outcome", ["result"])


class Recall:
    """Searches the session's memory for one turn at a time.

    Args:
        memory: the session's memory.
        threads: where its blocking calls run.
        deadline_s: seconds that a reply may wait.
        limit: how many memories at most.
    """

    def __init__(
        self, memory: MemoryManager, threads: StoreThreads, *, deadline_s: float, limit: int
    ) -> None:
        self._memory = memory
        self._threads = threads
        self._deadline_s = deadline_s
        self._limit = limit
        self._text: str | None = None
        self._search: asyncio.Task[list[Memory]] | None = None
        self._searches: set[asyncio.Task[list[Memory]]] = set()

    async def find(self, text: str) -> list[Memory]:
        """Return the memories that fit ``text`` best; empty when they do not come in time.

        The result for the last text is kept: the framework asks again for the same turn
        after a speculative reply and after each tool call.
        """
        if self._search is None or text != self._text:
            self._text = text
            self._search = self._begin(text)
        search = self._search
        try:
            found = await asyncio.wait_for(asyncio.shield(search), self._deadline_s)
        except asyncio.TimeoutError:
            _RECALLS.labels("late").inc()
            logger.warning("recall missed its deadline; replying without memories")
        except NoFreeThreadError:
            _RECALLS.labels("busy").inc()
            logger.warning("recall was skipped: all store threads are busy")
        except Exception as error:  # noqa: BLE001 - fail open, whatever the store raises
            _RECALLS.labels("failed").inc()
            logger.warning("recall failed; replying without memories", extra={"error": str(error)})
        else:
            _RECALLS.labels("found" if found else "nothing").inc()
            return found
        if search.done():
            self.drop_result()
        return []

    def drop_result(self) -> None:
        """Forget the kept result, because the memory has changed.

        A search that some reply still waits for goes on.
        """
        self._search = None
        self._text = None

    async def aclose(self) -> None:
        """End the searches that are still under way."""
        searches = list(self._searches)
        for search in searches:
            search.cancel()
        await asyncio.gather(*searches, return_exceptions=True)

    def _begin(self, text: str) -> asyncio.Task[list[Memory]]:
        search = asyncio.create_task(self._run(text), name="memory_recall")
        self._searches.add(search)
        search.add_done_callback(self._end)
        return search

    def _end(self, search: asyncio.Task[list[Memory]]) -> None:
        self._searches.discard(search)
        if not search.cancelled():
            search.exception()  # retrieved, as perhaps nobody waits for it any more

    async def _run(self, text: str) -> list[Memory]:
        found = await self._threads.run_if_free(self._memory.search, text, self._limit + 1)
        # The turn itself may be stored by now; it tells the model nothing new.
        return [memory for memory in found if memory.value != text][: self._limit]
