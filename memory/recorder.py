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
from dataclasses import dataclass
from datetime import datetime, timezone

from prometheus_client import Counter

from log_privacy import personal
from memory.categories import categorise
from memory.gate import is_worth_keeping
from memory.manager import MemoryManager
from memory.model import MAX_VALUE_LENGTH, MemoryInputError, NewMemory
from session_context import get_session_user_uuid
from storage import StorageError, StorageRejectedError, StoreThreads

logger = logging.getLogger("memory.recorder")

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
    """

    text: str
    item_id: str
    said_at: float


class Recorder:
    """Stores the turns of one session. Start it where the session's user is bound.

    Args:
        memory: the session's memory.
        threads: where its blocking calls run.
        session_id: makes the ids of this session's writes its own.
    """

    def __init__(self, memory: MemoryManager, threads: StoreThreads, session_id: str) -> None:
        self._memory = memory
        self._threads = threads
        self._session_id = session_id
        self._turns: asyncio.Queue[UserTurn] = asyncio.Queue(MOST_WAITING_TURNS)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to store what is heard."""
        self._task = asyncio.create_task(self._store_turns(), name="memory_recorder")

    def hear(self, turn: UserTurn) -> None:
        """Take a turn; returns at once."""
        try:
            self._turns.put_nowait(turn)
        except asyncio.QueueFull:
            _TURNS.labels("dropped").inc()
            logger.error("a turn was dropped: the store has been away for too long")

    async def settle(self, deadline_s: float) -> bool:
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
        if not await self.settle(deadline_s):
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
            except Exception as error:  # noqa: BLE001 - one bad turn must not end the recorder
                _TURNS.labels("failed").inc()
                logger.error("a turn was not stored", extra={"error": type(error).__name__})
            finally:
                self._turns.task_done()

    async def _keep(self, turn: UserTurn) -> None:
        who = {"user_uuid": get_session_user_uuid()}
        logger.info("[USER INPUT]", extra={**who, **personal(text=turn.text)})
        if not is_worth_keeping(turn.text):
            _TURNS.labels("filler").inc()
            return
        try:
            memory = self._as_memory(turn)
        except MemoryInputError as error:
            _TURNS.labels("unusable").inc()
            logger.warning("a turn cannot be stored", extra={**who, "error": str(error)})
            return
        extra = {**who, "category": memory.category.value}
        logger.info("[MEMORY CATEGORIZATION]", extra={**extra, **personal(text=turn.text)})
        await self._store(memory)

    def _as_memory(self, turn: UserTurn) -> NewMemory:
        name = f"voice-agent:{self._session_id}:{turn.item_id}:turn:0"
        return NewMemory(
            category=categorise(turn.text),
            key=f"user_input_{int(turn.said_at * 1000)}",
            value=turn.text[:MAX_VALUE_LENGTH],
            created_at=datetime.fromtimestamp(turn.said_at, timezone.utc),
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            session_id=self._session_id,
            next_free_key=True,
        )

    async def _store(self, memory: NewMemory) -> None:
        pause = _FIRST_RETRY_S
        while True:
            try:
                stored = (await self._threads.run(self._memory.store_all, [memory]))[0]
            except StorageRejectedError as error:
                _TURNS.labels("rejected").inc()
                logger.error("the store refused a turn for good", extra={"error": str(error)})
                return
            except StorageError as error:
                _TURNS.labels("retried").inc()
                logger.warning("the store is away; trying again", extra={"error": str(error)})
            else:
                _TURNS.labels("stored").inc()
                logger.info(
                    "[MEMORY STORED]",
                    extra={
                        "user_uuid": stored.user,
                        "category": stored.category.value,
                        "key": stored.key,
                        **personal(text=stored.value),
                    },
                )
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, _LONGEST_RETRY_S)
