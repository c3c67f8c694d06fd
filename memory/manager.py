"""Memory as the current session sees it: no call names a user, the session does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from memory.model import Category, Memory, NewMemory, check_key
from memory.query import search_words
from memory.store import MemoryStore
from session_context import get_current_user

MOST_RESULTS = 200


class MemoryManager:
    """Reads and writes the memories of `session_context.get_current_user()`.

    Calls block, like the store's. All may raise `storage.StorageError`, and
    `session_context.NoSessionUserError` inside a job that serves nobody yet.

    Args:
        open_store: called once, when the first call needs the store.
    """

    def __init__(self, open_store: Callable[[], MemoryStore]) -> None:
        self._open_store = open_store
        self._lock = threading.Lock()
        self._opened: MemoryStore | None = None

    def open(self) -> None:
        """Open the store now, so that the first call need not."""
        self._store()

    def store(self, category: str, key: str, value: str) -> Memory:
        """Remember a value; it supersedes the key's current one.

        Raises:
            MemoryInputError: the key or the value is empty, too long or not text.
        """
        return self.store_all([NewMemory(Category.of(category), key, value)])[0]

    def store_all(self, memories: Sequence[NewMemory]) -> list[Memory]:
        """Remember several values, all of them or none."""
        return self._store().store(get_current_user(), memories)

    def retrieve(self, category: str, key: str) -> str | None:
        """Return the current value of the key, or None.

        Raises:
            MemoryInputError: the key is empty, too long or not text.
        """
        found = self._store().retrieve(get_current_user(), Category.of(category), check_key(key))
        return found.value if found else None

    def search(self, query: str, limit: int = 10) -> list[Memory]:
        """Return the current memories that fit the query best, best first.

        Args:
            query: any text; operators in it are words like others.
            limit: how many at most; values outside 1 to 200 are brought into that range.
        """
        words = search_words(query)
        if not words:
            return []
        return self._store().search(get_current_user(), words, _bounded(limit))

    def list_memories(self, category: str | None = None, limit: int = 50) -> list[Memory]:
        """Return current memories, newest first, of one category or of all."""
        wanted = None if category is None else Category.of(category)
        return self._store().list_memories(get_current_user(), wanted, _bounded(limit))

    def history(self, category: str, key: str) -> list[Memory]:
        """Return every value that the key has had, newest first."""
        return self._store().history(get_current_user(), Category.of(category), check_key(key))

    def forget(self, category: str, key: str) -> int:
        """Delete the key's value and history, and return how many values are gone."""
        return self._store().forget(get_current_user(), Category.of(category), check_key(key))

    def _store(self) -> MemoryStore:
        with self._lock:
            if self._opened is None:
                self._opened = self._open_store()
            return self._opened


def _bounded(limit: int) -> int:
    return min(max(limit, 1), MOST_RESULTS)
