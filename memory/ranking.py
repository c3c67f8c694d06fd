"""Ranks candidates: one scorer for every back end, so that all find the same.

A memory scores for each term of the question that it holds, by how rare the term is (BM25),
and by less for what its neighbours in the session hold: an answer seldom repeats the words
of what it answers. A term counts once in full, where it counts most, and again at half. On
top come the nearness of terms to each other, who said it, and when. The weights were chosen
on two of three conversations at a time and looked at on the third (benchmarks/recall.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from memory.candidates import Candidate, Candidates
from memory.model import TURN_KEY
from memory.moments import microseconds, moment_of
from memory.periods import MONTHS, WEEKDAYS
from memory.query import Question
from memory.words import stem, words_of

K1, B = 0.6, 0.3
"""BM25's saturation and length normalisation: what is said is short and seldom repetitive."""

BEFORE_AND_AFTER = {1: 0.4, 2: 0.3}
"""What a neighbour's words count for, by its distance."""

AFTER_A_QUESTION = 0.8
"""What a question's words count for in what is said right after it."""

AGAIN = 0.5
"""What a term counts for that is said again nearby."""

NEARNESS = 0.3
COVERED = 0.5
SAID_BY = 0.6
A_TIME_IS_SAID = 0.2
IN_THE_PERIOD = 0.4
SESSION = 0.2
A_QUESTION_ITSELF = 0.8
RECENT = 0.1
RECENT_DAYS = 90.0
"""A memory gains up to a tenth for being new; half of that after 90 days."""

_BESIDE = tuple((sign * d, share) for d, share in BEFORE_AND_AFTER.items() for sign in (-1, 1))
_AFTER_A_QUESTION = tuple({**dict(_BESIDE), 1: AFTER_A_QUESTION}.items())

_NO_TERM = -1
_NEAR_WORDS = 4
_BEST_OF_A_SESSION = 3
_MOST_SAID = 4
"""Coverage is of the question's heaviest terms: nobody answers a long one in full."""

_DAY = 86_400 * 1_000_000

_FEWEST_MEMORIES = 1_000
"""A small memory says little about how rare a word is in English."""

_LABEL = re.compile(r"([^\W\d_][\w.'-]{0,39}(?: [^\W\d_][\w.'-]{0,39})?): ")
"""Who said it, as transcripts have it: "Caroline: ..."."""

_TIMES = frozenset(
    [
        *(name for name in (*MONTHS, *WEEKDAYS) if name),
        *"yesterday today tomorrow tonight week weekend month year ago last next".split(),
        *"morning afternoon evening night recently since".split(),
    ]
)


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
    scores, coverages = _in_context(found, _read(question, found, weights), weights)
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


class _Hit(NamedTuple):
    """What a hit says in terms of the question.

    Attributes:
        held: each term that it holds, and BM25's saturated frequency, times the factor.
        nearness: what its terms' nearness to each other is worth, times the factor.
    """

    held: list[tuple[int, float]]
    nearness: float


class _Reading(NamedTuple):
    """What was read of a hit: where which terms stand, how many words, and the factor."""

    places: list[tuple[int, int]]
    length: int
    factor: float


def _read(
    question: Question, found: Sequence[Candidate], weights: Sequence[float]
) -> dict[int, _Hit]:
    reader = _Reader(question)
    readings = {
        i: reader.read(candidate.key or "", candidate.value)
        for i, candidate in enumerate(found)
        if candidate.value is not None
    }
    usual = sum(each.length for each in readings.values()) / max(len(readings), 1) or 1.0
    return {i: _hit(each, usual, weights) for i, each in readings.items()}


def _hit(reading: _Reading, usual: float, weights: Sequence[float]) -> _Hit:
    places, length, factor = reading
    norm = K1 * (1 - B + B * length / usual)
    counts: dict[int, int] = {}
    for _, term in places:
        counts[term] = counts.get(term, 0) + 1
    held = [(term, factor * n * (K1 + 1) / (n + norm)) for term, n in counts.items()]
    nearness = NEARNESS * factor * _nearness(places, weights) if len(counts) > 1 else 0.0
    return _Hit(held, nearness)


class _Reader:
    """Reads hits in terms of one question."""

    def __init__(self, question: Question) -> None:
        self._asks_when = question.asks_when
        self._terms = {term.stem: i for i, term in enumerate(question.terms)}
        self._asked = {term.word for term in question.terms}
        self._known: dict[str, int] = {}

    def read(self, key: str, value: str) -> _Reading:
        """Read one hit."""
        label = _LABEL.match(value)
        said = words_of(value[label.end() :] if label else value)
        factor = 1.0
        if label and not self._asked.isdisjoint(words_of(label[1])):
            factor += SAID_BY
        if self._asks_when and not _TIMES.isdisjoint(said):
            factor *= 1 + A_TIME_IS_SAID
        all_words = [*said, *_key_words(key)]
        known = self._known
        for word in all_words:
            if word not in known:
                known[word] = self._terms.get(stem(word), _NO_TERM)
        places = [(p, known[word]) for p, word in enumerate(all_words) if known[word] >= 0]
        return _Reading(places, len(said), factor)


def _key_words(key: str) -> list[str]:
    return [] if key.startswith(TURN_KEY) else words_of(key)


def _nearness(places: Sequence[tuple[int, int]], weights: Sequence[float]) -> float:
    best: dict[tuple[int, int], float] = {}
    for i, (place, term) in enumerate(places):
        for other_place, other in places[i + 1 :]:
            distance = other_place - place
            if distance > _NEAR_WORDS:
                break
            if other != term:
                pair = (min(term, other), max(term, other))
                best[pair] = max(best.get(pair, 0.0), 1 / distance)
    return sum(near * min(weights[a], weights[b]) for (a, b), near in best.items())


def _in_context(
    found: Sequence[Candidate], hits: dict[int, _Hit], weights: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return each candidate's score and coverage, by what it and its neighbours hold."""
    terms = len(weights)
    at_place: _Places = {
        (c.session_id, c.place): i for i, c in enumerate(found) if c.place is not None
    }
    scores, covered = [0.0] * len(found), [0.0] * len(found)
    most = [0.0] * (len(found) * terms)
    for source, hit in hits.items():
        for target, share in _reached(found[source], source, at_place):
            for term, held in hit.held:
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
        scores[source] += hit.nearness
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
