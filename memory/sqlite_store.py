"""Memories in a SQLite file for each person: the embedded default."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from memory.model import Category, Memory, NewMemory
from memory.store import MOST_OF_A_HISTORY, MemoryStore
from storage.person_file import PersonFiles, ensure_profile_row

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_COLUMNS = "id, category, key, value, created_at, superseded_at, session_id"


class SqliteMemoryStore(MemoryStore):
    """The contract over `PersonFiles`.

    Args:
        people: opens the files; whoever made it closes it.
    """

    def __init__(self, people: PersonFiles) -> None:
        self._people = people

    def store(self, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        """Store memories in one transaction."""
        if not memories:
            return []
        with self._people.writing(user) as file:
            ensure_profile_row(file, email=None)
            return [self._store_one(file, user, memory) for memory in memories]

    def retrieve(self, user: str, category: Category, key: str) -> Memory | None:
        """Return the current value of the key."""
        found = self._select(
            user, "category = ? AND key = ? AND superseded_at IS NULL", (category.value, key)
        )
        return found[0] if found else None

    def search(self, user: str, words: Sequence[str], limit: int) -> list[Memory]:
        """Rank by BM25, then by recency."""
        if not words:
            return []
        # In quotes a word is never an FTS5 operator.
        match = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
        with self._people.reading(user) as file:
            rows = file.execute(
                f"SELECT {_COLUMNS} FROM memory JOIN ("  # noqa: S608 - constants only
                "    SELECT rowid AS hit, rank AS score FROM memory_search"
                "    WHERE memory_search MATCH ? ORDER BY rank LIMIT ?"
                ") ON row = hit ORDER BY score, created_at DESC, id",
                (match, limit),
            ).fetchall()
        return [_memory(user, row) for row in rows]

    def list_memories(self, user: str, category: Category | None, limit: int) -> list[Memory]:
        """Return current memories, newest first."""
        if category is None:
            return self._select(user, "superseded_at IS NULL", (), limit)
        condition = "superseded_at IS NULL AND category = ?"
        return self._select(user, condition, (category.value,), limit)

    def history(self, user: str, category: Category, key: str) -> list[Memory]:
        """Return the values of the key, newest first."""
        condition = "category = ? AND key = ?"
        return self._select(user, condition, (category.value, key), MOST_OF_A_HISTORY)

    def forget(self, user: str, category: Category | None, key: str) -> int:
        """Delete every value of the key."""
        wanted = None if category is None else category.value
        with self._people.writing(user) as file:
            return file.execute(
                "DELETE FROM memory WHERE key = ? AND category = coalesce(?, category)",
                (key, wanted),
            ).rowcount

    def _select(
        self, user: str, condition: str, values: tuple[str, ...], limit: int = -1
    ) -> list[Memory]:
        with self._people.reading(user) as file:
            rows = file.execute(
                f"SELECT {_COLUMNS} FROM memory WHERE {condition} "  # noqa: S608 - constants only
                "ORDER BY created_at DESC, id DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [_memory(user, row) for row in rows]

    def _store_one(self, file: sqlite3.Connection, user: str, new: NewMemory) -> Memory:
        known = file.execute(
            f"SELECT {_COLUMNS} FROM memory WHERE id = ?",  # noqa: S608 - constants only
            (new.id,),
        ).fetchone()
        if known is not None:
            return _memory(user, known)
        key = _free_key(file, new.key) if new.next_free_key else new.key
        told_at = _microseconds(new.created_at)
        later = _close_earlier(file, new.category.value, key, told_at, new.id)
        row = (new.id, new.category.value, key, new.value, told_at, later, new.session_id)
        file.execute(
            f"INSERT INTO memory ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants only
            row,
        )
        return _memory(user, row)


def _close_earlier(
    file: sqlite3.Connection, category: str, key: str, told_at: int, write_id: str
) -> int | None:
    # The value before this one ends where this one begins; a later one ends it.
    file.execute(
        "UPDATE memory SET superseded_at = ? WHERE category = ? AND key = ? "
        "AND (created_at, id) < (?, ?) AND (superseded_at IS NULL OR superseded_at > ?)",
        (told_at, category, key, told_at, write_id, told_at),
    )
    later: int | None = file.execute(
        "SELECT min(created_at) FROM memory "
        "WHERE category = ? AND key = ? AND (created_at, id) > (?, ?)",
        (category, key, told_at, write_id),
    ).fetchone()[0]
    return later


def _free_key(file: sqlite3.Connection, key: str) -> str:
    stem = key.rstrip("0123456789")
    count = int(key[len(stem) :])
    while file.execute("SELECT 1 FROM memory WHERE key = ?", (key,)).fetchone():
        count += 1
        key = f"{stem}{count}"
    return key


def _memory(user: str, row: tuple[str, str, str, str, int, int | None, str | None]) -> Memory:
    write_id, category, key, value, created_at, superseded_at, session_id = row
    return Memory(
        id=write_id,
        user=user,
        category=Category.of(category),
        key=key,
        value=value,
        created_at=_time(created_at),
        superseded_at=None if superseded_at is None else _time(superseded_at),
        session_id=session_id,
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
