"""What becomes of a damaged outbox file: its readable rows go into a new one.

The damaged file stays, with its -wal, as ``outbox.damaged-<time>.db``. Each step can be
repeated, so that a crash in the middle loses nothing: the new file is complete before the
old one is moved, and is moved into its place after it.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from memory.outbox import rows
from memory.outbox.entry import Entry
from memory.outbox.metrics import SALVAGED
from memory.outbox.schema import make_file, mend_header, sync_folder, tolerant_text

logger = logging.getLogger("memory.outbox")

_COLUMNS = ", ".join(each.name for each in fields(Entry))
_MOST_ORDINALS = 100_000
"""Ordinals that are tried one by one where no scan reads past a damaged page."""


def finish_replacing(path: Path) -> None:
    """End a replacement that a crash interrupted after the damaged file was moved away."""
    replacement = _replacement(path)
    if replacement.exists() and not path.exists():
        replacement.rename(path)


def repair(path: Path) -> None:
    """Replace a damaged file by one with its readable rows; nobody else may have it open.

    Raises:
        OSError, sqlite3.Error: the disk does not let it.
    """
    replacement, copy = _replacement(path), path.with_name("outbox.salvaging.db")
    for left_over in (replacement, copy):
        remove_file(left_over)
    try:
        copy_files(path, copy)
        salvaged, damaged = _fill(replacement, copy)
    finally:
        remove_file(copy)
    kept = path.with_name(f"outbox.damaged-{time.time_ns() // 1000}.db")
    if Path(f"{path}-wal").exists():
        Path(f"{path}-wal").rename(f"{kept}-wal")
    path.rename(kept)
    Path(f"{path}-shm").unlink(missing_ok=True)
    replacement.rename(path)
    sync_folder(path.parent)
    SALVAGED.labels("salvaged").inc(salvaged)
    SALVAGED.labels("damaged").inc(damaged)
    logger.error(
        "the outbox was damaged; what is readable goes on, the damaged file is kept",
        extra={"kept_as": kept.name, "salvaged": salvaged, "damaged": damaged},
    )


def copy_files(path: Path, copy: Path) -> None:
    """Copy a damaged file to where it can be read: SQLite writes to what it opens."""
    for suffix in ("", "-wal"):
        if (source := Path(f"{path}{suffix}")).exists():
            shutil.copyfile(source, f"{copy}{suffix}")
            Path(f"{copy}{suffix}").chmod(0o600)
    mend_header(copy)


def _fill(replacement: Path, copy: Path) -> tuple[int, int]:
    make_file(replacement)
    salvaged = damaged = 0
    with closing(sqlite3.connect(replacement, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = FULL")
        target.execute("BEGIN")
        with closing(sqlite3.connect(copy, isolation_level=None)) as source:
            source.text_factory = tolerant_text
            for entry in sorted(readable_rows(source), key=lambda each: each.ordinal):
                if entry.is_intact:
                    rows.copy(target, entry)
                    salvaged += 1
                else:
                    damaged += 1
            for user, number in _rows(source, "SELECT user, generation FROM generation"):
                if isinstance(user, str) and isinstance(number, int):
                    rows.learn_generation(target, user, number)
        target.execute("COMMIT")
    return salvaged, damaged


def readable_rows(source: sqlite3.Connection) -> list[Entry]:
    """Read up to the damage from either side, and then row by row between."""
    found: dict[int, Entry] = {}
    for order in ("", " DESC"):
        # Without an index, as that may be what is damaged.
        query = f"SELECT {_COLUMNS} FROM entry NOT INDEXED ORDER BY ordinal{order}"  # noqa: S608 - constants only
        for row in _rows(source, query):
            if row[0] in found:
                break
            found[row[0]] = Entry(*row)
    highest = max(found, default=0)
    for (last,) in _rows(source, "SELECT seq FROM sqlite_sequence WHERE name = 'entry'"):
        highest = max(highest, last) if isinstance(last, int) else highest
    one = f"SELECT {_COLUMNS} FROM entry NOT INDEXED WHERE ordinal = ?"  # noqa: S608 - constants only
    for ordinal in range(max(1, highest - _MOST_ORDINALS), highest + 1):
        if ordinal not in found:
            found.update((row[0], Entry(*row)) for row in _rows(source, one, ordinal))
    return list(found.values())


def _rows(source: sqlite3.Connection, query: str, *values: int) -> Iterator[tuple[Any, ...]]:
    try:
        yield from source.execute(query, values)
    except (sqlite3.Error, OverflowError) as error:
        logger.debug("the scan met damage", extra={"error": type(error).__name__})


def _replacement(path: Path) -> Path:
    return path.with_name("outbox.new.db")


def remove_file(path: Path) -> None:
    """Delete an outbox file, with its -wal and -shm; what is not there need not be."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
