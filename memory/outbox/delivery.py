"""Brings one person's waiting rows into the database, in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby

from memory.model import NewMemory
from memory.outbox.entry import Entry, Forgetting, Withdrawal, Write
from memory.outbox.errors import UnreadableEntryError
from memory.outbox.file import OutboxFile
from memory.outbox.metrics import DELIVERED, DROPPED
from memory.store import MemoryStore
from storage import PersonErasedError, StorageError, StorageRejectedError

logger = logging.getLogger("memory.outbox")

LARGEST_BATCH = 100


class Delivery:
    """Delivers in batches, whose size follows what the database manages in time.

    Args:
        outbox: from where.
        database: to where.
    """

    def __init__(self, outbox: OutboxFile, database: MemoryStore) -> None:
        self._outbox = outbox
        self._database = database
        self._batch = LARGEST_BATCH

    def deliver(self, user: str) -> bool:
        """Deliver the next batch of a person's rows.

        A row is deleted once the database has acknowledged it. A row that the database will
        never take is set aside.

        Returns:
            Whether more may wait.

        Raises:
            StorageError: the database cannot take them now, or the outbox cannot be used.
        """
        batch = self._outbox.waiting(user, self._batch)
        ready = [(entry, write) for entry in batch if (write := self._read(entry)) is not None]
        for remembers, group in groupby(ready, lambda each: isinstance(each[1], NewMemory)):
            if remembers:
                self._remember(user, list(group))
            else:
                self._forget(user, list(group))
        full = len(batch) == self._batch
        self._batch = min(self._batch * 2, LARGEST_BATCH)
        return full

    def _remember(self, user: str, group: Sequence[tuple[Entry, Write]]) -> None:
        memories = [write for _, write in group if isinstance(write, NewMemory)]
        ordinals = [entry.ordinal for entry, _ in group]
        try:
            stored = self._database.store(user, memories)
        except PersonErasedError:
            self._done(ordinals, dropped=len(ordinals))
        except StorageRejectedError as error:
            if len(group) == 1:
                self._refuse(group[0][0], error)
                return
            middle = len(group) // 2
            self._remember(user, group[:middle])
            self._remember(user, group[middle:])
        except StorageError:
            self._not_taken(ordinals)
            raise
        else:
            self._done(ordinals, dropped=len(memories) - len(stored))

    def _done(self, ordinals: Sequence[int], *, dropped: int = 0) -> None:
        DELIVERED.inc(self._outbox.delivered(ordinals))
        if dropped:
            DROPPED.inc(dropped)
            logger.info("writes from before an erasure were dropped", extra={"writes": dropped})

    def _forget(self, user: str, group: Sequence[tuple[Entry, Write]]) -> None:
        for entry, write in group:
            # Once more is too much here: what was told again since would be deleted.
            if isinstance(write, NewMemory) or not self._still_waits(entry):
                continue
            try:
                self._take_away(user, write)
            except StorageRejectedError as error:
                self._refuse(entry, error)
            except StorageError:
                self._not_taken([entry.ordinal])
                raise
            else:
                self._done([entry.ordinal])

    def _take_away(self, user: str, write: Forgetting | Withdrawal) -> None:
        if isinstance(write, Forgetting):
            self._database.forget(user, write.category, write.key)
        else:
            self._database.withdraw(user, write.key)

    def _still_waits(self, entry: Entry) -> bool:
        first = self._outbox.waiting(entry.user, 1)
        return bool(first) and first[0].ordinal == entry.ordinal

    def _not_taken(self, ordinals: Sequence[int]) -> None:
        # A batch that a slow database does not manage in time may pass in smaller ones.
        self._batch = max(1, min(self._batch, len(ordinals)) // 2)
        self._outbox.not_taken(ordinals)

    def _read(self, entry: Entry) -> Write | None:
        try:
            return entry.read()
        except UnreadableEntryError as error:
            self._set_aside(entry, str(error), "unreadable")
            return None

    def _refuse(self, entry: Entry, error: StorageRejectedError) -> None:
        self._set_aside(entry, str(error), "rejected")

    def _set_aside(self, entry: Entry, problem: str, reason: str) -> None:
        self._outbox.set_aside(entry.ordinal, problem, reason=reason)
        logger.error(
            "a write cannot be delivered and is set aside; see python -m memory outbox list",
            extra={"ordinal": entry.ordinal, "user_uuid": entry.user, "problem": problem},
        )
