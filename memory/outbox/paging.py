"""Pages of a list of which the database has one part, and the outbox another."""

from __future__ import annotations

from dataclasses import dataclass

from memory.model import Category, Memory, Position
from memory.outbox.overlay import Overlay
from memory.store import MemoryStore


@dataclass(frozen=True)
class Wanted:
    """What is listed.

    Attributes:
        user: whose.
        category: which; None for all.
        limit: how many at most.
        asked: how many the database is asked for at a time, as what waits may take some away.
    """

    user: str
    category: Category | None
    limit: int
    asked: int


def page_of_both(
    database: MemoryStore, overlay: Overlay, wanted: Wanted, before: Position | None
) -> list[Memory]:
    """Return current memories of both, newest first, from ``before`` on.

    Each round reads a part of the database's list and adds what waits within that part, so
    that a page is short only where the list ends.
    """
    taken: list[Memory] = []
    while True:
        stored = database.list_memories(wanted.user, wanted.category, wanted.asked, before)
        is_last = len(stored) < wanted.asked
        end = None if is_last else stored[-1].position
        for memory in overlay.listed(stored, wanted.category):
            if len(taken) == wanted.limit:
                return taken
            if _is_within(memory.position, before, end) and (
                before is None or _is_current(database, overlay, memory)
            ):
                taken.append(memory)
        if is_last or len(taken) == wanted.limit:
            return taken
        before = end


def _is_within(position: Position, before: Position | None, end: Position | None) -> bool:
    return (before is None or position < before) and (end is None or position >= end)


def _is_current(database: MemoryStore, overlay: Overlay, memory: Memory) -> bool:
    # What waits may be older than the key's current value, which an earlier page has.
    if not overlay.holds(memory.id):
        return True
    stored = database.retrieve(memory.user, memory.category, memory.key)
    return stored is None or stored.position <= memory.position
