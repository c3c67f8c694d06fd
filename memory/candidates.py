"""What a back end gives the ranking: memories that may fit, and how common the words are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from memory.model import Memory

REACH = 2
"""How many places before and after a hit in its session its neighbours stand."""


class Candidate(NamedTuple):
    """A current memory that shares a word with the question, or stands beside one that does.

    Attributes:
        id: the memory's.
        key: the memory's.
        value: the memory's.
        told_at: when it was told, microseconds since the epoch.
        session_id: the session in which it was told, if in one.
        place: its position in that session.
        is_hit: whether it shares a word, and is not only a neighbour.
    """

    id: str
    key: str
    value: str
    told_at: int
    session_id: str | None
    place: int | None
    is_hit: bool


class Candidates(NamedTuple):
    """What `memory.store.MemoryStore.candidates` returns.

    Attributes:
        total: about how many memories there are, never fewer than are current.
        frequencies: for each word asked for, in order, how many memories hold it.
        found: each memory once, in no order.
        read: makes the Memory of the candidate at an index of ``found``.
    """

    total: int
    frequencies: Sequence[int]
    found: Sequence[Candidate]
    read: Callable[[int], Memory]


def no_memory(index: int) -> Memory:
    """Stand in for ``read`` where nothing was found."""
    raise IndexError(index)


NOTHING = Candidates(0, (), (), no_memory)
