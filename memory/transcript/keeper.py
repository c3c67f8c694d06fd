"""Keeps the transcript of one session, behind the voice path.

`TranscriptKeeper.hear` only puts a turn on a queue. One task stores what waits, in batches, in
a thread of its own, and tries again while the store is away. Unlike the recorder's turns these
are in no outbox: what is not stored when the session ends is lost, and counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial

from prometheus_client import Counter

from memory.model import Memory, MemoryInputError
from memory.retry import until_taken
from memory.transcript.forgetting import told_in
from memory.transcript.model import MAX_TEXT_LENGTH, Role, TranscriptTurn
from memory.transcript.store import TranscriptStore
from memory.writes import write_id
from session_context import get_current_user, get_session_generation, get_session_remembered
from storage import StorageRejectedError, StoreThreads

logger = logging.getLogger("memory.transcript")

MOST_WAITING_TURNS = 1_000
_BATCH = 100

_TURNS = Counter(
    "voice_agent_transcript_turns", "Turns for the transcript, by what became of them", ["result"]
)


class TranscriptKeeper:
    """Stores what both sides of one session say. Start it where the session's user is bound.

    Args:
        store: where the transcript is kept.
        session_id: makes the ids of this session's turns its own.
        on_erased: called with the generation of a turn that came too late: the person was
            erased since.
    """

    def __init__(
        self,
        store: TranscriptStore,
        session_id: str,
        *,
        on_erased: Callable[[int | None], None] | None = None,
    ) -> None:
        self._store = store
        self._session_id = session_id
        self._on_erased = on_erased
        self._thread = StoreThreads(1)
        self._waiting: asyncio.Queue[TranscriptTurn | None] = asyncio.Queue(MOST_WAITING_TURNS)
        self._under_way = 0
        self._paused = False
        self._begun_at = 0.0
        self._answered = ""
        self._answers: dict[str, list[str]] = {}
        self._heard: set[str] = set()
        self._taken_back: set[str] = set()
        self._to_remove: set[str] = set()
        self._to_forget: list[Memory] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to store what is heard."""
        self._task = asyncio.create_task(self._keep_all(), name="transcript_keeper")

    def pause(self) -> None:
        """Keep nothing of what is heard from now on."""
        self._paused = True

    def resume(self) -> None:
        """Keep what is heard from now on."""
        self._paused = False

    def hear(self, role: Role, item_id: str, text: str, said_at: float) -> None:
        """Take what one side said; returns at once. What is too long is cut.

        Args:
            role: who said it.
            item_id: the conversation item's id, unique within its session.
            text: what was said.
            said_at: when it began, seconds since the epoch.
        """
        if not text.strip() or get_session_remembered() is False:
            return
        turn_id = self._note(role, item_id)
        if self._paused or turn_id in self._taken_back:
            _TURNS.labels("unheard").inc()
            return
        # The agent may have begun to say it when it still knew who is erased now.
        if said_at < self._begun_at:
            _TURNS.labels("erased").inc()
            return
        moment = datetime.fromtimestamp(said_at, timezone.utc)
        generation = get_session_generation()
        try:
            self._waiting.put_nowait(
                TranscriptTurn(
                    turn_id, self._session_id, role, text[:MAX_TEXT_LENGTH], moment, generation
                )
            )
            self._heard.add(turn_id)
        except MemoryInputError as error:
            _TURNS.labels("refused").inc()
            logger.error("a turn is not in the transcript", extra={"error": str(error)})
        except asyncio.QueueFull:
            _TURNS.labels("dropped").inc()
            logger.error("a turn is not in the transcript: the store has been away for too long")

    def take_back(self, item_id: str) -> None:
        """Take a turn of the person out of the transcript, with the agent's answers to it."""
        ids = {self._turn_id(each) for each in (item_id, *self._answers.get(item_id, ()))}
        gone = (ids - self._taken_back) & self._heard
        self._taken_back |= ids
        self._to_remove |= gone
        if gone:
            self._wake()

    def forget(self, memories: Sequence[Memory]) -> None:
        """Take out the turns in which forgotten memories were told, whichever session's.

        The agent's answers go with them.
        """
        self._to_forget += [memory for memory in memories if memory.session_id is not None]
        if self._to_forget:
            self._wake()

    def begin_anew(self) -> None:
        """Go on as with a new person: drop what waits, and what is being said."""
        self._begun_at = time.time()
        self._answered = ""
        self._answers.clear()
        while not self._waiting.empty():
            if self._waiting.get_nowait() is not None:
                _TURNS.labels("erased").inc()
            self._waiting.task_done()

    async def aclose(self, deadline_s: float) -> None:
        """Store what is still waiting, for at most ``deadline_s`` seconds, and end."""
        if self._task is None:
            return
        try:
            await asyncio.wait_for(self._waiting.join(), deadline_s)
        except asyncio.TimeoutError:
            lost = self._waiting.qsize() + self._under_way
            _TURNS.labels("lost").inc(lost)
            logger.error("the end of a transcript was lost", extra={"turns": lost})
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._thread.close()

    def _wake(self) -> None:
        if not self._waiting.full():  # whoever stores what waits sees the rest as well
            self._waiting.put_nowait(None)

    def _note(self, role: Role, item_id: str) -> str:
        turn_id = self._turn_id(item_id)
        if role == "user":
            self._answered = item_id
        else:
            self._answers.setdefault(self._answered, []).append(item_id)
            if self._turn_id(self._answered) in self._taken_back:
                self._taken_back.add(turn_id)
        return turn_id

    def _turn_id(self, item_id: str) -> str:
        return write_id(self._session_id, item_id, "transcript")

    async def _keep_all(self) -> None:
        while True:
            waiting = [await self._waiting.get()]
            while len(waiting) < _BATCH and not self._waiting.empty():
                waiting.append(self._waiting.get_nowait())
            turns = [turn for turn in waiting if turn is not None]
            self._under_way = len(turns)
            try:
                await self._keep(turns)
                await self._forget()
                await self._remove()
            except Exception as error:  # noqa: BLE001 - one bad turn must not end the keeper
                _TURNS.labels("failed").inc(len(turns))
                logger.error(
                    "turns are not in the transcript", extra={"error": type(error).__name__}
                )
            finally:
                self._under_way = 0
                for _ in waiting:
                    self._waiting.task_done()

    async def _keep(self, turns: list[TranscriptTurn]) -> None:
        try:
            kept = await until_taken(self._thread, lambda: self._store_wanted(turns), _count_retry)
        except StorageRejectedError as error:
            if len(turns) > 1:  # one of them is refused; the others are not
                for turn in turns:
                    await self._keep([turn])
                return
            _TURNS.labels("refused").inc()
            logger.error("a turn is not in the transcript", extra={"error": str(error)})
            return
        _TURNS.labels("kept").inc(len(kept))
        late = [each for each in turns if each.id not in kept and each.id not in self._taken_back]
        if late and get_session_remembered() is not False:
            _TURNS.labels("erased").inc(len(late))
            logger.info("turns from before the person was erased are in no transcript")
            if self._on_erased is not None:
                self._on_erased(late[0].generation)

    def _store_wanted(self, turns: list[TranscriptTurn]) -> set[str]:
        # Asked before each try: the person may take it back while the store is away.
        wanted = [turn for turn in turns if turn.id not in self._taken_back]
        if not wanted or get_session_remembered() is False:
            return set()
        return set(self._store.keep(get_current_user(), wanted))

    async def _forget(self) -> None:
        while self._to_forget:
            forgotten = list(self._to_forget)
            find = partial(told_in, self._store, get_current_user(), forgotten)
            self._to_remove.update(await until_taken(self._thread, find, _count_retry))
            del self._to_forget[: len(forgotten)]

    async def _remove(self) -> None:
        while self._to_remove:
            ids = sorted(self._to_remove)
            remove = partial(self._store.remove, get_current_user(), ids)
            await until_taken(self._thread, remove, _count_retry)
            self._to_remove.difference_update(ids)
            _TURNS.labels("taken_back").inc(len(ids))


def _count_retry() -> None:
    _TURNS.labels("retried").inc()
