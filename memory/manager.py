"""Memory as the current session sees it: no call names a user, the session does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from memory.model import Category, Memory, MemoryInputError, NewMemory, check_key, check_write_id
from memory.search import search
from memory.store import MemoryStore
from session_context import get_current_user, get_session_generation, get_session_remembered
from storage import NotRememberedError, PersonErasedError
from storage.lazily import Lazily

MOST_RESULTS = 200


class MemoryManager:
    """Reads and writes the memories of `session_context.get_current_user()`.

    Calls block, like the store's. All may raise `storage.StorageError`, and
    `session_context.NoSessionUserError` inside a job that serves nobody yet.

    Where the session knows that its person does not want to be remembered, nothing is found
    and `storage.NotRememberedError` is raised for what is to be kept. While it cannot be known,
    `search` finds nothing, and what is to be kept goes to the store, which knows.

    Args:
        open_store: called once, when the first call needs the store.
    """

    def __init__(self, open_store: Callable[[], MemoryStore]) -> None:
        self._opened = Lazily(open_store)

    def open(self) -> None:
        """Open the store now, so that the first call need not."""
        self._store()

    def store(self, category: str, key: str, value: str) -> Memory:
        """Remember a value; it supersedes the key's current one.

        Raises:
            MemoryInputError: the key or the value is empty, too long or not text.
            PersonErasedError: the person was erased since the session was bound.
        """
        return self.store_all([NewMemory(Category.of(category), key, value)])[0]

    def store_all(self, memories: Sequence[NewMemory]) -> list[Memory]:
        """Remember several values, all of them or none.

        Raises:
            PersonErasedError: at least one was told before the person was erased. The others
                are stored.
        """
        if get_session_remembered() is False:
            raise NotRememberedError("the person does not want to be remembered; nothing is kept")
        generation = get_session_generation()
        told = [
            memory if memory.generation is not None else replace(memory, generation=generation)
            for memory in memories
        ]
        stored = self._store().store(get_current_user(), told)
        if len(stored) < len(told):
            raise PersonErasedError(
                "what was told before the person was erased is not stored; bind the session anew"
            )
        return stored

    def retrieve(self, category: str, key: str) -> str | None:
        """Return the current value of the key, or None.

        Raises:
            MemoryInputError: the key is empty, too long or not text.
        """
        found = self.current(category, key)
        return found.value if found else None

    def current(self, category: str, key: str) -> Memory | None:
        """Return the memory whose value `retrieve` gives, or None.

        Raises:
            MemoryInputError: the key is empty, too long or not text.
        """
        check_key(key)
        if get_session_remembered() is False:
            return None
        return self._store().retrieve(get_current_user(), Category.of(category), key)

    def search(self, query: str, limit: int = 10) -> list[Memory]:
        """Return the current memories that fit the query best, best first.

        Args:
            query: any text; operators in it are words like others.
            limit: how many at most; values outside 1 to 200 are brought into that range.
        """
        return self._search(query, limit, only_relevant=False)

    def recall(self, text: str, limit: int = 10) -> list[Memory]:
        """Return what `search` does, but only what is relevant to the text, which may be nothing.

        Args:
            text: what the person said.
            limit: as for `search`.
        """
        return self._search(text, limit, only_relevant=True)

    def list_memories(self, category: str | None = None, limit: int = 50) -> list[Memory]:
        """Return current memories, newest first, of one category or of all."""
        wanted = None if category is None else Category.of(category)
        if get_session_remembered() is False:
            return []
        return self._store().list_memories(get_current_user(), wanted, _bounded(limit))

    def list_facts(self, limit: int = 50) -> list[Memory]:
        """Return current memories that are no turns as they were said, newest first."""
        if get_session_remembered() is False:
            return []
        return self._store().list_facts(get_current_user(), _bounded(limit))

    def related(self, write_ids: Sequence[str]) -> list[Memory]:
        """Return these writes and what was derived from them, oldest first."""
        if not write_ids or get_session_remembered() is False:
            return []
        return self._store().related(get_current_user(), write_ids)

    def waiting(self, write_ids: Sequence[str]) -> list[Memory]:
        """Return what `related` does, of what waits on this host; no database is asked."""
        return self._store().waiting(get_current_user(), write_ids)

    def history(self, category: str, key: str) -> list[Memory]:
        """Return the values that the key has had, newest first, at most 1 000."""
        check_key(key)
        if get_session_remembered() is False:
            return []
        return self._store().history(get_current_user(), Category.of(category), key)

    def forget(self, category: str | None, key: str) -> int:
        """Delete the key's value and history, and return how many values are gone.

        Without a category, the key is forgotten in every one.
        """
        wanted = None if category is None else Category.of(category)
        return self._store().forget(get_current_user(), wanted, check_key(key))

    def withdraw(self, write_id: str) -> bool:
        """Undo one write: delete it, and make the value that it superseded current again.

        Returns:
            Whether there was such a write.

        Raises:
            MemoryInputError: the id is not a uuid.
        """
        return self._store().withdraw(get_current_user(), check_write_id(write_id))

    def _search(self, text: str, limit: int, *, only_relevant: bool) -> list[Memory]:
        if not get_session_remembered():
            return []
        return search(
            self._store(),
            get_current_user(),
            text,
            _bounded(limit),
            now=datetime.now(timezone.utc),
            only_relevant=only_relevant,
        )

    def drain(self, deadline_s: float) -> bool:
        """Wait until what was told is where it is to stay, for at most ``deadline_s`` seconds.

        Returns:
            Whether it is; what is not stays in the outbox, to be delivered later.
        """
        return self._store().drain(get_current_user(), deadline_s)

    def close(self) -> None:
        """Close the store where it is open; a later call opens it again."""
        store = self._opened.take()
        if store is not None:
            store.close()

    def _store(self) -> MemoryStore:
        return self._opened.get()


def _bounded(limit: int) -> int:
    if not isinstance(limit, int):
        raise MemoryInputError("the limit must be a whole number")
    return min(max(limit, 1), MOST_RESULTS)
