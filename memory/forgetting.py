"""What goes when a memory goes: its key's history, what it was told in, what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from memory.model import TURN_KEY, Category, Memory
from memory.store import MemoryStore
from storage import StorageError

logger = logging.getLogger("memory.forgetting")


class OnePersonsMemory(Protocol):
    """The memory of one person: a session's own, or `MemoryOf` somebody."""

    def history(self, category: str, key: str) -> list[Memory]:
        """Return the values that the key has had, newest first."""

    def related(self, write_ids: Sequence[str]) -> list[Memory]:
        """Return these writes and what was derived from them, oldest first."""

    def waiting(self, write_ids: Sequence[str]) -> list[Memory]:
        """Return what `related` does, of what waits on this host; no database is asked."""

    def forget(self, category: str | None, key: str) -> int:
        """Delete the key's value and history, and return how many values are gone."""

    def withdraw(self, write_id: str) -> bool:
        """Undo one write, and return whether there was such a write."""


class MemoryOf:
    """One person's memory in a store, for callers outside of a session.

    Args:
        store: where it is.
        user: the person's uuid.
    """

    def __init__(self, store: MemoryStore, user: str) -> None:
        self._store = store
        self._user = user

    def history(self, category: str, key: str) -> list[Memory]:
        """Return the values that the key has had, newest first."""
        return self._store.history(self._user, Category.of(category), key)

    def related(self, write_ids: Sequence[str]) -> list[Memory]:
        """Return these writes and what was derived from them, oldest first."""
        return self._store.related(self._user, write_ids) if write_ids else []

    def waiting(self, write_ids: Sequence[str]) -> list[Memory]:
        """Return what `related` does, of what waits on this host; no database is asked."""
        return self._store.waiting(self._user, write_ids)

    def forget(self, category: str | None, key: str) -> int:
        """Delete the key's value and history, and return how many values are gone."""
        wanted = None if category is None else Category.of(category)
        return self._store.forget(self._user, wanted, key)

    def withdraw(self, write_id: str) -> bool:
        """Undo one write, and return whether there was such a write."""
        return self._store.withdraw(self._user, write_id)


class Withdrawn(NamedTuple):
    """What was withdrawn.

    Attributes:
        memories: what is known to be gone by it.
        is_all: whether that is all; False where the database could not say what there was.
    """

    memories: list[Memory]
    is_all: bool


def withdraw_all(memory: OnePersonsMemory, write_ids: Sequence[str]) -> Withdrawn:
    """Withdraw writes with all that was derived from them.

    While the database is away, these writes are withdrawn all the same, with what was derived
    from them and waits on this host.

    Raises:
        storage.StorageError: nobody can take the withdrawals now.
    """
    try:
        gone, is_all = _closure(memory.related, write_ids), True
    except StorageError as error:
        logger.warning("what was derived cannot be looked up", extra={"error": str(error)})
        gone, is_all = _closure(memory.waiting, write_ids), False
    _withdraw(memory, gone)
    if not is_all:
        known = {each.id for each in gone}
        for write_id in write_ids:
            if write_id not in known:
                memory.withdraw(write_id)
    return Withdrawn(gone, is_all)


def whole_of(memory: OnePersonsMemory, target: Memory) -> list[Memory]:
    """Return what `forget_whole` would delete."""
    values = memory.history(target.category.value, target.key)
    ids = {each.id for each in values}
    if _is_turn(target):
        return _closure(memory.related, sorted(ids | {target.id}))
    sources = {each.source_id for each in values if each.source_id is not None}
    beside = [
        each
        for each in memory.related(sorted(ids | sources))
        if each.id not in ids and (each.source_id in ids or each.id in sources)
    ]
    return [*values, *beside]


def forget_whole(memory: OnePersonsMemory, target: Memory) -> list[Memory]:
    """Delete a memory with its history, the turns it was told in, and what was derived of it.

    Returns:
        What is gone.
    """
    gone = whole_of(memory, target)
    if _is_turn(target):
        _withdraw(memory, gone)
        return gone
    memory.forget(target.category.value, target.key)
    key = target.category, target.key
    for each in gone:
        if (each.category, each.key) != key:
            memory.withdraw(each.id)
    return gone


def _closure(
    related: Callable[[Sequence[str]], list[Memory]], write_ids: Sequence[str]
) -> list[Memory]:
    found: dict[str, Memory] = {}
    wanted = list(write_ids)
    while wanted:
        new = [each for each in related(wanted) if each.id not in found]
        found.update({each.id: each for each in new})
        wanted = [each.id for each in new if each.id not in write_ids]
    return list(found.values())


def _withdraw(memory: OnePersonsMemory, gone: Sequence[Memory]) -> None:
    # The newest first, so that none of them is current again in between.
    for each in sorted(gone, key=lambda memory: memory.position, reverse=True):
        memory.withdraw(each.id)


def _is_turn(memory: Memory) -> bool:
    return memory.key.startswith(TURN_KEY)
