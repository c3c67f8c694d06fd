"""Finds what is relevant to a turn, in time or not at all.

A reply never waits longer for its memories than the deadline, and never fails for them. The
search begins while the person still speaks, and the reply takes its result when what was
heard is what the turn became.
"""

from __future__ import annotations

import asyncio
import logging

from prometheus_client import Counter

from memory.manager import MemoryManager
from memory.model import Memory
from memory.words import words_of
from storage import NoFreeThreadError, StoreThreads

logger = logging.getLogger("memory.recall")

_RECALLS = Counter("voice_agent_recalls", "Recalls before a reply, by outcome", ["result"])
_BEGUN = Counter("voice_agent_recalls_begun", "Searches of recall, by what began them", ["by"])

_MOST_HEARD = 20
"""Final transcripts of one turn; the framework drops some turns without a word to anybody."""


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
        self._heard: list[str] = []
        self._words: list[str] | None = None
        self._search: asyncio.Task[list[Memory]] | None = None
        self._searches: set[asyncio.Task[list[Memory]]] = set()

    def hear(self, transcript: str, *, is_final: bool) -> None:
        """Begin to search for a turn that is still being spoken.

        Of transcripts that may still change, one is searched for at a time: they come many
        times a second, and only the last of them is the turn.

        Args:
            transcript: what was recognised last. A turn may have several final ones, one
                after the other.
            is_final: whether it will not change any more.
        """
        text = " ".join([*self._heard, transcript])
        if is_final:
            self._heard = [*self._heard, transcript][-_MOST_HEARD:]
        if words_of(text) and (is_final or self._search is None or self._search.done()):
            self._begin_unless_begun(text, "transcript")

    def end_turn(self) -> None:
        """Say that the turn is complete: what is heard from now on is the next one."""
        self._heard.clear()

    async def find(self, text: str) -> list[Memory]:
        """Return the memories that are relevant to ``text``, the most relevant first.

        The result for the last text is kept: the framework asks again for the same turn
        after a speculative reply and after each tool call.

        Returns:
            At most the limit; empty when nothing is relevant, or nothing came in time.
        """
        search = self._begin_unless_begun(text, "reply")
        await asyncio.wait({search}, timeout=self._deadline_s)
        if not search.done():
            _RECALLS.labels("late").inc()
            logger.warning("recall missed its deadline; replying without memories")
            return []
        found = self._found_by(search)
        if found is None:
            if search is self._search:
                self.drop_result()
            return []
        # The turn itself may be stored by now; it tells the model nothing new.
        told = [memory for memory in found if memory.value != text][: self._limit]
        _RECALLS.labels("found" if told else "nothing").inc()
        return told

    def _found_by(self, search: asyncio.Task[list[Memory]]) -> list[Memory] | None:
        try:
            return search.result()
        except NoFreeThreadError:
            _RECALLS.labels("busy").inc()
            logger.warning("recall was skipped: all store threads are busy")
        except Exception as error:  # noqa: BLE001 - fail open, whatever the store raises
            _RECALLS.labels("failed").inc()
            logger.warning("recall failed; replying without memories", extra={"error": str(error)})
        return None

    def drop_result(self) -> None:
        """Forget the kept result, because the memory has changed.

        A search that some reply still waits for goes on.
        """
        self._search = None
        self._words = None

    async def aclose(self) -> None:
        """End the searches that are still under way."""
        searches = list(self._searches)
        for search in searches:
            search.cancel()
        await asyncio.gather(*searches, return_exceptions=True)

    def _begin_unless_begun(self, text: str, at: str) -> asyncio.Task[list[Memory]]:
        # By its words: a final transcript differs from the last interim one by a full stop.
        words = words_of(text)
        if self._search is None or words != self._words or self._has_failed(self._search):
            self._words = words
            self._search = self._begin(text)
            _BEGUN.labels(at).inc()
        return self._search

    def _has_failed(self, search: asyncio.Task[list[Memory]]) -> bool:
        return search.done() and (search.cancelled() or search.exception() is not None)

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
        return await self._threads.run_if_free(self._memory.recall, text, self._limit + 1)
