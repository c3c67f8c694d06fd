"""Search over any store: read the question, fetch candidates, rank them.

A question of nothing but a time has no word that what was told then must share. It finds what
was told then, and in turns with that what names the time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import zip_longest

from memory.model import Memory
from memory.names import NAMES, without_verbs
from memory.query import Question, read_question
from memory.ranking import Ranked, rank
from memory.store import MemoryStore
from memory.timeline import told_within

MOST_HITS = 64
"""How many hits are ranked at least; with more, benchmarks/recall.py finds no more."""

RELEVANT_COVERAGE = 1 / 3
"""How much of what is said one of the best three, with its neighbours, must hold for anything
to be relevant; the others then must hold half of that."""

_BEST = 3


def search(
    store: MemoryStore,
    user: str,
    text: str,
    limit: int,
    *,
    now: datetime,
    only_relevant: bool = False,
) -> list[Memory]:
    """Return the current memories that fit a text best, best first.

    Args:
        store: where to look.
        user: whose memories.
        text: what was asked or said; operators in it are words like others.
        limit: how many at most.
        now: from where "yesterday" and recency count, with a time zone.
        only_relevant: leave out what shares a word with the text and not what it is about,
            which may leave nothing.

    Raises:
        MemoryInputError: the text is not text.
        storage.StorageError: the store cannot answer.
    """
    question = read_question(text, now)
    if question.beside_the_time is None or (only_relevant and not question.asks):
        return _by_words(store, user, question, limit, now, only_relevant)
    told_then = told_within(store, user, question.periods, limit, now)
    helped = replace(question, terms=question.beside_the_time)
    named = _by_words(store, user, helped, limit, now, only_relevant)
    return _in_turns(told_then, named)[:limit]


def _by_words(
    store: MemoryStore,
    user: str,
    question: Question,
    limit: int,
    now: datetime,
    only_relevant: bool,
) -> list[Memory]:
    if not question.terms:
        return []
    forms = [term.forms for term in question.terms]
    candidates = store.candidates(user, forms, max(MOST_HITS, limit))
    for position, term in enumerate(question.terms):
        if term.word in NAMES:
            candidates = without_verbs(candidates, position)
    ranked = rank(question, candidates, now)
    if only_relevant:
        ranked = _relevant(ranked)
    return candidates.read([each.id for each in ranked[:limit]])


def _in_turns(*lists: list[Memory]) -> list[Memory]:
    """Return the memories of all lists, each once, the first of each before the second of any."""
    mixed = (each for of_a_rank in zip_longest(*lists) for each in of_a_rank if each is not None)
    return list({each.id: each for each in mixed}.values())


def _relevant(ranked: list[Ranked]) -> list[Ranked]:
    if max((each.coverage for each in ranked[:_BEST]), default=0.0) < RELEVANT_COVERAGE:
        return []
    return [each for each in ranked if each.coverage >= RELEVANT_COVERAGE / 2]
