"""The outbox's file: what was told on this host and is not yet in the database.

``DATA_DIR/outbox.db``, private (0600 in a 0700 folder), shared by all processes of the host.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from memory.outbox import rows
from memory.outbox.entry import Entry, Write
from memory.outbox.errors import OutboxFullError, OutboxUnwritableError
from memory.outbox.lane import Lane
from memory.outbox.metrics import APPENDED, REFUSED, SET_ASIDE, UNWRITABLE

T = TypeVar("T")


class OutboxFile:
    """Takes, gives and deletes writes; safe in many threads and processes at once.

    Every call may raise `OutboxUnwritableError`: disk full, read-only, damaged. A damaged
    file is replaced by one with its readable rows, by whoever is alone with it first.

    Args:
        data_dir: the folder of ``outbox.db``; made when it is first needed.
        max_bytes: at this size it takes no more.
    """

    def __init__(self, data_dir: Path, *, max_bytes: int) -> None:
        self.folder = data_dir
        self._max_bytes = max_bytes
        self._writer = Lane(data_dir)
        self._reader = Lane(data_dir)  # a read never waits for another thread's sync
        self._listeners: list[Callable[[], None]] = []

    @property
    def exists(self) -> bool:
        """Whether there is a file, as far as this process may see."""
        try:
            return (self.folder / "outbox.db").exists()
        except OSError:
            return False

    def on_append(self, tell: Callable[[], None]) -> None:
        """Call ``tell`` after each append of this process."""
        self._listeners.append(tell)

    def append(self, user: str, writes: Sequence[Write]) -> list[Entry]:
        """Add writes of a person, all of them or none; returns once they are on the disk.

        Returns:
            The rows; of a write whose id is there already, the one that is there. Memories of
            a generation older than the person's, as far as this host knows it, are dropped.

        Raises:
            OutboxFullError: the outbox is at its bound.
            memory.model.MemoryInputError: a value is none that can be stored.
        """
        with self._writing() as file:
            if rows.used_bytes(file) >= self._max_bytes:
                REFUSED.inc(len(writes))
                raise OutboxFullError(
                    "the outbox has reached OUTBOX_MAX_MB and takes no more; bring Supabase back "
                    "(see python -m memory outbox list), or raise it"
                )
            appended = [rows.append(file, user, write) for write in writes]
        made = [entry for entry in appended if entry is not None]
        APPENDED.inc(len(made))
        for tell in self._listeners:
            tell()
        return made

    def generation(self, user: str) -> int:
        """Return the last generation of the person that this host knows, 0 at first."""
        return self._read(lambda file: rows.generation(file, user))

    def waiting(self, user: str, limit: int = -1) -> list[Entry]:
        """Return a person's rows that wait, first to last."""
        return self._read(lambda file: rows.waiting(file, user, limit))

    def is_waiting(self, user: str) -> bool:
        """Tell whether a person has a row that waits."""
        return self._read(lambda file: rows.is_waiting(file, user))

    def users(self) -> list[str]:
        """Return whose rows wait, the one who has waited longest first."""
        return self._read(rows.users)

    def entries(self) -> list[Entry]:
        """Return all rows, those set aside as well, first to last."""
        return self._read(rows.entries)

    def counts(self) -> tuple[int, int]:
        """Return how many rows wait and how many are set aside."""
        return self._read(rows.counts)

    def version(self) -> tuple[int, int]:
        """Return a value that changes when any process has changed the file."""
        with self._counted(), self._reader.use() as file:
            return self._reader.openings, file.execute("PRAGMA data_version").fetchone()[0]

    def delivered(self, ordinals: Iterable[int]) -> int:
        """Delete rows that the database has; returns how many were still there."""
        with self._writing() as file:
            return rows.delete(file, ordinals)

    def not_taken(self, ordinals: Iterable[int]) -> None:
        """Count an attempt of these rows."""
        with self._writing() as file:
            rows.count_attempt(file, ordinals)

    def set_aside(self, ordinal: int, problem: str, *, reason: str) -> None:
        """Take a row out of those that wait.

        Args:
            ordinal: the row.
            problem: why, for the operator; without anything personal.
            reason: a word for it, for the counter.
        """
        with self._writing() as file:
            rows.set_aside(file, ordinal, problem)
        SET_ASIDE.labels(reason).inc()

    def retry_all(self) -> int:
        """Let everything that is set aside wait again, and return how much that is."""
        with self._writing() as file:
            return rows.retry_all(file)

    def is_set_aside(self, user: str, write_id: str) -> bool:
        """Tell whether a person's write is set aside."""
        return self._read(lambda file: rows.is_set_aside(file, user, write_id))

    def erase(self, user: str, *, generation: int | None = None) -> int:
        """Delete all of a person's rows, from the -wal as well, and return how many.

        Args:
            user: the person.
            generation: the person's generation from now on, where it is known.
        """
        with self._writing() as file:
            gone = rows.erase(file, user)
            if generation is not None:
                rows.learn_generation(file, user, generation)
        self.empty_log()
        return gone

    def learn_generation(self, user: str, generation: int) -> None:
        """Keep the person's generation, for writes that do not name theirs."""
        if self.generation(user) < generation:
            with self._writing() as file:
                rows.learn_generation(file, user, generation)

    def empty_log(self) -> None:
        """Write the -wal back and empty it, so that deleted rows are nowhere on the disk."""
        with self._counted(), self._writer.use() as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def step_aside(self) -> None:
        """Let somebody repair the file who waits for it. Call it now and then when idle."""
        self._writer.step_aside()
        self._reader.step_aside()

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        self._writer.close()
        self._reader.close()

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with self._counted(), self._reader.use() as file:
            return query(file)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._counted(), self._writer.use() as file:
            file.execute("BEGIN IMMEDIATE")
            try:
                yield file
                file.execute("COMMIT")
            finally:
                if file.in_transaction:
                    file.execute("ROLLBACK")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except OutboxUnwritableError as error:
            UNWRITABLE.labels(error.cause).inc()
            raise
