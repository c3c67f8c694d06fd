"""What the outbox's tests share: a database that does as told, and writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from memory import Category, Memory, NewMemory, SqliteMemoryStore
from memory.candidates import Candidates
from memory.model import Position
from memory.outbox import OutboxFile
from storage import StorageError, StorageRejectedError, StorageUnavailableError
from storage.person_file import PersonFiles

PLENTY = 64 * 1024 * 1024


class Database(SqliteMemoryStore):
    """A real store in a file, which can be away, and refuses what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.files = PersonFiles(folder)
        super().__init__(self.files)
        self.away: StorageError | None = None
        self.poison: Callable[[NewMemory], bool] = lambda memory: False
        self.calls: list[list[str]] = []
        self.answers_lost = 0
        self.entered = threading.Event()
        self.passing = threading.Event()
        self.passing.set()

    def store(self, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        self.entered.set()
        self.passing.wait(20)
        self._fail()
        self.calls.append([memory.value for memory in memories])
        if any(map(self.poison, memories)):
            raise StorageRejectedError("the database refused the row for good (23514)")
        stored = super().store(user, memories)
        if self.answers_lost:
            self.answers_lost -= 1
            raise StorageUnavailableError("the answer was lost")
        return stored

    def generation(self, user: str) -> int | None:
        self._fail()
        return super().generation(user)

    def retrieve(self, user: str, category: Category, key: str) -> Memory | None:
        self._fail()
        return super().retrieve(user, category, key)

    def candidates(self, user: str, words: Sequence[Sequence[str]], limit: int) -> Candidates:
        self._fail()
        return super().candidates(user, words, limit)

    def list_memories(
        self, user: str, category: Category | None, limit: int, before: Position | None = None
    ) -> list[Memory]:
        self._fail()
        return super().list_memories(user, category, limit, before)

    def history(self, user: str, category: Category, key: str) -> list[Memory]:
        self._fail()
        return super().history(user, category, key)

    def related(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        self._fail()
        return super().related(user, write_ids)

    def withdraw(self, user: str, write_id: str) -> bool:
        self._fail()
        return super().withdraw(user, write_id)

    def forget(self, user: str, category: Category | None, key: str) -> int:
        self._fail()
        return super().forget(user, category, key)

    def values(self, user: str) -> list[str]:
        """What it holds, in the order in which it came."""
        with self.files.reading(user) as file:
            rows = file.execute("SELECT value FROM memory ORDER BY row").fetchall()
        return [value for (value,) in rows]

    def _fail(self) -> None:
        if self.away is not None:
            raise self.away


def an_outbox(data_dir: Path, max_bytes: int = PLENTY) -> OutboxFile:
    return OutboxFile(data_dir, max_bytes=max_bytes)


def new(value: str, key: str | None = None, **fields: object) -> NewMemory:
    """A memory; its key is its value unless one is given."""
    return NewMemory(Category.FACT, key or value, value, **fields)  # type: ignore[arg-type]


def now() -> datetime:
    return datetime.now(timezone.utc)
