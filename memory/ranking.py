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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from memory.candidates import Candidate, Candidates
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
A_QUESTION_ITSELF = 0.9
RECENT = 0.1
RECENT_DAYS = 90.0
"""A memory gains up to a tenth for being new; half of that after 90 days."""

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
        index: its index in `Candidates.found`.
        score: the higher, the better it fits.
        coverage: 0 to 1, how much of what the question says it and its neighbours hold.
    """

    index: int
    score: float
    coverage: float


def rank(question: Question, candidates: Candidates, now: datetime) -> list[Ranked]:
    """Return the candidates, best first; of equals the newer, then by id.

    Args:
        question: what was asked.
        candidates: what a back end found for the question's terms.
        now: from where recency counts.
    """
    found = candidates.found
    if not found:
        return []
    weights = term_weights(question, candidates)
    texts = _read(question, found, weights)
    scores, coverages = _in_context(found, texts, weights)
    _favour_the_period(question, found, scores)
    _favour_the_session(found, scores)
    _favour_statements_and_the_new(found, scores, now)
    ranked = [Ranked(i, score, coverages[i]) for i, score in enumerate(scores) if score > 0]
    ranked.sort(key=lambda each: (-each.score, -found[each.index].told_at, found[each.index].id))
    return ranked


def term_weights(question: Question, candidates: Candidates) -> list[float]:
    """Return how much each term of the question says: its rarity, times its own weight."""
    total = max(candidates.total, _FEWEST_MEMORIES)
    return [
        term.weight * math.log(1 + (total - n + 0.5) / (n + 0.5))
        for term, n in zip(question.terms, candidates.frequencies, strict=True)
    ]


@dataclass
class _Text:
    """What a hit says in terms of the question.

    Attributes:
        held: for each term that it holds, BM25's saturated frequency.
        nearness: what its terms' nearness to each other is worth.
        factor: who said it, and whether it answers "when".
    """

    held: dict[int, float] = field(default_factory=dict)
    nearness: float = 0.0
    factor: float = 1.0


def _read(
    question: Question, found: Sequence[Candidate], weights: Sequence[float]
) -> dict[int, _Text]:
    reader = _Reader(question)
    places: dict[int, list[tuple[int, int]]] = {}
    lengths: dict[int, int] = {}
    texts: dict[int, _Text] = {}
    for i, candidate in enumerate(found):
        if candidate.is_hit:
            places[i], lengths[i], texts[i] = reader.read(candidate)
    usual = sum(lengths.values()) / max(len(lengths), 1) or 1.0
    for i, text in texts.items():
        norm = K1 * (1 - B + B * lengths[i] / usual)
        counts: dict[int, int] = defaultdict(int)
        for _, term in places[i]:
            counts[term] += 1
        text.held = {term: n * (K1 + 1) / (n + norm) for term, n in counts.items()}
        if len(counts) > 1:
            text.nearness = NEARNESS * _nearness(places[i], weights)
    return texts


class _Reader:
    """Reads candidates' texts in terms of one question."""

    def __init__(self, question: Question) -> None:
        self._asks_when = question.asks_when
        self._terms = {term.stem: i for i, term in enumerate(question.terms)}
        self._asked = {term.word for term in question.terms}
        self._known: dict[str, int | None] = {}

    def read(self, candidate: Candidate) -> tuple[list[tuple[int, int]], int, _Text]:
        """Return where which terms stand, how many words there are, and the factor."""
        label = _LABEL.match(candidate.value)
        said = words_of(candidate.value[label.end() :] if label else candidate.value)
        text = _Text()
        if label and not self._asked.isdisjoint(words_of(label[1])):
            text.factor += SAID_BY
        if self._asks_when and not _TIMES.isdisjoint(said):
            text.factor *= 1 + A_TIME_IS_SAID
        known, places = self._known, []
        for place, word in enumerate([*said, *_key_words(candidate.key)]):
            try:
                term = known[word]
            except KeyError:
                term = known[word] = self._terms.get(stem(word))
            if term is not None:
                places.append((place, term))
        return places, len(said), text


def _key_words(key: str) -> list[str]:
    return [] if key.startswith("user_input_") else words_of(key)


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
    found: Sequence[Candidate], texts: dict[int, _Text], weights: Sequence[float]
) -> tuple[list[float], list[float]]:
    most: list[dict[int, float]] = [{} for _ in found]
    all_: list[dict[int, float]] = [{} for _ in found]
    for source, target, share in _shares(found, texts):
        factor = share * texts[source].factor
        for term, held in texts[source].held.items():
            worth = factor * held
            most[target][term] = max(most[target].get(term, 0.0), worth)
            all_[target][term] = all_[target].get(term, 0.0) + worth
    heaviest = sum(sorted(weights, reverse=True)[:_MOST_SAID]) or 1.0
    scores, coverages = [], []
    for i in range(len(found)):
        score = sum(
            weights[term] * (best + AGAIN * (all_[i][term] - best))
            for term, best in most[i].items()
        )
        covered = min(1.0, sum(weights[term] for term in most[i]) / heaviest)
        if i in texts:
            score += texts[i].nearness * texts[i].factor
        scores.append(score * (1 + COVERED * covered))
        coverages.append(covered)
    return scores, coverages


def _shares(
    found: Sequence[Candidate], texts: dict[int, _Text]
) -> Iterator[tuple[int, int, float]]:
    at = {(c.session_id, c.place): i for i, c in enumerate(found) if c.place is not None}
    for source in texts:
        yield source, source, 1.0
        candidate = found[source]
        if candidate.place is None:
            continue
        is_question = "?" in candidate.value
        for distance, share in BEFORE_AND_AFTER.items():
            before = at.get((candidate.session_id, candidate.place - distance))
            if before is not None:
                yield source, before, share
            after = at.get((candidate.session_id, candidate.place + distance))
            if after is not None:
                answers = is_question and distance == 1
                yield source, after, AFTER_A_QUESTION if answers else share


def _favour_the_period(
    question: Question, found: Sequence[Candidate], scores: list[float]
) -> None:
    if not question.periods:
        return
    most = max(scores)
    for i, candidate in enumerate(found):
        told_at = moment_of(candidate.told_at)
        fitting = [period.weight for period in question.periods if period.holds(told_at)]
        scores[i] += IN_THE_PERIOD * most * max(fitting, default=0.0)


def _favour_the_session(found: Sequence[Candidate], scores: list[float]) -> None:
    sessions: dict[str, list[int]] = defaultdict(list)
    for i, candidate in enumerate(found):
        if candidate.session_id is not None:
            sessions[candidate.session_id].append(i)
    for members in sessions.values():
        best = sorted((scores[i] for i in members), reverse=True)[:_BEST_OF_A_SESSION]
        bonus = SESSION * sum(best) / _BEST_OF_A_SESSION
        for i in members:
            scores[i] += bonus


def _favour_statements_and_the_new(
    found: Sequence[Candidate], scores: list[float], now: datetime
) -> None:
    now_us = microseconds(now)
    for i, candidate in enumerate(found):
        days = max(0, now_us - candidate.told_at) / _DAY
        scores[i] *= 1 + RECENT * 0.5 ** (days / RECENT_DAYS)
        if "?" in candidate.value:
            scores[i] *= A_QUESTION_ITSELF
