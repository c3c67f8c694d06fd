"""What was told waits here, on this host's disk, until the database has it.

Where Supabase is the store, each write is in ``DATA_DIR/outbox.db`` before anything is sent.
A process that dies, or a database that is away, then loses nothing: whoever is alive on the
host delivers what waits, in order for each person, and twice is once by the write's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from config import StoreSettings
from memory.outbox.drainer import Drainer
from memory.outbox.entry import Entry, Forgetting, Kind
from memory.outbox.errors import OutboxError, OutboxFullError, OutboxUnwritableError
from memory.outbox.file import OutboxFile
from memory.outbox.store import OutboxMemoryStore
from memory.store import MemoryStore

__all__ = [
    "Drainer",
    "Entry",
    "Forgetting",
    "Kind",
    "OutboxError",
    "OutboxFile",
    "OutboxFullError",
    "OutboxMemoryStore",
    "OutboxUnwritableError",
    "delivering",
    "open_outbox",
    "open_with_outbox",
]


def open_outbox(settings: StoreSettings) -> OutboxFile:
    """Return this host's outbox; its file is opened when it is first used."""
    return OutboxFile(settings.data_dir, max_bytes=settings.outbox_max_mb * 1024 * 1024)


def open_with_outbox(
    settings: StoreSettings, open_database: Callable[[], MemoryStore]
) -> OutboxMemoryStore:
    """Return a store with this host's outbox before it, and begin to deliver.

    Args:
        settings: where the outbox lies, and its bound.
        open_database: returns the store to deliver to.
    """
    outbox = open_outbox(settings)
    drainer = Drainer(outbox, open_database)
    drainer.start()
    return OutboxMemoryStore(outbox, open_database(), drainer)


@contextmanager
def delivering(settings: StoreSettings, open_database: Callable[[], MemoryStore]) -> Iterator[None]:
    """Deliver what waits on this host, and what comes to wait, until the end of the ``with``.

    Args:
        settings: where the outbox lies.
        open_database: returns the store to deliver to; called in another thread.
    """
    outbox = open_outbox(settings)
    drainer = Drainer(outbox, open_database)
    drainer.start()
    try:
        yield
    finally:
        drainer.close()
        outbox.close()
