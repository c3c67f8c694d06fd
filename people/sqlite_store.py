"""Whole people in SQLite: a person is a file, so that most of this is about one file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from memory import Memory
from memory.moments import microseconds, moment_of
from memory.sqlite_store import COLUMNS, read_memory, store_in
from memory.transcript import SqliteTranscriptStore, TranscriptStore, TranscriptTurn
from memory.transcript.sqlite_store import all_in, keep_in
from people.model import Erasure, ErasureUnfinishedError, Move, Record, Standing, as_write
from people.sqlite_merge import add_records, close_as
from people.store import PeopleStore
from storage import StorageRejectedError
from storage.person_file import PersonFiles, generation_of, is_remembered
from storage.person_layout import lay_anew, scrub

_PAGE = 1_000
_SCRUB_DEADLINE_S = 5.0

_TABLES = {
    "profile": ("email", "is_first_login", "created_at", "last_seen_at"),
    "user_profile": ("profile_text", "language", "time_zone", "updated_at"),
    "onboarding_details": ("first_name", "occupation", "interests", "updated_at"),
}
_TIMES = ("created_at", "last_seen_at", "updated_at")

_LAST_ACTIVITY = (
    "SELECT max(at) FROM (SELECT max(created_at) AS at FROM memory UNION ALL "
    "SELECT max(created_at, coalesce(last_seen_at, 0)) FROM profile)"
)
_EXPIRED = "FROM memory WHERE expires_at <= ?"


class SqlitePeopleStore(PeopleStore):
    """The contract over `PersonFiles`.

    Args:
        people: opens the files; whoever made it closes it.
        scrub_deadline_s: seconds that an erasure waits for whoever reads the file.
    """

    def __init__(self, people: PersonFiles, *, scrub_deadline_s: float = _SCRUB_DEADLINE_S) -> None:
        self._people = people
        self._scrub_deadline_s = scrub_deadline_s
        self._transcripts = SqliteTranscriptStore(people)

    @property
    def transcripts(self) -> TranscriptStore:
        """The transcripts in the same files."""
        return self._transcripts

    def standing(self, user: str) -> Standing:
        """Read the fence."""
        with self._people.reading(user) as file:
            return _standing(file)

    def set_remembering(self, user: str, on: bool) -> int:
        """Change the fence."""
        with self._people.writing(user) as file:
            if not on and is_remembered(file):
                file.execute("UPDATE fence SET generation = generation + 1")
            file.execute("UPDATE fence SET remembered = ?", (int(on),))
            return generation_of(file)

    def records(self, user: str) -> dict[str, Record | None]:
        """Read the three rows."""
        with self._people.reading(user) as file:
            return _records(file)

    def memories(self, user: str) -> Iterator[Memory]:
        """Read page after page, each from where the last one ended."""
        after = (-(2**63), "")
        while True:
            with self._people.reading(user) as file:
                page = _page(file, user, after)
            yield from page
            if len(page) < _PAGE:
                return
            after = (microseconds(page[-1].created_at), page[-1].id)

    def erase(self, user: str, idle_since: datetime | None = None) -> Erasure | None:
        """Lay the file anew in one transaction, then leave no byte of what it held."""
        with self._people.reading(user) as file:
            with _immediate(file):
                if idle_since is not None and not _is_idle(file, idle_since):
                    return None
                erasure = _erase(file)
            self._scrub(file, erasure)
        return erasure

    def move(self, source: str, target: str, target_email: str | None) -> Move:
        """Copy into the target's file while the source's is locked, then erase the source.

        Where the second step is missing, the first finds everything there already.
        """
        if source == target:
            raise StorageRejectedError("source and target are the same person; name two")
        with self._people.reading(source) as old:
            with _immediate(old):
                records = _records(old)
                if records["profile"] is None:
                    return Move(False, memories=0, merged_keys=0, generation=generation_of(old))
                records["profile"]["email"] = target_email
                memories = list(_all(old, source))
                turns = all_in(old)
                with self._people.writing(target) as new:
                    wanted = is_remembered(old) and is_remembered(new)
                    merged = _merge(new, target, records, memories, turns, remembered=wanted)
                erasure = _erase(old)
            self._scrub(old, erasure)
        return Move(True, len(memories), merged, erasure.generation)

    def restore_memories(self, user: str, memories: Sequence[Memory]) -> int:
        """Write them in one transaction."""
        with self._people.writing(user) as file:
            store_in(file, user, [as_write(memory) for memory in memories])
            return close_as(file, memories)

    def restore_records(
        self, user: str, records: dict[str, Record | None], generation: int
    ) -> bool:
        """Add them in one transaction."""
        with self._people.writing(user) as file:
            if generation < generation_of(file) or not is_remembered(file):
                return False
            add_records(file, records)
            return True

    def raise_fence(self, user: str, standing: Standing) -> None:
        """Change the fence."""
        with self._people.writing(user) as file:
            file.execute(
                "UPDATE fence SET generation = max(generation, ?), remembered = min(remembered, ?)",
                (standing.generation, int(standing.remembered)),
            )

    def everybody(self) -> Iterator[str]:
        """Yield everybody who has a file."""
        yield from self._people.everybody()

    def idle(self, since: datetime) -> Iterator[str]:
        """Look into one file after the other."""
        for user in self._people.everybody():
            with self._people.reading(user) as file:
                idle = _is_idle(file, since)
            if idle:
                yield user

    def delete_expired(self) -> int:
        """Delete in one file after the other, and write only to those that hold any."""
        return sum(self._delete_expired_of(user) for user in self._people.everybody())

    def _delete_expired_of(self, user: str) -> int:
        now = time.time_ns() // 1000
        with self._people.reading(user) as file:
            if file.execute(f"SELECT 1 {_EXPIRED} LIMIT 1", (now,)).fetchone() is None:
                return 0
        with self._people.writing(user) as file:
            return file.execute(f"DELETE {_EXPIRED}", (now,)).rowcount

    def _scrub(self, file: sqlite3.Connection, erasure: Erasure) -> None:
        if not scrub(file, self._scrub_deadline_s):
            raise ErasureUnfinishedError(erasure)


@contextmanager
def _immediate(file: sqlite3.Connection) -> Iterator[None]:
    file.execute("BEGIN IMMEDIATE")
    try:
        yield
        file.execute("COMMIT")
    finally:
        if file.in_transaction:
            file.execute("ROLLBACK")


def _standing(file: sqlite3.Connection) -> Standing:
    return Standing(generation_of(file), is_remembered(file))


def _records(file: sqlite3.Connection) -> dict[str, Record | None]:
    return {table: _record(file, table, columns) for table, columns in _TABLES.items()}


def _record(file: sqlite3.Connection, table: str, columns: Sequence[str]) -> Record | None:
    row = file.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchone()  # noqa: S608 - constants
    if row is None:
        return None
    record = dict(zip(columns, row, strict=True))
    for name in _TIMES:
        if record.get(name) is not None:
            record[name] = moment_of(record[name]).isoformat()
    if "is_first_login" in record:
        record["is_first_login"] = bool(record["is_first_login"])
    if "interests" in record:
        record["interests"] = json.loads(record["interests"])
    return record


def _page(file: sqlite3.Connection, user: str, after: tuple[int, str]) -> list[Memory]:
    rows = file.execute(
        f"SELECT {COLUMNS} FROM memory WHERE (created_at, id) > (?, ?) "  # noqa: S608 - constants
        "ORDER BY created_at, id LIMIT ?",
        (*after, _PAGE),
    ).fetchall()
    return [read_memory(user, row) for row in rows]


def _all(file: sqlite3.Connection, user: str) -> Iterator[Memory]:
    for row in file.execute(f"SELECT {COLUMNS} FROM memory ORDER BY created_at, id"):  # noqa: S608 - constants
        yield read_memory(user, row)


def _is_idle(file: sqlite3.Connection, since: datetime) -> bool:
    last: int | None = file.execute(_LAST_ACTIVITY).fetchone()[0]
    return last is not None and last < microseconds(since)


def _erase(file: sqlite3.Connection) -> Erasure:
    held = _records(file)
    memories = int(file.execute("SELECT count(*) FROM memory").fetchone()[0])
    return Erasure(
        generation=lay_anew(file),
        memories=memories,
        profile=held["profile"] is not None,
        user_profile=held["user_profile"] is not None,
        onboarding_details=held["onboarding_details"] is not None,
    )


def _merge(
    file: sqlite3.Connection,
    user: str,
    records: dict[str, Record | None],
    memories: Sequence[Memory],
    turns: Sequence[TranscriptTurn],
    *,
    remembered: bool,
) -> int:
    # Until all is moved the target's fence lets it pass.
    was_remembered = is_remembered(file)
    file.execute("UPDATE fence SET remembered = 1")
    add_records(file, records)
    pairs = set(file.execute("SELECT category, key FROM memory"))
    known = {write_id for (write_id,) in file.execute("SELECT id FROM memory")}
    arriving = {(m.category.value, m.key) for m in memories if m.id not in known}
    generation = generation_of(file)
    store_in(file, user, [replace(as_write(m), generation=generation) for m in memories])
    close_as(file, memories)
    keep_in(file, [replace(turn, generation=generation) for turn in turns])
    if not remembered:
        raised = generation + 1 if was_remembered else generation
        file.execute("UPDATE fence SET generation = ?, remembered = 0", (raised,))
    return len(pairs & arriving)
