"""The outbox's tables, and the connections to its file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

_PAGE_SIZE = 4096

HEADER = {
    0: b"SQLite format 3\x00",
    16: _PAGE_SIZE.to_bytes(2, "big"),
    18: b"\x02\x02",  # write-ahead log
    20: b"\x00\x40\x20\x20",
    44: b"\x00\x00\x00\x04",  # schema format
    56: b"\x00\x00\x00\x01",  # UTF-8
}
"""What is the same in every outbox file: https://www.sqlite.org/fileformat.html#the_database_header"""

BUSY_TIMEOUT_S = 5.0

# Ordinals are never used again (AUTOINCREMENT), so that a row delivered and deleted by one
# process is no other row for the next.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS entry ("
    "    ordinal INTEGER PRIMARY KEY AUTOINCREMENT,"
    "    user TEXT NOT NULL,"
    "    kind TEXT NOT NULL,"
    "    write_id TEXT NOT NULL,"
    "    key TEXT NOT NULL,"
    "    payload TEXT NOT NULL,"
    "    appended_at INTEGER NOT NULL,"
    "    checksum INTEGER NOT NULL,"
    "    attempts INTEGER NOT NULL DEFAULT 0,"
    "    problem TEXT"
    ")",
    "CREATE INDEX IF NOT EXISTS entry_waiting ON entry (user, ordinal) WHERE problem IS NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS entry_write ON entry (user, write_id)",
    "CREATE INDEX IF NOT EXISTS entry_key ON entry (user, key)",
    "CREATE TABLE IF NOT EXISTS generation ("
    "    user TEXT PRIMARY KEY,"
    "    generation INTEGER NOT NULL"
    ") WITHOUT ROWID",
)


def make_file(path: Path) -> None:
    """Make an outbox file where there is none; nobody else may have it open.

    Raises:
        sqlite3.Error, OSError: it cannot be made.
    """
    if not path.exists():
        # SQLite gives -wal and -shm the mode of the main file, so the file is made first.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        sync_folder(path.parent)
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        connection.execute("COMMIT")


def connect(path: Path) -> sqlite3.Connection:
    """Open an outbox file that has been made.

    `synchronous=FULL`: a commit returns after its sync, so that what was acknowledged
    survives a power loss (https://www.sqlite.org/pragma.html#pragma_synchronous).
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = tolerant_text
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("SELECT max(ordinal) FROM entry").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def is_sound(path: Path) -> bool:
    """Tell whether SQLite finds no damage in the file; nobody else may have it open.

    Raises:
        sqlite3.OperationalError: the disk does not let it be looked at.
    """
    if not _has_our_header(path):
        return False
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return True  # not filled yet
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()
            connection.execute("SELECT count(checksum), count(problem) FROM entry").fetchone()
            connection.execute("SELECT count(generation) FROM generation").fetchone()
    except sqlite3.OperationalError as error:
        if any(word in str(error) for word in ("locked", "full", "I/O", "unable to open")):
            raise
        return False
    except sqlite3.DatabaseError:
        return False
    return found is not None and found[0] == "ok"


def mend_header(path: Path) -> None:
    """Write what is the same in every outbox file over the file's header."""
    with path.open("r+b") as file:
        for offset, expected in HEADER.items():
            file.seek(offset)
            file.write(expected)


def tolerant_text(data: bytes) -> str:
    """Read a column's text; what a flipped byte has made of it fails its checksum later."""
    return data.decode("utf-8", "replace")


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _has_our_header(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return True  # not filled yet
    return all(header[at : at + len(each)] == each for at, each in HEADER.items())
