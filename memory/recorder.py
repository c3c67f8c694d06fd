"""Keeps what the person says, behind the voice path.

`Recorder.hear` only puts a turn on a queue. One task gates, categorises and stores the
turns in order, trying again while the store is away. Each stored turn carries an id made
from its session and conversation item, so that a repeated delivery changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TypeVar

from prometheus_client import Counter

from log_privacy import personal
from memory.categories import categorise
from memory.gate import is_worth_keeping
from memory.manager import MemoryManager
from memory.model import MAX_VALUE_LENGTH, Memory, MemoryInputError, NewMemory
from memory.store import TURN_KEY
from session_context import get_session_generation, get_session_user_uuid
from storage import PersonErasedError, StorageError, StorageRejectedError, StoreThreads

logger = logging.getLogger("memory.recorder")

T = TypeVar("T")

__all__ = ["TURN_KEY", "Recorder", "UserTurn", "log_stored", "write_id"]

MOST_WAITING_TURNS = 10_000
_FIRST_RETRY_S = 0.25
_LONGEST_RETRY_S = 10.0

_TURNS = Counter("voice_agent_turns", "User turns, by what became of them", ["result"])


@dataclass(frozen=True)
class UserTurn:
    """Something the person said or typed.

    Attributes:
        text: what they said.
        item_id: the conversation item's id, unique within its session.
        said_at: seconds since the epoch.
        generation: the person's when they said it, which `Recorder.hear` fills in.
    """

    text: str
    item_id: str
    said_at: float
    generation: int | None = None


class Recorder:
    """Stores the turns of one session. Start it where the session's user is bound.

    Args:
        memory: the session's memory.
        threads: where its blocking calls run.
        session_id: makes the ids of this session's writes its own.
        on_first_kept: a blocking call, made once a first turn is stored and tried again like
            one: now the conversation has really taken place.
        on_stored: called with a turn and the memory that it became.
        on_erased: called with the generation of a turn that came too late: the person was
            erased since.
    """

    def __init__(
        self,
        memory: MemoryManager,
        threads: StoreThreads,
        session_id: str,
        *,
        on_first_kept: Callable[[], None] | None = None,
        on_stored: Callable[[UserTurn, Memory], None] | None = None,
        on_erased: Callable[[int | None], None] | None = None,
    ) -> None:
        self._memory = memory
        self._threads = threads
        self._session_id = session_id
        self._on_first_kept = on_first_kept
        self._on_stored = on_stored
        self._on_erased = on_erased
        self._paused = False
        self._taken_back: set[str] = set()
        self._turns: asyncio.Queue[UserTurn] = asyncio.Queue(MOST_WAITING_TURNS)
        self._task: asyncio.Task[None] | None = None

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

    def resume(self) -> None:
        """Keep what is heard from now on."""
        self._paused = False

    def take_back(self, item_id: str) -> str:
        """See to it that a turn is not kept: one that waits or is under way never will be.

        Returns:
            The id of its write. Where it is stored already, withdraw that write.
        """
        turn_id = self.turn_id(item_id)
        self._taken_back.add(turn_id)
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

        Returns:
            Whether it is.
        """
        try:
            await asyncio.wait_for(self._turns.join(), deadline_s)
        except asyncio.TimeoutError:
            return False
        return True

    async def aclose(self, deadline_s: float) -> None:
        """Store what is still waiting, for at most ``deadline_s`` seconds, and end."""
        if self._task is None:
            return
        if not await self.flush(deadline_s):
            lost = self._turns.qsize() + 1
            _TURNS.labels("lost").inc(lost)
            logger.error("turns were lost: the store did not take them", extra={"turns": lost})
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

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
        who = {"user_uuid": get_session_user_uuid()}
        if not is_worth_keeping(turn.text):
            _TURNS.labels("filler").inc()
            return
        memory = self._as_memory(turn)
        extra = {**who, "category": memory.category.value}
        logger.info("[MEMORY CATEGORIZATION]", extra={**extra, **personal(text=turn.text)})
        stored = await self._until_taken(lambda: self._store_if_wanted(memory))
        if memory.id in self._taken_back:
            _TURNS.labels("taken_back").inc()
            if stored:
                await self._until_taken(lambda: self._memory.withdraw(memory.id))
            return
        _TURNS.labels("stored").inc()
        log_stored(stored[0])
        if self._on_stored is not None:
            self._on_stored(turn, stored[0])
        if self._on_first_kept is not None:
            note, self._on_first_kept = self._on_first_kept, None
            await self._until_taken(note)

    def _store_if_wanted(self, memory: NewMemory) -> list[Memory]:
        # Asked before each try: the person may take it back while the store is away.
        return [] if memory.id in self._taken_back else self._memory.store_all([memory])

    def _as_memory(self, turn: UserTurn) -> NewMemory:
        return NewMemory(
            category=categorise(turn.text),
            key=f"{TURN_KEY}{int(turn.said_at * 1000)}",
            value=turn.text,
            created_at=datetime.fromtimestamp(turn.said_at, timezone.utc),
            id=self.turn_id(turn.item_id),
            session_id=self._session_id,
            next_free_key=True,
            generation=turn.generation,
        )

    async def _until_taken(self, call: Callable[[], T]) -> T:
        pause = _FIRST_RETRY_S
        while True:
            try:
                return await self._threads.run(call)
            except StorageRejectedError:
                raise
            except StorageError as error:
                _TURNS.labels("retried").inc()
                logger.warning("the store is away; trying again", extra={"error": str(error)})
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, _LONGEST_RETRY_S)


def write_id(session_id: str, item_id: str, kind: str) -> str:
    """Return the id of a write: the same for the same item of the same person's session.

    Args:
        session_id: the session.
        item_id: the conversation item that causes the write.
        kind: what the item causes, where it causes several writes.
    """
    name = f"voice-agent:{get_session_user_uuid()}:{session_id}:{item_id}:{kind}:0"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def log_stored(memory: Memory) -> None:
    """Say that a memory was stored; its key only where personal data may be logged."""
    turn = memory.key.startswith(TURN_KEY)
    key = {"key": memory.key} if turn else personal(key=memory.key)
    extra = {"user_uuid": memory.user, "category": memory.category.value, **key}
    logger.info("[MEMORY STORED]", extra={**extra, **personal(text=memory.value)})
