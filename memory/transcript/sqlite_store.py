"""Transcripts in people's SQLite files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime

from memory.moments import microseconds, moment_of
from memory.transcript.model import TranscriptTurn
from memory.transcript.store import TranscriptStore
from storage.person_file import PersonFiles, ensure_profile_row, generation_of, is_remembered

_PAGE = 1_000
_COLUMNS = "id, session_id, role, text, said_at, generation"


class SqliteTranscriptStore(TranscriptStore):
    """The contract over `PersonFiles`.

    Args:
        people: opens the files; whoever made it closes it.
    """

    def __init__(self, people: PersonFiles) -> None:
        self._people = people

    def keep(self, user: str, turns: Sequence[TranscriptTurn]) -> list[str]:
        """Keep them in one transaction."""
        if not turns:
            return []
        with self._people.writing(user) as file:
            return keep_in(file, turns)

    def turns(self, user: str, session_id: str | None = None) -> Iterator[TranscriptTurn]:
        """Read page after page, each from where the last one ended."""
        after = (-(2**63), "")
        while True:
            with self._people.reading(user) as file:
                page = _page(file, session_id, after)
            yield from page
            if len(page) < _PAGE:
                return
            after = (microseconds(page[-1].said_at), page[-1].id)

    def remove(self, user: str, ids: Sequence[str]) -> int:
        """Delete them in one transaction."""
        if not ids:
            return 0
        with self._people.writing(user) as file:
            return file.execute(
                "DELETE FROM turns WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps([*ids]),),
            ).rowcount

    def delete_before(self, moment: datetime) -> int:
        """Delete in one file after the other, and write only to those that hold any."""
        end = microseconds(moment)
        return sum(self._delete_of(user, end) for user in self._people.everybody())

    def _delete_of(self, user: str, end: int) -> int:
        with self._people.reading(user) as file:
            oldest = file.execute("SELECT min(said_at) FROM turns").fetchone()[0]
        if oldest is None or oldest >= end:
            return 0
        with self._people.writing(user) as file:
            return file.execute("DELETE FROM turns WHERE said_at < ?", (end,)).rowcount


def keep_in(file: sqlite3.Connection, turns: Sequence[TranscriptTurn]) -> list[str]:
    """Keep turns as `TranscriptStore.keep` does, within the caller's transaction.

    Args:
        file: the person's file, in a write transaction.
        turns: what was said.
    """
    fence = generation_of(file)
    kept = [turn for turn in turns if turn.generation is None or turn.generation >= fence]
    if kept and is_remembered(file):
        ensure_profile_row(file, email=None)
        file.executemany(
            f"INSERT INTO turns ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) "  # noqa: S608 - constants
            "ON CONFLICT (id) DO NOTHING",
            [_row(turn, fence) for turn in kept],
        )
    ids = json.dumps([turn.id for turn in turns])
    held = file.execute("SELECT id FROM turns WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    return [row[0] for row in held]


def all_in(file: sqlite3.Connection) -> list[TranscriptTurn]:
    """Return all turns of a person's file, in the order they were said."""
    rows = file.execute(f"SELECT {_COLUMNS} FROM turns ORDER BY said_at, id")  # noqa: S608 - constants
    return [_read(row) for row in rows]


def _page(
    file: sqlite3.Connection, session_id: str | None, after: tuple[int, str]
) -> list[TranscriptTurn]:
    of_session = "" if session_id is None else "session_id = ? AND "
    values = () if session_id is None else (session_id,)
    rows = file.execute(
        f"SELECT {_COLUMNS} FROM turns WHERE {of_session}(said_at, id) > (?, ?) "  # noqa: S608 - constants
        "ORDER BY said_at, id LIMIT ?",
        (*values, *after, _PAGE),
    ).fetchall()
    return [_read(row) for row in rows]


def _row(turn: TranscriptTurn, fence: int) -> tuple[str | int, ...]:
    generation = fence if turn.generation is None else turn.generation
    said_at = microseconds(turn.said_at)
    return (turn.id, turn.session_id, turn.role, turn.text, said_at, generation)


def _read(row: tuple[object, ...]) -> TranscriptTurn:
    write_id, session_id, role, text, said_at, generation = row
    return TranscriptTurn(write_id, session_id, role, text, moment_of(said_at), generation)  # type: ignore[arg-type]
