"""Ranks candidates: one scorer for every back end, so that all find the same.

A memory scores for each term of the question that it holds, by how rare the term is (BM25),
and by less for what its neighbours in the session hold: an answer seldom repeats the words
of what it answers. A term counts once in full, where it counts most, and again at half. On
top come who said it, and when. The weights are round
numbers from a plateau: on the conversations that they were chosen with, half or twice of one
seldom moves the recall at ten by more than a point (benchmarks/recall.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from memory.candidates import Candidate, Candidates
from memory.hits import Held, read_hits
from memory.moments import microseconds, moment_of
from memory.query import Question

BEFORE_AND_AFTER = {1: 0.4, 2: 0.3}
"""What a neighbour's words count for, by its distance."""

AFTER_A_QUESTION = 0.8
"""What a question's words count for in what is said right after it."""

AGAIN = 0.5
"""What a term counts for that is said again nearby."""

COVERED = 0.5
"""What a memory gains that holds all that the question says, with its neighbours."""

IN_THE_PERIOD = 0.4
"""What a memory of the time that the question names gains, in shares of the best score."""

SESSION = 0.2
"""What a memory gains of the mean of its session's best three."""

A_QUESTION_ITSELF = 0.8
"""What is left to a memory that asks something: it tells less than it wants to know."""

RECENT, RECENT_DAYS = 0.1, 90.0
"""A memory gains up to a tenth for being new; half of that after 90 days."""

_BESIDE = tuple((sign * d, share) for d, share in BEFORE_AND_AFTER.items() for sign in (-1, 1))
_AFTER_A_QUESTION = tuple({**dict(_BESIDE), 1: AFTER_A_QUESTION}.items())

_BEST_OF_A_SESSION = 3
_MOST_SAID = 4
"""Coverage is of the question's heaviest terms: nobody answers a long one in full."""

_DAY = 86_400 * 1_000_000

_FEWEST_MEMORIES = 1_000
"""A small memory says little about how rare a word is in English."""


class Ranked(NamedTuple):
    """One candidate's rank.

    Attributes:
        id: the memory's.
        score: the higher, the better it fits.
        coverage: 0 to 1, how much of what the question says it and its neighbours hold.
    """

    id: str
    score: float
    coverage: float


def rank(question: Question, candidates: Candidates, now: datetime) -> list[Ranked]:
    """Return the candidates that hold a term, or stand beside one, best first.

    Args:
        question: what was asked.
        candidates: what a back end found for the question's terms.
        now: from where recency counts.
    """
    found = candidates.found
    if not found:
        return []
    weights = term_weights(question, candidates)
    scores, coverages = _in_context(found, read_hits(question, found), weights)
    _favour_the_period(question, found, scores)
    _favour_the_session(found, scores)
    _favour_statements_and_the_new(found, scores, now)
    # Of equals the newer, then by id: the same question always has the same answer.
    order = sorted(
        (i for i, score in enumerate(scores) if score > 0),
        key=lambda i: (-scores[i], -found[i].told_at, found[i].id),
    )
    return [Ranked(found[i].id, scores[i], coverages[i]) for i in order]


def term_weights(question: Question, candidates: Candidates) -> list[float]:
    """Return how much each term of the question says: its rarity, times its own weight."""
    total = max(candidates.total, _FEWEST_MEMORIES)
    return [
        term.weight * math.log(1 + max(total - n + 0.5, 0.5) / (n + 0.5))
        for term, n in zip(question.terms, candidates.frequencies, strict=True)
    ]


_Places = dict[tuple[str | None, int], int]
"""Which candidate stands where in which session."""


def _in_context(
    found: Sequence[Candidate], hits: dict[int, Held], weights: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return each candidate's score and coverage, by what it and its neighbours hold."""
    terms = len(weights)
    at_place: _Places = {
        (c.session_id, c.place): i for i, c in enumerate(found) if c.place is not None
    }
    scores, covered = [0.0] * len(found), [0.0] * len(found)
    most = [0.0] * (len(found) * terms)
    for source, holds in hits.items():
        for target, share in _reached(found[source], source, at_place):
            for term, held in holds:
                worth, weight, at = share * held, weights[term], target * terms + term
                best = most[at]
                if not best:
                    covered[target] += weight
                # The most in full and the rest at AGAIN, whichever comes first.
                if worth > best:
                    most[at] = worth
                    scores[target] += weight * (worth - best + AGAIN * best)
                else:
                    scores[target] += weight * AGAIN * worth
    heaviest = sum(sorted(weights, reverse=True)[:_MOST_SAID]) or 1.0
    coverages = [min(1.0, each / heaviest) for each in covered]
    scores = [s * (1 + COVERED * c) for s, c in zip(scores, coverages, strict=True)]
    return scores, coverages


def _favour_the_period(question: Question, found: Sequence[Candidate], scores: list[float]) -> None:
    if not question.periods:
        return
    most = max(scores)
    for i, candidate in enumerate(found):
        told_at = moment_of(candidate.told_at)
        fitting = [period.weight for period in question.periods if period.holds(told_at)]
        scores[i] += IN_THE_PERIOD * most * max(fitting, default=0.0)


def _favour_the_session(found: Sequence[Candidate], scores: list[float]) -> None:
    sessions: dict[str, list[int]] = {}
    for i, candidate in enumerate(found):
        if candidate.session_id is not None:
            sessions.setdefault(candidate.session_id, []).append(i)
    for members in sessions.values():
        best = sorted([scores[i] for i in members], reverse=True)[:_BEST_OF_A_SESSION]
        bonus = SESSION * sum(best) / _BEST_OF_A_SESSION
        for i in members:
            scores[i] += bonus


def _favour_statements_and_the_new(
    found: Sequence[Candidate], scores: list[float], now: datetime
) -> None:
    now_us, half_life = microseconds(now), RECENT_DAYS * _DAY
    for i, candidate in enumerate(found):
        age = max(0, now_us - candidate.told_at)
        asked = A_QUESTION_ITSELF if candidate.asks else 1.0
        scores[i] *= asked * (1 + RECENT * 0.5 ** (age / half_life))


def _reached(candidate: Candidate, source: int, at_place: _Places) -> Iterator[tuple[int, float]]:
    """Give whom a hit's words count for, and how much: itself and its neighbours."""
    yield source, 1.0
    session, place = candidate.session_id, candidate.place
    if place is None:
        return
    for step, share in _AFTER_A_QUESTION if candidate.asks else _BESIDE:
        target = at_place.get((session, place + step))
        if target is not None:
            yield target, share
