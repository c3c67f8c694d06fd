"""A SQLite file for each person: ``DATA_DIR/people/<uuid>.db``.

Isolation is physical, and the cost of one person's query does not grow with the number
of people. Files are private (0600 in a 0700 folder), in WAL mode, and safe to open from
many processes at once. `synchronous=FULL`: what was acknowledged survives a power loss
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import StorageError, StorageRejectedError, StorageUnavailableError
from storage.person_layout import bring_up_to_date

_BUSY_TIMEOUT_S = 5.0
_IDLE_CONNECTIONS = 8

_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
)


class PersonFiles:
    """Opens people's files and keeps a few connections ready.

    Args:
        data_dir: the folder under which ``people/`` is made when the first file is opened.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "people"
        self._lock = threading.Lock()
        self._idle: OrderedDict[str, list[sqlite3.Connection]] = OrderedDict()
        self._closed = False

    @contextmanager
    def reading(self, user_uuid: str) -> Iterator[sqlite3.Connection]:
        """Give a connection to the person's file for reading.

        Raises:
            StorageRejectedError: ``user_uuid`` is not a uuid.
            StorageUnavailableError: the file is locked for too long, or cannot be opened.
            StorageError: the file is damaged.
        """
        user_uuid = _canonical(user_uuid)
        with _storage_errors():
            connection = self._take(user_uuid)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._put_back(user_uuid, connection)

    @contextmanager
    def writing(self, user_uuid: str) -> Iterator[sqlite3.Connection]:
        """Give a connection in a write transaction, committed on leaving without an error.

        Raises:
            StorageRejectedError: ``user_uuid`` is not a uuid, or a row broke a rule.
            StorageUnavailableError: the file is locked for too long, or the disk is full.
            StorageError: the file is damaged.
        """
        with self.reading(user_uuid) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def has(self, user_uuid: str) -> bool:
        """Return whether the person has a file; asking makes none.

        Raises:
            StorageRejectedError: ``user_uuid`` is not a uuid.
        """
        return (self._folder / f"{_canonical(user_uuid)}.db").exists()

    def everybody(self) -> list[str]:
        """Return the uuids of all who have a file, in order; what has another name is no file."""
        return sorted(path.stem for path in self._folder.glob("*.db") if _is_uuid(path.stem))

    def close(self) -> None:
        """Close the connections that nobody uses; the others close when they come back."""
        with self._lock:
            self._closed = True
            idle = [connection for group in self._idle.values() for connection in group]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _take(self, user_uuid: str) -> sqlite3.Connection:
        with self._lock:
            group = self._idle.get(user_uuid)
            if group:
                connection = group.pop()
                if not group:
                    del self._idle[user_uuid]
                return connection
        return self._open(user_uuid)

    def _put_back(self, user_uuid: str, connection: sqlite3.Connection) -> None:
        surplus = [connection]
        with self._lock:
            if not self._closed:
                self._idle.setdefault(user_uuid, []).append(connection)
                self._idle.move_to_end(user_uuid)
                surplus = self._drop_oldest()
        for old in surplus:
            old.close()

    def _drop_oldest(self) -> list[sqlite3.Connection]:
        dropped: list[sqlite3.Connection] = []
        while sum(map(len, self._idle.values())) > _IDLE_CONNECTIONS:
            oldest = next(iter(self._idle))
            dropped.append(self._idle[oldest].pop(0))
            if not self._idle[oldest]:
                del self._idle[oldest]
        return dropped

    def _open(self, user_uuid: str) -> sqlite3.Connection:
        data_dir = self._folder.parent
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(data_dir.iterdir()):  # made by hand, for us; never a folder of others
            data_dir.chmod(0o700)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / f"{user_uuid}.db"
        # SQLite gives -wal and -shm the mode of the main file, so the file is made first.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            _use_wal(connection)
            for pragma in _PRAGMAS:
                connection.execute(pragma)
            bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def ensure_profile_row(file: sqlite3.Connection, *, email: str | None) -> bool:
    """Make the profile's row where there is none, and give it an e-mail address it lacks.

    Returns:
        Whether this call made it.
    """
    now = time.time_ns() // 1000
    made = file.execute(
        "INSERT OR IGNORE INTO profile (one, email, created_at) VALUES (1, ?, ?)", (email, now)
    )
    if email is not None:
        file.execute("UPDATE profile SET email = ? WHERE email IS NULL", (email,))
    return made.rowcount > 0


def generation_of(file: sqlite3.Connection) -> int:
    """Return the person's generation, which an erasure raises."""
    return int(file.execute("SELECT generation FROM fence").fetchone()[0])


def is_remembered(file: sqlite3.Connection) -> bool:
    """Return whether anything may be written of the person."""
    return bool(file.execute("SELECT remembered FROM fence").fetchone()[0])


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _canonical(user_uuid: str) -> str:
    try:
        return str(uuid.UUID(user_uuid))
    except (ValueError, AttributeError, TypeError):
        raise StorageRejectedError(
            "the user id is not a uuid; derive it with livekit_identity_to_uuid"
        ) from None


def _use_wal(connection: sqlite3.Connection) -> None:
    # Two processes that convert a new file at once get SQLITE_BUSY without the busy
    # handler being asked (https://www.sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode).
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
        else:
            return


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError) as error:
        raise StorageRejectedError(f"the row broke a rule of the file: {error}") from error
    except sqlite3.OperationalError as error:
        raise StorageUnavailableError(f"the person's file cannot be used now: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StorageError(f"the person's file is damaged: {error}") from error
    except OSError as error:
        raise StorageUnavailableError(
            f"DATA_DIR cannot be written ({error.strerror}); point it at a folder of your own"
        ) from error
