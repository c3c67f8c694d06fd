"""Where data lies: a SQLite file for each person, or Supabase; and threads to reach it from."""

from storage.backend import Storage, decide_backend, default_storage, open_storage
from storage.errors import (
    MigrationsMissingError,
    NotRememberedError,
    PersonErasedError,
    StorageError,
    StorageRefusedError,
    StorageRejectedError,
    StorageUnavailableError,
)
from storage.threads import NoFreeThreadError, StoreThreads

__all__ = [
    "MigrationsMissingError",
    "NoFreeThreadError",
    "NotRememberedError",
    "PersonErasedError",
    "Storage",
    "StorageError",
    "StorageRefusedError",
    "StorageRejectedError",
    "StorageUnavailableError",
    "StoreThreads",
    "decide_backend",
    "default_storage",
    "open_storage",
]
