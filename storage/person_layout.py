"""What a person's file is made of: laid out by numbered steps, and laid anew by an erasure."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_SCHEMA_FOLDER = Path(__file__).parent / "person_schema"

_VIRTUAL = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL %'"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_PAUSE_S = 0.05


def bring_up_to_date(file: sqlite3.Connection) -> None:
    """Take the steps that the file lacks, in one transaction."""
    steps = _steps()
    if _version(file) >= len(steps):
        return
    file.execute("BEGIN IMMEDIATE")
    try:
        _take(file, steps)
        file.execute("COMMIT")
    finally:
        if file.in_transaction:
            file.execute("ROLLBACK")


def lay_anew(file: sqlite3.Connection) -> int:
    """Drop all that the file holds and raise the person's generation, within a transaction.

    Whatever tables there are, the full-text index among them, is dropped as a whole and made
    anew, empty. Whether the person is remembered stays.

    Returns:
        The new generation.
    """
    generation, remembered = file.execute("SELECT generation, remembered FROM fence").fetchone()
    for tables in (_VIRTUAL, _TABLES):  # the tables behind a virtual one go with it
        for (name,) in file.execute(tables).fetchall():
            file.execute(f'DROP TABLE "{name}"')
    file.execute("PRAGMA user_version = 0")
    _take(file, _steps())
    file.execute("UPDATE fence SET generation = ?, remembered = ?", (generation + 1, remembered))
    return int(generation) + 1


def scrub(file: sqlite3.Connection, deadline_s: float) -> bool:
    """Leave no byte of deleted content in the file and its write-ahead log.

    With ``secure_delete`` VACUUM writes a file without the deleted pages, and the checkpoint
    brings it into the main file and empties the log; a reader keeps both from happening.

    Args:
        file: a connection outside of a transaction.
        deadline_s: seconds in which it is tried again while somebody reads.

    Returns:
        Whether it was done.
    """
    ends_at = time.monotonic() + deadline_s
    vacuumed = False
    while True:
        try:
            if not vacuumed:
                file.execute("VACUUM")
                vacuumed = True
            busy = file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            busy = 1
        if not busy:
            return True
        if time.monotonic() >= ends_at:
            return False
        time.sleep(_PAUSE_S)


def _steps() -> list[Path]:
    return sorted(_SCHEMA_FOLDER.glob("*.sql"))


def _version(file: sqlite3.Connection) -> int:
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def _take(file: sqlite3.Connection, steps: Sequence[Path]) -> None:
    for step in steps[_version(file) :]:
        for statement in _statements(step.read_text(encoding="utf-8")):
            file.execute(statement)
    file.execute(f"PRAGMA user_version = {len(steps)}")


def _statements(script: str) -> Iterator[str]:
    # executescript would commit before it begins, and so break the transaction open.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
