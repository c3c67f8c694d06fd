"""What goes when a memory goes: its key's history, what it was told in, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from memory.model import TURN_KEY, Category, Memory
from memory.store import MemoryStore


class OnePersonsMemory(Protocol):
    """The memory of one person: a session's own, or `MemoryOf` somebody."""

    def history(self, category: str, key: str) -> list[Memory]:
        """Return the values that the key has had, newest first."""

    def related(self, write_ids: Sequence[str]) -> list[Memory]:
        """Return these writes and what was derived from them, oldest first."""

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

    def forget(self, category: str | None, key: str) -> int:
        """Delete the key's value and history, and return how many values are gone."""
        wanted = None if category is None else Category.of(category)
        return self._store.forget(self._user, wanted, key)

    def withdraw(self, write_id: str) -> bool:
        """Undo one write, and return whether there was such a write."""
        return self._store.withdraw(self._user, write_id)


def withdraw_all(memory: OnePersonsMemory, write_ids: Sequence[str]) -> list[Memory]:
    """Withdraw writes with all that was derived from them, and return what is gone."""
    gone: dict[str, Memory] = {}
    wanted = list(write_ids)
    while wanted:
        found = [each for each in memory.related(wanted) if each.id not in gone]
        gone.update({each.id: each for each in found})
        wanted = [each.id for each in found if each.id not in write_ids]
    for each in sorted(gone.values(), key=lambda memory: memory.position, reverse=True):
        memory.withdraw(each.id)
    return list(gone.values())


def forget_whole(memory: OnePersonsMemory, target: Memory) -> list[Memory]:
    """Delete a memory with its history, the turns it was told in, and what was derived of it.

    Returns:
        What is gone.
    """
    values = memory.history(target.category.value, target.key)
    ids = {each.id for each in values}
    if target.key.startswith(TURN_KEY):
        return withdraw_all(memory, sorted(ids | {target.id}))
    sources = {each.source_id for each in values if each.source_id is not None}
    beside = [
        each
        for each in memory.related(sorted(ids | sources))
        if each.id not in ids and (each.source_id in ids or each.id in sources)
    ]
    memory.forget(target.category.value, target.key)
    for each in beside:
        memory.withdraw(each.id)
    return [*values, *beside]
