"""One connection to the outbox's file, given up where the file must be repaired.

Many processes have the file open, and a damaged one must be replaced. Closing SQLite's last
connection to a renamed file would delete the new file's -wal by its name
(https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use),
so whoever has it open holds a shared lock on ``outbox.access``, and only who holds it
exclusively checks, repairs and replaces. Whoever meets damage leaves the file
``outbox.repair`` and closes; the others see it at their next use and close as well; the first
who is alone repairs.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory.outbox.errors import OutboxUnwritableError
from memory.outbox.metrics import UNWRITABLE
from memory.outbox.salvage import finish_replacing, repair
from memory.outbox.schema import connect, is_sound, make_file

_LOCK_DEADLINE_S = 5.0
_POLL_S = 0.01

_MENDS = (
    ("full", "disk full", "free space under DATA_DIR"),
    ("readonly", "read-only", "let this user write to DATA_DIR"),
    ("locked", "locked", "look for a process that holds DATA_DIR/outbox.db"),
    ("", "input/output error", "look at the disk under DATA_DIR"),
)


class Lane:
    """A connection for one purpose, used by one thread at a time.

    Args:
        data_dir: the folder of ``outbox.db``; made when it is first needed.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "outbox.db"
        self._damage_mark = data_dir / "outbox.repair"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._access: int | None = None
        self._inode: int | None = None
        self._openings = 0

    @property
    def openings(self) -> int:
        """How often the file was opened; another connection may see another file."""
        return self._openings

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, opened where it is not.

        Raises:
            OutboxUnwritableError: the file cannot be used now.
        """
        with self._lock, self._told_errors():
            yield self._opened()

    def step_aside(self) -> None:
        """Close where somebody waits to repair the file; it is opened again at the next use."""
        with self._lock:
            if self._connection is not None and self._must_close():
                self._close()

    def close(self) -> None:
        """Close the connection; a later use opens it again."""
        with self._lock:
            self._close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._must_close():
            self._close()
        if self._connection is None:
            try:
                self._connection = self._open()
            except BaseException:
                self._close()
                raise
        return self._connection

    def _must_close(self) -> bool:
        try:
            return self._damage_mark.exists() or self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def _open(self) -> sqlite3.Connection:
        self._make_folder()
        access = self._path.with_name("outbox.access")
        self._access = os.open(access, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if _try_lock(self._access, fcntl.LOCK_EX):
            self._make_sound()
        elif self._damage_mark.exists():
            raise OutboxUnwritableError("damaged", "it is repaired once nobody uses it")
        _lock_shared(self._access)
        self._inode = self._path.stat().st_ino
        self._openings += 1
        return connect(self._path)

    def _make_sound(self) -> None:
        finish_replacing(self._path)
        if self._path.exists() and not is_sound(self._path):
            repair(self._path)
        make_file(self._path)
        self._damage_mark.unlink(missing_ok=True)

    def _make_folder(self) -> None:
        folder = self._path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):  # made by hand, for us; never a folder of others
            folder.chmod(0o700)

    def _close(self) -> None:
        connection, access = self._connection, self._access
        self._connection = self._access = self._inode = None
        try:
            if connection is not None:
                connection.close()
        except sqlite3.Error:
            UNWRITABLE.labels("close").inc()
        finally:
            if access is not None:
                os.close(access)

    def _damaged(self) -> OutboxUnwritableError:
        self._close()
        self._damage_mark.touch(mode=0o600)
        return OutboxUnwritableError("damaged", "it is repaired once nobody uses it")

    @contextmanager
    def _told_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            _, cause, mend = next(each for each in _MENDS if each[0] in str(error))
            raise OutboxUnwritableError(cause, mend) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged() from error
        except OSError as error:
            cause = error.strerror or "input/output error"
            raise OutboxUnwritableError(cause, "let this user write to DATA_DIR") from error


def _try_lock(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_shared(handle: int) -> None:
    deadline = time.monotonic() + _LOCK_DEADLINE_S
    while not _try_lock(handle, fcntl.LOCK_SH):
        if time.monotonic() > deadline:
            raise OutboxUnwritableError("locked", "another process repairs it")
        time.sleep(_POLL_S)
