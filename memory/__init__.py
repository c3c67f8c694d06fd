"""What people told us: a contract, two stores, and the session's own view of them.

`memory_manager` is that view for this process. It opens its store (Supabase or SQLite, as
the environment says) when it is first used.
"""

from __future__ import annotations

from config import Settings
from memory.categories import categorise
from memory.manager import MemoryManager
from memory.model import Category, Memory, MemoryInputError, NewMemory
from memory.outbox import OutboxError, open_with_outbox
from memory.sqlite_store import SqliteMemoryStore
from memory.store import MemoryStore
from memory.supabase_store import SupabaseMemoryStore
from storage import Storage, default_storage

__all__ = [
    "Category",
    "Memory",
    "MemoryInputError",
    "MemoryManager",
    "MemoryStore",
    "NewMemory",
    "SqliteMemoryStore",
    "SupabaseMemoryStore",
    "categorise",
    "memory_manager",
    "open_default_store",
    "open_memory_store",
    "open_supabase_store",
]


def open_memory_store(storage: Storage) -> MemoryStore:
    """Return the memory store of an open storage."""
    if storage.supabase is not None:
        return SupabaseMemoryStore(storage.supabase)
    if storage.people is None:
        raise ValueError("the storage has neither Supabase nor a data folder")
    return SqliteMemoryStore(storage.people)


def open_supabase_store() -> MemoryStore:
    """Return the store that the outbox is for, without the outbox.

    Raises:
        OutboxError: this process's store is not Supabase.
        ConfigError: the environment does not say how to reach the storage.
    """
    storage = default_storage()
    if storage.supabase is None:
        raise OutboxError("SUPABASE_URL: set it, with a key that may write, to deliver what waits")
    return SupabaseMemoryStore(storage.supabase)


def open_default_store() -> MemoryStore:
    """Return the store that the environment names; before Supabase, with this host's outbox.

    Close it when it is no longer used: it owns a thread that delivers.

    Raises:
        ConfigError: the environment does not say how to reach the storage.
    """
    storage = default_storage()
    if storage.supabase is None:
        return open_memory_store(storage)  # the file is the durable place itself
    return open_with_outbox(Settings.from_environment().store, open_supabase_store)


memory_manager = MemoryManager(open_default_store)
