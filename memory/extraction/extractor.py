"""Turns what the person says into facts, behind the conversation.

`Extractor.hear` only puts a turn on a queue. One task waits a moment, so that several turns
are read together, lets the fact model read them, and stores what it found. Whatever goes
wrong there is counted and logged, and never reaches the conversation.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from prometheus_client import Counter

from memory.extraction.fact import Extraction, FactModel, FactModelError, ToldTurn
from memory.extraction.reading import OnReading, Readings, ReadingState
from memory.extraction.settling import settled
from memory.manager import MOST_RESULTS, MemoryManager
from memory.model import Memory, MemoryInputError
from memory.recorder import log_stored
from memory.retry import until_taken
from storage import StorageRejectedError, StoreThreads

logger = logging.getLogger("memory.extraction")

_T = TypeVar("_T")

MOST_WAITING_TURNS = 1_000
MOST_TURNS_AT_ONCE = 12
EARLIER_TURNS = 4

_EXTRACTIONS = Counter(
    "voice_agent_extractions", "Reads of turns for facts, by outcome", ["result"]
)
_FACTS = Counter("voice_agent_facts", "Facts, by what became of them", ["result"])


class Extractor:
    """Reads the kept turns of one session. Start it where the session's user is bound.

    Args:
        memory: the session's memory.
        threads: where its blocking calls run.
        session_id: makes the ids of this session's writes its own.
        model: reads the turns.
        fallback: reads them where the model cannot, or not in time.
        deadline_s: seconds that the model may take.
        wait_s: seconds to wait for further turns before the first of them is read.
        least_confidence: below it a fact is not stored, 0 to 1.
        keep_summary: a blocking call that keeps the short text about the person.
        on_stored: called when facts were stored.
        is_taken_back: tells of a turn's memory id whether the person has taken the turn back,
            so that nothing may be made of it.
        on_reading: called with how far each read is.
    """

    def __init__(
        self,
        memory: MemoryManager,
        threads: StoreThreads,
        session_id: str,
        *,
        model: FactModel,
        fallback: FactModel,
        deadline_s: float,
        wait_s: float,
        least_confidence: float,
        keep_summary: Callable[[str], object] | None = None,
        on_stored: Callable[[], None] | None = None,
        is_taken_back: Callable[[str], bool] = lambda _memory_id: False,
        on_reading: OnReading | None = None,
    ) -> None:
        self._memory = memory
        self._threads = threads
        self._session_id = session_id
        self._model = model
        self._fallback = fallback
        self._deadline_s = deadline_s
        self._wait_s = wait_s
        self._least_confidence = least_confidence
        self._keep_summary = keep_summary
        self._on_stored = on_stored
        self._is_taken_back = is_taken_back
        self._turns: asyncio.Queue[ToldTurn] = asyncio.Queue(MOST_WAITING_TURNS)
        self._earlier: deque[ToldTurn] = deque(maxlen=EARLIER_TURNS)
        self._forgotten = 0
        self._readings = Readings(on_reading)
        self._gathers = False
        self._hurry = asyncio.Event()
        self._last_call = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read what is heard."""
        self._task = asyncio.create_task(self._work(), name="memory_extractor")

    def hear(self, turn: ToldTurn) -> None:
        """Take a turn; returns at once."""
        try:
            self._turns.put_nowait(turn)
            self._readings.wait()
        except asyncio.QueueFull:
            _FACTS.labels("turn_dropped").inc()
            logger.error("a turn is not read for facts: too many wait")

    def drop_waiting(self) -> int:
        """Make no facts of what was heard until now, because something is to be forgotten.

        Returns:
            How many turns were still waiting. The turns themselves stay memories.
        """
        self._forgotten += 1
        dropped = 0
        while not self._turns.empty():
            self._turns.get_nowait()
            self._turns.task_done()
            dropped += 1
        if not self._gathers:
            self._readings.drop()
        return dropped

    async def flush(self, deadline_s: float) -> bool:
        """Wait until all that was heard is read and stored, for at most ``deadline_s`` seconds.

        Returns:
            Whether it is.
        """
        self._hurry.set()
        try:
            await asyncio.wait_for(self._turns.join(), deadline_s)
        except asyncio.TimeoutError:
            return False
        finally:
            self._hurry.clear()
        return True

    async def aclose(self, deadline_s: float) -> None:
        """Read what still waits, for at most ``deadline_s`` seconds, and end.

        In the second half of the time the fallback reads it, so that the last words of a
        conversation do not depend on how fast a model answers.
        """
        if self._task is None:
            return
        if not await self.flush(deadline_s / 2):
            self._last_call.set()
            if not await self.flush(deadline_s / 2):
                _FACTS.labels("turn_unread").inc(self._turns.qsize() + 1)
                logger.warning("the last turns were not read for facts; they are kept as said")
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._readings.close()

    async def _work(self) -> None:
        while True:
            turns = await self._next_turns()
            self._readings.begin(others_wait=not self._turns.empty())
            outcome = ReadingState.FAILED
            try:
                await self._extract(turns)
                outcome = ReadingState.COMPLETED
            except (MemoryInputError, StorageRejectedError) as error:
                _EXTRACTIONS.labels("refused").inc()
                logger.error("facts cannot be stored", extra={"error": str(error)})
            except Exception as error:  # noqa: BLE001 - bad turns must not end the extractor
                _EXTRACTIONS.labels("failed").inc()
                logger.error("no facts were read", extra={"error": type(error).__name__})
            finally:
                self._earlier.extend(self._wanted(turns))
                for _ in turns:
                    self._turns.task_done()
            self._readings.end(outcome)

    async def _next_turns(self) -> list[ToldTurn]:
        turns = [await self._turns.get()]
        self._gathers = True
        hurry = asyncio.ensure_future(self._hurry.wait())
        try:
            # What has come by then is read together. Not by asyncio.wait_for, which before
            # Python 3.12 can swallow a cancellation.
            await asyncio.wait({hurry}, timeout=self._wait_s)
        except asyncio.CancelledError:
            self._turns.task_done()
            raise
        finally:
            self._gathers = False
            hurry.cancel()
        while len(turns) < MOST_TURNS_AT_ONCE and not self._turns.empty():
            turns.append(self._turns.get_nowait())
        return turns

    def _wanted(self, turns: Sequence[ToldTurn]) -> list[ToldTurn]:
        return [
            turn
            for turn in turns
            if turn.memory_id is None or not self._is_taken_back(turn.memory_id)
        ]

    async def _extract(self, heard: Sequence[ToldTurn]) -> None:
        turns = self._wanted(heard)
        if not turns:
            return
        forgotten = self._forgotten
        known = await self._until_taken(partial(self._memory.list_facts, MOST_RESULTS))
        extraction = await self._read(turns, known)
        memories = settled(
            extraction.facts,
            turns,
            known,
            session_id=self._session_id,
            least_confidence=self._least_confidence,
        )
        _FACTS.labels("left_out").inc(len(extraction.facts) - len(memories))
        taken_back = len(self._wanted(turns)) < len(turns)
        if not memories or taken_back or forgotten != self._forgotten:
            return
        stored = await self._until_taken(partial(self._memory.store_all, memories))
        _FACTS.labels("stored").inc(len(stored))
        for memory in stored:
            log_stored(memory)
        if self._on_stored is not None:
            self._on_stored()
        if extraction.summary and self._keep_summary is not None:
            keep = partial(self._keep_unless_forgotten, extraction.summary, turns, forgotten)
            await self._until_taken(keep)

    def _keep_unless_forgotten(
        self, summary: str, turns: Sequence[ToldTurn], forgotten: int
    ) -> None:
        # Asked before each try: what it says may be forgotten while the store is away.
        taken_back = len(self._wanted(turns)) < len(turns)
        if self._keep_summary is not None and not taken_back and forgotten == self._forgotten:
            self._keep_summary(summary)

    async def _read(self, turns: Sequence[ToldTurn], known: Sequence[Memory]) -> Extraction:
        earlier = tuple(self._earlier)
        if not self._last_call.is_set():
            reading = asyncio.ensure_future(self._model.read(turns, known, earlier))
            last_call = asyncio.ensure_future(self._last_call.wait())
            try:
                await asyncio.wait(
                    {reading, last_call},
                    timeout=self._deadline_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if reading.done():
                    extraction = reading.result()
                    _EXTRACTIONS.labels("read").inc()
                    return extraction
                _EXTRACTIONS.labels("late").inc()
                logger.warning("the fact model was late; its fallback reads these turns")
            except FactModelError as error:
                _EXTRACTIONS.labels("unusable").inc()
                logger.warning(
                    "the fact model gave nothing usable; its fallback reads these turns",
                    extra={"error": str(error)},
                )
            finally:
                for task in (reading, last_call):
                    task.cancel()
                await asyncio.gather(reading, last_call, return_exceptions=True)
        return await self._fallback.read(turns, known, earlier)

    async def _until_taken(self, call: Callable[[], _T]) -> _T:
        return await until_taken(self._threads, call, lambda: _FACTS.labels("retried").inc())
