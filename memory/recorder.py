"""Keeps what the person says, behind the voice path.

`Recorder.hear` only puts a turn on a queue. One task gates, categorises and stores the
turns in order, in a thread of its own, so that a turn is on the disk (in the person's file,
or in the outbox before Supabase) even while every other call hangs. Where there is no such
place, it tries again while the store is away. Each stored turn carries an id made from its
session and conversation item, so that a repeated delivery changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from prometheus_client import Counter

from log_privacy import personal
from memory.extraction.fact import ToldTurn
from memory.gate import LEAST_CONFIDENCE, Heard, Verdict, judge
from memory.manager import MemoryManager
from memory.model import MAX_VALUE_LENGTH, TURN_KEY, Memory, MemoryInputError, NewMemory
from memory.retry import until_taken
from memory.transcript import TranscriptKeeper
from memory.turn import UserTurn
from memory.writes import log_stored, write_id
from session_context import get_session_generation, get_session_user_uuid
from storage import PersonErasedError, StorageRejectedError, StoreThreads

logger = logging.getLogger("memory.recorder")

_T = TypeVar("_T")

__all__ = ["TURN_KEY", "Recorder", "UserTurn", "log_stored", "write_id"]

MOST_WAITING_TURNS = 10_000
_DRAIN_GRACE_S = 0.2

_TURNS = Counter("voice_agent_turns", "User turns, by what became of them", ["result"])


class Recorder:
    """Stores the turns of one session. Start it where the session's user is bound.

    Args:
        memory: the session's memory.
        threads: where ``on_first_kept`` runs.
        session_id: makes the ids of this session's writes its own.
        on_first_kept: a blocking call, made once a first turn is stored, and again until it
            succeeds: now the conversation has really taken place. No turn waits for it.
        on_kept: called with each turn that may be true of the person.
        on_stored: called with a turn and the memory that it became.
        on_erased: called with the generation of a turn that came too late: the person was
            erased since.
        least_confidence: see `memory.gate.judge`.
        transcript: is told of pauses, of what is taken back, and of a new beginning.
    """

    def __init__(
        self,
        memory: MemoryManager,
        threads: StoreThreads,
        session_id: str,
        *,
        on_first_kept: Callable[[], None] | None = None,
        on_kept: Callable[[ToldTurn], None] | None = None,
        on_stored: Callable[[UserTurn, Memory], None] | None = None,
        on_erased: Callable[[int | None], None] | None = None,
        least_confidence: float = LEAST_CONFIDENCE,
        transcript: TranscriptKeeper | None = None,
    ) -> None:
        self._memory = memory
        self._threads = threads
        self._own_thread = StoreThreads(1)
        self._session_id = session_id
        self._on_first_kept = on_first_kept
        self._on_kept = on_kept
        self._on_stored = on_stored
        self._on_erased = on_erased
        self._least_confidence = least_confidence
        self._transcript = transcript
        self._paused = False
        self._taken_back: set[str] = set()
        self._turns: asyncio.Queue[UserTurn] = asyncio.Queue(MOST_WAITING_TURNS)
        self._task: asyncio.Task[None] | None = None
        self._note: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to store what is heard."""
        self._task = asyncio.create_task(self._store_turns(), name="memory_recorder")

    @property
    def is_paused(self) -> bool:
        """Whether the person asked that nothing be remembered for now."""
        return self._paused

    def pause(self) -> None:
        """Keep nothing of what is heard from now on."""
        self._paused = True
        if self._transcript is not None:
            self._transcript.pause()

    def resume(self) -> None:
        """Keep what is heard from now on."""
        self._paused = False
        if self._transcript is not None:
            self._transcript.resume()

    def take_back(self, item_id: str) -> str:
        """See to it that a turn is not kept: one that waits or is under way never will be.

        Returns:
            The id of its write. Where it is stored already, withdraw that write.
        """
        turn_id = self.turn_id(item_id)
        self._taken_back.add(turn_id)
        if self._transcript is not None:
            self._transcript.take_back(item_id)
        return turn_id

    def is_taken_back(self, turn_id: str) -> bool:
        """Tell whether nothing may be derived any more from the turn of this write."""
        return turn_id in self._taken_back

    def turn_id(self, item_id: str) -> str:
        """Return the id of the write that a turn of this session becomes."""
        return write_id(self._session_id, item_id, "turn")

    def begin_anew(self, on_first_kept: Callable[[], None] | None) -> None:
        """Go on as with a new person: drop what waits.

        Args:
            on_first_kept: as when the recorder was made.
        """
        while not self._turns.empty():
            self._taken_back.add(self.turn_id(self._turns.get_nowait().item_id))
            self._turns.task_done()
            _TURNS.labels("erased").inc()
        self._on_first_kept = on_first_kept
        if self._transcript is not None:
            self._transcript.begin_anew()

    def hear(self, turn: UserTurn) -> None:
        """Take a turn; returns at once. What is too long is cut to what a memory can hold."""
        if self._paused:
            self.take_back(turn.item_id)
            _TURNS.labels("unheard").inc()
            return
        if len(turn.text) > MAX_VALUE_LENGTH:
            _TURNS.labels("cut").inc()
            logger.warning("a turn was cut", extra={"characters": len(turn.text)})
            turn = replace(turn, text=turn.text[:MAX_VALUE_LENGTH])
        try:
            self._turns.put_nowait(replace(turn, generation=get_session_generation()))
        except asyncio.QueueFull:
            _TURNS.labels("dropped").inc()
            logger.error("a turn was dropped: the store has been away for too long")

    async def flush(self, deadline_s: float) -> bool:
        """Wait until all that was heard is stored, for at most ``deadline_s`` seconds.

        What is in the outbox counts as stored.

        Returns:
            Whether it is.
        """
        try:
            await asyncio.wait_for(self._turns.join(), deadline_s)
        except asyncio.TimeoutError:
            return False
        return True

    async def aclose(self, deadline_s: float) -> None:
        """Store what is still waiting, for at most ``deadline_s`` seconds, and end.

        In what is left of these seconds the outbox is drained, as far as that goes.
        """
        if self._task is None:
            return
        ends_at = time.monotonic() + deadline_s
        if not await self.flush(deadline_s):
            lost = self._turns.qsize() + 1
            _TURNS.labels("lost").inc(lost)
            logger.error("turns were lost: the store did not take them", extra={"turns": lost})
        else:
            await self._drain(ends_at)
        tasks = [task for task in (self._task, self._note) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._own_thread.close()

    async def _drain(self, ends_at: float) -> None:
        left_s = max(0.0, ends_at - time.monotonic())
        drain = asyncio.create_task(self._own_thread.run(self._memory.drain, left_s))
        try:
            awaited = {drain} if self._note is None else {drain, self._note}
            await asyncio.wait(awaited, timeout=left_s + _DRAIN_GRACE_S)
            drained = drain.done() and drain.exception() is None and drain.result()
        finally:
            drain.cancel()
        if not drained:
            _TURNS.labels("left_in_outbox").inc()
            logger.warning("what was said waits in the outbox; it is delivered later")

    async def _store_turns(self) -> None:
        while True:
            turn = await self._turns.get()
            try:
                await self._keep(turn)
            except PersonErasedError:
                _TURNS.labels("erased").inc()
                logger.info("a turn from before the person was erased is dropped")
                if self._on_erased is not None:
                    self._on_erased(turn.generation)
            except (MemoryInputError, StorageRejectedError) as error:
                _TURNS.labels("refused").inc()
                logger.error("a turn cannot be stored", extra={"error": str(error)})
            except Exception as error:  # noqa: BLE001 - one bad turn must not end the recorder
                _TURNS.labels("failed").inc()
                logger.error("a turn was not stored", extra={"error": type(error).__name__})
            finally:
                self._turns.task_done()

    async def _keep(self, turn: UserTurn) -> None:
        heard = Heard(turn.text, turn.agent_said, turn.confidence, turn.recalled)
        verdict = judge(heard, self._least_confidence)
        if verdict is not Verdict.KEPT:
            _TURNS.labels(verdict.value).inc()
            who = {"user_uuid": get_session_user_uuid()}
            logger.debug("a turn is no memory", extra={**who, "verdict": verdict.value})
            if verdict is Verdict.RECALLED:  # said again, it may still say that it is so again
                self._tell(turn, None)
            return
        stored = await self._store(turn)
        if stored is None:
            _TURNS.labels("taken_back").inc()
            return
        _TURNS.labels("stored").inc()
        log_stored(stored)
        if self._on_stored is not None:
            self._on_stored(turn, stored)
        self._tell(turn, stored.id)
        if self._on_first_kept is not None:
            note, self._on_first_kept = self._on_first_kept, None
            self._note = asyncio.create_task(self._take_note(note), name="memory_first_kept")

    async def _store(self, turn: UserTurn) -> Memory | None:
        memory = turn.as_memory(self._session_id)
        extra = {"user_uuid": get_session_user_uuid(), "category": memory.category.value}
        logger.info("[MEMORY CATEGORIZATION]", extra={**extra, **personal(text=turn.text)})
        stored = await self._until_taken(lambda: self._store_if_wanted(memory))
        if memory.id not in self._taken_back:
            return stored[0]
        if stored:
            await self._until_taken(lambda: self._memory.withdraw(memory.id))
        return None

    def _store_if_wanted(self, memory: NewMemory) -> list[Memory]:
        # Asked before each try: the person may take it back while the store is away.
        return [] if memory.id in self._taken_back else self._memory.store_all([memory])

    def _tell(self, turn: UserTurn, memory_id: str | None) -> None:
        if self._on_kept is not None:
            told = ToldTurn(
                turn.text, turn.item_id, turn.moment, turn.agent_said, memory_id, turn.generation
            )
            self._on_kept(told)

    async def _take_note(self, note: Callable[[], None]) -> None:
        try:
            await until_taken(self._threads, note, _count_retry)
        except Exception as error:  # noqa: BLE001 - the conversation does not depend on it
            _TURNS.labels("note_failed").inc()
            logger.error("a first turn was not noted", extra={"error": type(error).__name__})

    async def _until_taken(self, call: Callable[[], _T]) -> _T:
        return await until_taken(self._own_thread, call, _count_retry)


def _count_retry() -> None:
    _TURNS.labels("retried").inc()
