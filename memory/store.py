"""The contract of every memory back end. tests/contract runs one suite over all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from memory.candidates import Candidates
from memory.model import Category, Memory, NewMemory, Position

MOST_OF_A_HISTORY = 1_000

TURN_KEY = "user_input_"
"""What the keys of turns begin with; the millisecond in which they were said follows."""


class MemoryStore(ABC):
    """Keeps memories, each person's apart from everybody else's.

    Calls block; on an event loop run them in `storage.StoreThreads`. Every call names its
    user, by uuid. Callers inside a session use `memory.MemoryManager`, which takes the user
    from the session.

    What has expired is in no answer but a history's.

    Every call may raise `storage.StorageError`: unavailable, refused, not migrated, rejected.
    """

    @abstractmethod
    def store(self, user: str, memories: Sequence[NewMemory]) -> list[Memory]:
        """Store memories, all of them or none.

        A value told later supersedes the current one of the same category and key (ties by
        id), which stays as history. One told earlier than the current value, but arriving
        late, enters the history. A write whose id was stored before changes nothing.

        The first memory of a person makes their profile's row. A memory whose generation is
        older than the person's last erasure is dropped, and so is everything while the
        person is not remembered.

        Returns:
            The memories as they are stored, in the order given, without the dropped ones.
        """

    @abstractmethod
    def generation(self, user: str) -> int | None:
        """Return the person's generation; None while they are not remembered.

        It is what a memory told now carries: `store` drops what is older.
        """

    @abstractmethod
    def retrieve(self, user: str, category: Category, key: str) -> Memory | None:
        """Return the current value, or None where there is none."""

    @abstractmethod
    def candidates(self, user: str, words: Sequence[Sequence[str]], limit: int) -> Candidates:
        """Return current memories that share a word, and their neighbours, to be ranked.

        Args:
            user: whose.
            words: for each word asked for its forms, lower-case; each is matched by its stem.
            limit: how many hits at most, the best by the back end's own ranking. What stands
                up to `memory.candidates.REACH` places beside a hit in its session comes on top.

        Returns:
            The candidates; nothing found where there are no words.
        """

    @abstractmethod
    def list_memories(
        self, user: str, category: Category | None, limit: int, before: Position | None = None
    ) -> list[Memory]:
        """Return at most ``limit`` current memories, of one category or all, newest first.

        Args:
            user: whose.
            category: which; None for all.
            limit: how many at most.
            before: go on from here: only what stands after it in the list, and so is older.
        """

    @abstractmethod
    def list_facts(self, user: str, limit: int) -> list[Memory]:
        """Return at most ``limit`` current memories that are no turns, newest first.

        A turn is what is kept under a key that begins with `TURN_KEY`.
        """

    @abstractmethod
    def related(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        """Return these writes and what was derived from them, oldest first.

        Superseded values are among them. An id that names no write adds only what was
        derived from it.
        """

    def waiting(self, user: str, write_ids: Sequence[str]) -> list[Memory]:
        """Return what `related` does, of what is not yet where it is to stay.

        It asks no database. A store without an outbox has nothing that waits.
        """
        del user, write_ids
        return []

    @abstractmethod
    def history(self, user: str, category: Category, key: str) -> list[Memory]:
        """Return the values that the key has had, newest first; empty where it had none.

        At most the latest 1 000, which is as many rows as hosted Supabase gives at once.
        """

    def values_of(self, user: str, category: Category | None, key: str) -> list[Memory]:
        """Return the values of a key as `history` does, without a category of every one."""
        wanted = list(Category) if category is None else [category]
        return [memory for each in wanted for memory in self.history(user, each, key)]

    def drain(self, user: str, deadline_s: float) -> bool:
        """Wait until what a person told is where it is to stay, for at most ``deadline_s``.

        Returns:
            Whether it is. A store without an outbox has nothing to wait for.
        """
        del user, deadline_s
        return True

    def close(self) -> None:  # noqa: B027 - most stores own nothing
        """End what the store owns; the storage under it belongs to whoever opened that."""

    @abstractmethod
    def forget(self, user: str, category: Category | None, key: str) -> int:
        """Delete the key's value and its history, and return how many values are gone.

        Without a category, the key is forgotten in every one.
        """

    @abstractmethod
    def withdraw(self, user: str, write_id: str) -> bool:
        """Delete one write, as if it had never been made: the undo of a store.

        The value that it superseded is current again, or ends where the write's own value
        did.

        Returns:
            Whether the person had such a write.
        """
