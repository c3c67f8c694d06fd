"""Search over any store: read the question, fetch candidates, rank them."""

from __future__ import annotations

from datetime import datetime

from memory.model import Memory
from memory.query import read_question
from memory.ranking import rank
from memory.store import MemoryStore

MOST_HITS = 64
"""How many hits are ranked at least; more cost time, and none of them ranked high in
benchmarks/recall.py."""

RELEVANT_COVERAGE = 0.33
"""How much of what is said a memory, with its neighbours, must hold to be called relevant."""


def search(
    store: MemoryStore,
    user: str,
    text: str,
    limit: int,
    *,
    now: datetime,
    least_coverage: float = 0.0,
) -> list[Memory]:
    """Return the current memories that fit a text best, best first.

    Args:
        store: where to look.
        user: whose memories.
        text: what was asked or said; operators in it are words like others.
        limit: how many at most.
        now: from where "yesterday" and recency count, with a time zone.
        least_coverage: 0 to 1, how much of what the text says a memory must hold.

    Raises:
        MemoryInputError: the text is not text.
        storage.StorageError: the store cannot answer.
    """
    question = read_question(text, now)
    if not question.terms:
        return []
    forms = [term.forms for term in question.terms]
    candidates = store.candidates(user, forms, max(MOST_HITS, limit))
    ranked = rank(question, candidates, now)
    return candidates.read([each.id for each in ranked if each.coverage >= least_coverage][:limit])
