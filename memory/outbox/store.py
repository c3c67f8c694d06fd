"""The memory store that takes a write at once and delivers it when the database can take it."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import NamedTuple

from memory.candidates import Candidates
from memory.model import TURN_KEY, Category, Memory, MemoryInputError, NewMemory, Position
from memory.outbox.drainer import Drainer
from memory.outbox.entry import Entry, Forgetting, Withdrawal, Write, as_stored
from memory.outbox.errors import OutboxFullError, OutboxUnwritableError, UnreadableEntryError
from memory.outbox.file import OutboxFile
from memory.outbox.generations import Generations
from memory.outbox.overlay import Overlay, has_expired
from memory.outbox.paging import Wanted, page_of_both
from memory.store import MemoryStore
from storage import StorageError, StorageRejectedError

logger = logging.getLogger("memory.outbox")

_MOST_RESULTS = 200
_JUST_NOW = timedelta(hours=1)
_POLL_S = 0.02
_WITHDRAW_S = 0.3
_KNOWN_PEOPLE = 64


class _Kept(NamedTuple):
    """A person's overlay, good as long as the outbox is of this version."""

    version: tuple[int, int]
    writes: Mapping[int, Write]
    overlay: Overlay


class OutboxMemoryStore(MemoryStore, AbstractContextManager["OutboxMemoryStore"]):
    """The contract over another store, with an outbox before it.

    `store` and `forget` return once the write is on this host's disk. Reads show what waits
    over what the database has. What `store` returns is what will be stored as far as this
    host knows: the database may close it where it has a later value, and may move a key on.

    Where the outbox cannot be written, writes go to the database itself.

    Args:
        outbox: where writes wait.
        database: the store that they are for.
        drainer: delivers them; told of each append, and closed with this store.
    """

    def __init__(
        self, outbox: OutboxFile, database: MemoryStore, drainer: Drainer | None = None
    ) -> None:
        self._outbox = outbox
        self._database = database
        self._drainer = drainer
        self._generations = Generations(outbox, database)
        self._lock = threading.Lock()
        self._overlays: OrderedDict[str, _Kept] = OrderedDict()
        self._complaint: str | None = None

    def store(self, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        """Append memories to the outbox in one transaction.

        Where some do not name their generation, the database is asked for it first, once a
        person. Where it does not answer in time, the last that this host knows is theirs.
        """
        unnamed = any(memory.generation is None for memory in memories)
        if unnamed and not self._generations.learn(user):
            memories = [memory for memory in memories if memory.generation is not None]
        if not memories:
            return []
        try:
            appended = self._append(user, memories)
        except OutboxUnwritableError:
            return self._database.store(user, memories)
        return [as_stored(user, write) for write in appended if isinstance(write, NewMemory)]

    def generation(self, user: str) -> int | None:
        """Ask the database."""
        return self._database.generation(user)

    def retrieve(self, user: str, category: Category, key: str) -> Memory | None:
        """Return the current value; one that was told just now, without asking the database."""
        overlay = self._overlay(user)
        waiting = overlay.values(category, key)
        if overlay.forgets(category, key) or (waiting and _is_from_now(waiting[0])):
            return _unless_expired(waiting[0]) if waiting else None
        try:
            stored = self._database.retrieve(user, category, key)
        except StorageError:
            if not waiting:
                raise
            return _unless_expired(waiting[0])
        if stored is not None and overlay.withdraws(stored.id):
            before = self.history(user, category, key)
            return _unless_expired(before[0]) if before else None
        if not waiting or (stored and _age(stored) > _age(waiting[0])):
            return stored
        return _unless_expired(waiting[0])

    def candidates(self, user: str, words: Sequence[Sequence[str]], limit: int) -> Candidates:
        """Find in both."""
        overlay = self._overlay(user)
        stored = self._database.candidates(user, words, _more(limit, overlay))
        return overlay.found(stored, words, limit) if overlay and words else stored

    def list_memories(
        self, user: str, category: Category | None, limit: int, before: Position | None = None
    ) -> list[Memory]:
        """List from both."""
        overlay = self._overlay(user)
        if not overlay:
            return self._database.list_memories(user, category, limit, before)
        wanted = Wanted(user, category, limit, _more(limit, overlay))
        return page_of_both(self._database, overlay, wanted, before)

    def list_facts(self, user: str, limit: int) -> list[Memory]:
        """List from both."""
        overlay = self._overlay(user)
        stored = self._database.list_facts(user, _more(limit, overlay))
        facts = overlay.listed(stored, None) if overlay else stored
        return [memory for memory in facts if not memory.key.startswith(TURN_KEY)][:limit]

    def related(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        """Find in both."""
        overlay = self._overlay(user)
        stored = self._database.related(user, write_ids)
        return overlay.related(stored, write_ids) if overlay else stored

    def waiting(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        """Find in what waits on this host."""
        return self._overlay(user).related([], write_ids)

    def withdraw(self, user: str, write_id: str) -> bool:
        """Deliver what waits and withdraw the write; where that takes long, the undo waits too.

        While it waits, the value before is current again in `retrieve` and `history`, and in
        lists and searches once it is delivered.

        Returns:
            Whether there is such a write; True where the database cannot say.
        """
        overlay = self._overlay(user)
        try:
            if not self._outbox.is_set_aside(user, write_id) and self.drain(user, _WITHDRAW_S):
                return self._database.withdraw(user, write_id)
            known = overlay.holds(write_id) or self._outbox.is_set_aside(user, write_id)
            if not known and not overlay.withdraws(write_id):
                stored = self._database.related(user, [write_id])
                known = any(each.id == write_id for each in stored)
        except StorageRejectedError:
            raise
        except StorageError:
            known = True  # as far as anybody can say now
        self._append(user, [Withdrawal(write_id)])
        return known

    def history(self, user: str, category: Category, key: str) -> list[Memory]:
        """Return the values of both."""
        overlay = self._overlay(user)
        if overlay.forgets(category, key):
            return overlay.history([], category, key)
        stored = self._database.history(user, category, key)
        return overlay.history(stored, category, key) if overlay else stored

    def forget(self, user: str, category: Category | None, key: str) -> int:
        """Append the forgetting to the outbox.

        Returns:
            How many values this host knows to be gone by it; at least 1 where the database
            cannot say how many it has.

        Raises:
            OutboxUnwritableError: the forgetting cannot wait behind what waits, which would
                bring back what it deletes.
        """
        known = self._known(user, category, key)
        try:
            self._append(user, [Forgetting(category, key)])
        except OutboxUnwritableError:
            if self._may_deliver(user):
                raise
            return self._database.forget(user, category, key)
        return known

    def drain(self, user: str, deadline_s: float) -> bool:
        """Wait until what the person told is in the database, for at most ``deadline_s``."""
        deadline = time.monotonic() + deadline_s
        if self._drainer is not None:
            self._drainer.hurry()
        try:
            while self._outbox.is_waiting(user):
                if time.monotonic() > deadline:
                    return False
                time.sleep(_POLL_S)
        except OutboxUnwritableError as error:
            self._complain(error)
            return False
        return True

    def close(self) -> None:
        """End the drainer and close the outbox; what waits is delivered later."""
        if self._drainer is not None:
            self._drainer.close()
        self._generations.close()
        self._outbox.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _may_deliver(self, user: str) -> bool:
        """Whether something of the person's waits, or may: what cannot be read may be salvaged."""
        try:
            return self._outbox.is_waiting(user)
        except OutboxUnwritableError:
            return self._outbox.exists

    def _append(self, user: str, writes: Sequence[Write]) -> list[Write]:
        try:
            entries = self._outbox.append(user, writes)
        except (OutboxUnwritableError, OutboxFullError) as error:
            self._complain(error)
            raise
        except MemoryInputError as error:
            raise StorageRejectedError(f"the row cannot be stored: {error}") from error
        self._complaint = None
        return [entry.read() for entry in entries]

    def _complain(self, error: OutboxUnwritableError | OutboxFullError) -> None:
        if self._complaint != (cause := str(error)):
            self._complaint = cause
            logger.error("the outbox cannot be used", extra={"error": cause})

    def _known(self, user: str, category: Category | None, key: str) -> int:
        overlay = self._overlay(user)
        waiting = {memory.id for memory in overlay.values(category, key)}
        try:
            stored = self._database.values_of(user, category, key)
        except StorageError:
            return max(len(waiting), 1)
        here = {memory.id for memory in stored if not overlay.forgets(memory.category, key)}
        return len(waiting | here)

    def _overlay(self, user: str) -> Overlay:
        try:
            version = self._outbox.version()
            with self._lock:
                kept = self._overlays.get(user)
            if kept is not None and kept.version == version:
                return kept.overlay
            same_file = kept is not None and kept.version[0] == version[0]
            known = kept.writes if kept is not None and same_file else {}
            writes = _readable(self._outbox.waiting(user), known)
            generation = self._outbox.generation(user) if writes else 0
            made = _Kept(version, writes, Overlay(user, writes.values(), generation))
        except OutboxUnwritableError as error:
            self._complain(error)
            return Overlay(user, [])
        with self._lock:
            self._overlays[user] = made
            while len(self._overlays) > _KNOWN_PEOPLE:
                self._overlays.popitem(last=False)
        return made.overlay


def _readable(entries: Sequence[Entry], known: Mapping[int, Write]) -> dict[int, Write]:
    writes: dict[int, Write] = {}
    for entry in entries:
        try:
            # A file never uses an ordinal again: what was read once need not be again.
            writes[entry.ordinal] = known.get(entry.ordinal) or entry.read()
        except UnreadableEntryError:
            logger.debug("a waiting row cannot be read; the drainer sets it aside")
    return writes


def _is_from_now(memory: Memory) -> bool:
    return abs(datetime.now(timezone.utc) - memory.created_at) < _JUST_NOW


def _age(memory: Memory) -> tuple[datetime, str]:
    return memory.created_at, memory.id


def _unless_expired(memory: Memory) -> Memory | None:
    return None if has_expired(memory) else memory


def _more(limit: int, overlay: Overlay) -> int:
    # As many as the overlay may take away again.
    return min(limit + len(overlay), max(limit, _MOST_RESULTS))
