"""What damaged outbox files, kept for whoever looks into them, still hold of a person.

An erasure writes each anew, with the rows that are known to be somebody else's. What cannot be
read, or whose owner cannot be told, may be the person's and goes as well; what was intact was
salvaged before (`memory.outbox.salvage`). A file of which nothing is left is deleted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from memory.outbox import rows
from memory.outbox.entry import Entry
from memory.outbox.errors import OutboxUnwritableError
from memory.outbox.salvage import copy_files, readable_rows, remove_file
from memory.outbox.schema import is_sound, make_file, sync_folder, tolerant_text

logger = logging.getLogger("memory.outbox")

_LOCK_DEADLINE_S = 5.0
_POLL_S = 0.01


def entries_of(folder: Path, user: str) -> list[Entry]:
    """Return a person's rows in the damaged files of a folder, as far as they can be read.

    Raises:
        OutboxUnwritableError: the files cannot be read now.
    """
    found: list[Entry] = []
    with _alone_with_copies(folder) as copies:
        for copy in copies:
            found += (entry for entry in _look_into(copy).entries if entry.user == user)
    return found


def erase_from_copies(folder: Path, user: str) -> int:
    """Leave nothing of a person in the damaged files of a folder.

    Returns:
        How many rows of the person could be read.

    Raises:
        OutboxUnwritableError: the files cannot be written now.
    """
    with _alone_with_copies(folder) as copies:
        return sum(_erase_from(copy, user) for copy in copies)


@dataclass(frozen=True)
class _Content:
    """What a damaged file holds.

    Attributes:
        entries: the rows that can be read.
        is_all: whether it holds nothing else, deleted rows included.
    """

    entries: Sequence[Entry]
    is_all: bool


def _erase_from(copy: Path, user: str) -> int:
    content = _look_into(copy)
    # A damaged row may name the wrong person; an intact one vouches for its name.
    others = {entry.user for entry in content.entries if entry.is_intact} - {user}
    kept = [entry for entry in content.entries if entry.user in others]
    if kept and content.is_all and len(kept) == len(content.entries):
        return 0
    gone = sum(entry.user == user for entry in content.entries)
    _write_anew(copy, kept)
    logger.warning(
        "somebody was erased from a damaged outbox file; what cannot be read there, or be said to "
        "be another's, is gone as well",
        extra={
            "copy": copy.name,
            "kept": len(kept),
            "unattributable": len(content.entries) - len(kept) - gone,
        },
    )
    return gone


def _look_into(damaged: Path) -> _Content:
    reading = damaged.with_name("outbox.reading.db")
    remove_file(reading)
    log = Path(f"{damaged}-wal")
    has_log = log.exists() and log.stat().st_size > 0  # deleted rows may be in it
    try:
        copy_files(damaged, reading)
        with closing(sqlite3.connect(reading, isolation_level=None)) as source:
            source.text_factory = tolerant_text
            entries = readable_rows(source)
        return _Content(entries, is_all=not has_log and is_sound(reading))
    finally:
        remove_file(reading)


def _write_anew(damaged: Path, kept: Sequence[Entry]) -> None:
    replacement = damaged.with_name("outbox.rewriting.db")
    remove_file(replacement)
    if kept:
        make_file(replacement)
        with closing(sqlite3.connect(replacement, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = FULL")
            target.execute("BEGIN")
            for entry in kept:
                rows.copy(target, entry)
            target.execute("COMMIT")
    remove_file(damaged)  # first, as SQLite would take its -wal for the new file's
    if kept:
        replacement.rename(damaged)
    sync_folder(damaged.parent)


@contextmanager
def _alone_with_copies(folder: Path) -> Iterator[list[Path]]:
    """Give the damaged files while no other process reads or writes them."""
    if not _copies(folder):
        yield []
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _lock(handle)
            yield _copies(folder)
        finally:
            os.close(handle)
    except (sqlite3.Error, OSError) as error:
        raise OutboxUnwritableError(
            "damaged files", "let this user write to DATA_DIR, or delete outbox.damaged-* there"
        ) from error


def _copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("outbox.damaged-*.db"))


def _lock(handle: int) -> None:
    deadline = time.monotonic() + _LOCK_DEADLINE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OutboxUnwritableError("locked", "another erasure is under way") from None
            time.sleep(_POLL_S)
        else:
            return
