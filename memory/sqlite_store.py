"""Memories in a SQLite file for each person: the embedded default."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from memory.candidates import NOTHING, Candidates
from memory.model import TURN_KEY, Category, Memory, NewMemory, Position
from memory.moments import microseconds, moment_of
from memory.sqlite_search import find_candidates
from memory.store import MOST_OF_A_HISTORY, MemoryStore
from storage.person_file import PersonFiles, ensure_profile_row, generation_of, is_remembered

COLUMNS = (
    "id, category, key, value, created_at, superseded_at, session_id, place, generation, "
    "confidence, source_id, expires_at"
)
_CURRENT = "superseded_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
_AMONG = "id IN (SELECT value FROM json_each(?))"
_DERIVED = "source_id IN (SELECT value FROM json_each(?))"


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
            return store_in(file, user, memories)

    def generation(self, user: str) -> int | None:
        """Read the person's fence."""
        with self._people.reading(user) as file:
            return generation_of(file) if is_remembered(file) else None

    def retrieve(self, user: str, category: Category, key: str) -> Memory | None:
        """Return the current value of the key."""
        condition = f"{_CURRENT} AND category = ? AND key = ?"
        found = self._select(user, condition, (_now(), category.value, key))
        return found[0] if found else None

    def candidates(self, user: str, words: Sequence[Sequence[str]], limit: int) -> Candidates:
        """Find hits by FTS5's BM25."""
        if not words:
            return NOTHING
        with self._people.reading(user) as file:
            total, frequencies, found = find_candidates(file, words, limit, _now())
        return Candidates(total, frequencies, found, lambda ids: self._read(user, ids))

    def list_memories(
        self, user: str, category: Category | None, limit: int, before: Position | None = None
    ) -> list[Memory]:
        """Return current memories, newest first."""
        condition = _CURRENT
        values: tuple[str | int, ...] = (_now(),)
        if category is not None:
            condition, values = f"{condition} AND category = ?", (*values, category.value)
        if before is not None:
            place = microseconds(before.told_at), before.id
            condition, values = f"{condition} AND (created_at, id) < (?, ?)", (*values, *place)
        return self._select(user, condition, values, limit)

    def list_facts(self, user: str, limit: int) -> list[Memory]:
        """Return current memories that are no turns, newest first."""
        condition = f"{_CURRENT} AND substr(key, 1, ?) <> ?"
        return self._select(user, condition, (_now(), len(TURN_KEY), TURN_KEY), limit)

    def related(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        """Find the writes by their ids and by their sources."""
        condition = f"({_AMONG} OR {_DERIVED})"
        ids = json.dumps(list(write_ids))
        return self._select(user, condition, (ids, ids))[::-1]

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

    def withdraw(self, user: str, write_id: str) -> bool:
        """Delete the write and open the value before it again."""
        with self._people.writing(user) as file:
            return _withdraw(file, write_id)

    def _select(
        self, user: str, condition: str, values: tuple[str | int, ...], limit: int = -1
    ) -> list[Memory]:
        with self._people.reading(user) as file:
            rows = file.execute(
                f"SELECT {COLUMNS} FROM memory WHERE {condition} "  # noqa: S608 - constants only
                "ORDER BY created_at DESC, id DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [read_memory(user, row) for row in rows]

    def _read(self, user: str, ids: Sequence[str]) -> list[Memory]:
        found = self._select(user, f"{_CURRENT} AND {_AMONG}", (_now(), json.dumps(ids)))
        by_id = {memory.id: memory for memory in found}
        return [by_id[each] for each in ids if each in by_id]


def store_in(file: sqlite3.Connection, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
    """Store memories as `MemoryStore.store` does, within the caller's transaction.

    Args:
        file: the person's file, in a write transaction.
        user: the person.
        memories: what they told.
    """
    fence = generation_of(file)
    kept = [new for new in memories if new.generation is None or new.generation >= fence]
    if not kept or not is_remembered(file):
        return []
    ensure_profile_row(file, email=None)
    return [_store_one(file, user, fence, new) for new in kept]


def _store_one(file: sqlite3.Connection, user: str, fence: int, new: NewMemory) -> Memory:
    known = file.execute(
        f"SELECT {COLUMNS} FROM memory WHERE id = ?",  # noqa: S608 - constants only
        (new.id,),
    ).fetchone()
    if known is not None:
        return read_memory(user, known)
    key = _free_key(file, new.key) if new.next_free_key else new.key
    told_at = microseconds(new.created_at)
    later = _close_earlier(file, new.category.value, key, told_at, new.id)
    row = (
        *(new.id, new.category.value, key, new.value, told_at, later),
        *(new.session_id, _next_place(file, new.session_id)),
        fence if new.generation is None else new.generation,
        *(new.confidence, new.source_id),
        None if new.expires_at is None else microseconds(new.expires_at),
    )
    _insert(file, row)
    return read_memory(user, row)


def _withdraw(file: sqlite3.Connection, write_id: str) -> bool:
    gone = file.execute(
        "SELECT category, key, created_at, superseded_at FROM memory WHERE id = ?", (write_id,)
    ).fetchone()
    if gone is None:
        return False
    category, key, told_at, closed_at = gone
    file.execute("DELETE FROM memory WHERE id = ?", (write_id,))
    before = file.execute(
        f"SELECT {COLUMNS} FROM memory WHERE category = ? AND key = ? "  # noqa: S608 - constants only
        "AND (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT 1",
        (category, key, told_at, write_id),
    ).fetchone()
    if before is not None and before[5] == told_at:
        # Put in anew, not changed: what is put in as current is what the index takes up.
        file.execute("DELETE FROM memory WHERE id = ?", (before[0],))
        _insert(file, (*before[:5], closed_at, *before[6:]))
    return True


def _insert(file: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    file.execute(
        f"INSERT INTO memory ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants only
        row,
    )


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


def _next_place(file: sqlite3.Connection, session_id: str | None) -> int | None:
    if session_id is None:
        return None
    last: int | None = file.execute(
        "SELECT max(place) FROM memory WHERE session_id = ?", (session_id,)
    ).fetchone()[0]
    return 1 + (last or 0)


def read_memory(user: str, row: tuple[Any, ...]) -> Memory:
    """Read a row of `COLUMNS`."""
    write_id, category, key, value, created_at, superseded_at, session_id, *rest = row
    place, generation, confidence, source_id, expires_at = rest
    return Memory(
        id=write_id,
        user=user,
        category=Category.of(category),
        key=key,
        value=value,
        created_at=moment_of(created_at),
        superseded_at=None if superseded_at is None else moment_of(superseded_at),
        session_id=session_id,
        place=place,
        generation=generation,
        confidence=confidence,
        source_id=source_id,
        expires_at=None if expires_at is None else moment_of(expires_at),
    )


def _now() -> int:
    return time.time_ns() // 1000
