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
        told_at: when it was told, microseconds since the epoch.
        session_id: the session in which it was told, if in one.
        place: its position in that session.
        asks: whether there is a question mark in it.
        key: a hit's key; None for what is only a neighbour.
        value: a hit's value; None likewise.
    """

    id: str
    told_at: int
    session_id: str | None
    place: int | None
    asks: bool
    key: str | None
    value: str | None


class Candidates(NamedTuple):
    """What `memory.store.MemoryStore.candidates` returns.

    Attributes:
        total: about how many memories there are, never fewer than are current.
        frequencies: for each word asked for, in order, how many memories hold it.
        found: each memory once, in no order.
        read: returns the memories of the candidates with these ids, in that order, without
            those that are not current any more; may raise `storage.StorageError`.
    """

    total: int
    frequencies: Sequence[int]
    found: Sequence[Candidate]
    read: Callable[[Sequence[str]], list[Memory]]


NOTHING = Candidates(0, (), (), lambda _: [])
