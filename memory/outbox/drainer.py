"""Delivers what waits on this host, for everybody, one process at a time."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from memory.outbox.backoff import Backoff
from memory.outbox.delivery import Delivery
from memory.outbox.errors import OutboxBusyError, OutboxError
from memory.outbox.file import OutboxFile
from memory.outbox.metrics import FAILURES, WAITING
from memory.store import MemoryStore
from storage import StorageError, StorageUnavailableError

logger = logging.getLogger("memory.outbox")

_TAKE_OVER_S = 0.5
"""How often a process looks whether the one that delivered is gone."""

_LOOK_S = 0.05
"""How often the one that delivers looks whether another process has appended."""

_IDLE_S = 5.0
_TIDY_AFTER_S = 2.0
_CLOSE_DEADLINE_S = 2.0
_DATABASE = "the database"
_OUTBOX = "the outbox"


class DrainLock:
    """``DATA_DIR/outbox.lock``, which the one process holds that delivers.

    The kernel lets go of it when the process ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "outbox.lock"
        self._handle: int | None = None

    def take(self) -> bool:
        """Try to take it, and tell whether it is held."""
        if self._handle is not None:
            return True
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Let another process deliver."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class Drainer:
    """A thread that delivers while this process is the one that does; else it stands by.

    Args:
        outbox: what waits.
        open_database: makes the store to deliver to; called in the thread, again after an error.
    """

    def __init__(self, outbox: OutboxFile, open_database: Callable[[], MemoryStore]) -> None:
        self._outbox = outbox
        self._open_database = open_database
        self._lock = DrainLock(outbox.folder)
        self._backoff = Backoff()
        self._delivery: Delivery | None = None
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._complaint: str | None = None
        self._untidy_since: float | None = time.monotonic()
        outbox.on_append(self._woken.set)

    def start(self) -> None:
        """Begin to deliver."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="outbox-drainer", daemon=True)
            self._thread.start()

    def hurry(self) -> None:
        """Try again now, whatever the backoff says: somebody waits for it."""
        self._backoff.hurry()
        self._woken.set()

    def close(self, deadline_s: float = _CLOSE_DEADLINE_S) -> None:
        """End the thread after the request that it is in, and wait for it for so long.

        It ends with the process in any case, and what it was at is delivered again.
        """
        self._stopping.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(deadline_s)

    def run_once(self) -> None:
        """Deliver in this thread until nothing is left that can be delivered now.

        Raises:
            StorageError: the database or the outbox cannot be used now.
            OutboxBusyError: another process delivers.
        """
        if not self._lock.take():
            raise OutboxBusyError("another process on this host delivers what waits")
        try:
            delivery = self._opened()
            for user in self._outbox.users():
                while delivery.deliver(user):
                    pass
        finally:
            self._lock.release()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._outbox.step_aside()
                if not self._lock.take():
                    self._stopping.wait(_TAKE_OVER_S)
                    continue
                self._woken.clear()
                seen = self._seen()
                try:
                    pause_s = self._round()
                except Exception as error:  # noqa: BLE001 - the thread must live
                    pause_s = self._failed(_OUTBOX, error)
                self._wait(pause_s, seen)
        finally:
            self._lock.release()

    def _round(self) -> float:
        """Deliver a batch of everybody's, and return how long to wait before the next."""
        failures, pause_s = 0, _IDLE_S
        # Whose rows fail again and again comes last, and so cannot hold up the others.
        for user in sorted(self._outbox.users(), key=self._backoff.pause_s):
            if self._stopping.is_set():
                break
            wait_s = max(self._backoff.wait_s(user), self._backoff.wait_s(_DATABASE))
            if wait_s:
                pause_s = min(pause_s, wait_s)
                continue
            try:
                more = self._opened().deliver(user)
            except StorageError as error:
                failures += 1
                pause_s = min(pause_s, self._failed(user, error))
                if failures > 1:  # not one person's rows, but the database
                    self._failed(_DATABASE, error)
                continue
            self._succeeded(user)
            failures = 0
            pause_s = 0.0 if more else pause_s
        waiting, _ = self._outbox.counts()
        WAITING.set(waiting)
        self._tidy(waiting)
        return pause_s

    def _opened(self) -> Delivery:
        if self._delivery is None:
            self._delivery = Delivery(self._outbox, self._open_database())
        return self._delivery

    def _succeeded(self, user: str) -> None:
        if self._complaint is not None:
            self._complaint = None
            logger.info("what waits in the outbox is being delivered again")
        self._backoff.succeeded(user)
        self._backoff.succeeded(_DATABASE)
        self._backoff.succeeded(_OUTBOX)
        self._untidy_since = time.monotonic()

    def _failed(self, name: str, error: Exception) -> float:
        self._backoff.failed(name)
        kind = type(error).__name__
        FAILURES.labels(kind).inc()
        # A text of somebody else's exception may quote a row.
        text = str(error) if isinstance(error, StorageError) else kind
        if text != self._complaint:
            self._complaint = text
            passing = isinstance(error, StorageUnavailableError)
            level = logging.WARNING if passing else logging.ERROR
            logger.log(level, "writes wait in the outbox", extra={"error": text})
        return self._backoff.wait_s(name)

    def _tidy(self, waiting: int) -> None:
        # Not after each delivery, as it syncs and holds up whoever appends.
        since = self._untidy_since
        if not waiting and since is not None and time.monotonic() - since > _TIDY_AFTER_S:
            self._outbox.empty_log()
            self._untidy_since = None

    def _wait(self, pause_s: float, seen: tuple[int, int] | None) -> None:
        """Wait for the pause, an append here, or one of another process since ``seen``."""
        deadline = time.monotonic() + pause_s
        while not self._stopping.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._woken.wait(min(left, _LOOK_S)):
                return
            if seen is not None and self._seen() != seen:
                return

    def _seen(self) -> tuple[int, int] | None:
        try:
            return self._outbox.version()
        except OutboxError:
            return None
