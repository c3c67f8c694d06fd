"""What hits say in terms of a question: which terms, who said it, and whether a time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from memory.candidates import Candidate
from memory.model import TURN_KEY
from memory.periods import MONTHS, WEEKDAYS
from memory.query import Question
from memory.words import stem, words_of

K1, B = 0.6, 0.3
"""BM25's saturation and length normalisation: what is said is short and seldom repetitive."""

SAID_BY = 0.6
"""What a hit gains for being said by somebody whom the question names."""

A_TIME_IS_SAID = 0.2
"""What a hit that names a time gains where the question asks for one."""

_NO_TERM = -1

_LABEL = re.compile(r"([^\W\d_][\w.'-]{0,39}(?: [^\W\d_][\w.'-]{0,39})?): ")
"""Who said it, as transcripts have it: "Caroline: ..."."""

_TIMES = frozenset(
    [
        *(name for name in (*MONTHS, *WEEKDAYS) if name),
        *"yesterday today tomorrow tonight week weekend month year ago last next".split(),
        *"morning afternoon evening night recently since".split(),
    ]
)


Held = list[tuple[int, float]]
"""Each term that a hit holds, and BM25's saturated frequency of it, times the hit's factor."""


class _Reading(NamedTuple):
    """What was read of a hit: how often which term stands there, how many words, the factor."""

    counts: dict[int, int]
    length: int
    factor: float


def read_hits(question: Question, found: Sequence[Candidate]) -> dict[int, Held]:
    """Return what each hit holds of the question's terms, by the hit's index.

    Args:
        question: what was asked.
        found: hits and their neighbours.
    """
    reader = _Reader(question)
    readings = {
        i: reader.read(candidate.key or "", candidate.value)
        for i, candidate in enumerate(found)
        if candidate.value is not None
    }
    usual = sum(each.length for each in readings.values()) / max(len(readings), 1) or 1.0
    return {i: _held(each, usual) for i, each in readings.items()}


def _held(reading: _Reading, usual: float) -> Held:
    counts, length, factor = reading
    norm = K1 * (1 - B + B * length / usual)
    return [(term, factor * n * (K1 + 1) / (n + norm)) for term, n in counts.items()]


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
        return _Reading(self._counts([*said, *_key_words(key)]), len(said), factor)

    def _counts(self, words: Sequence[str]) -> dict[int, int]:
        known, counts = self._known, dict[int, int]()
        for word in words:
            term = known.get(word)
            if term is None:
                term = known[word] = self._terms.get(stem(word), _NO_TERM)
            if term != _NO_TERM:
                counts[term] = counts.get(term, 0) + 1
        return counts


def _key_words(key: str) -> list[str]:
    return [] if key.startswith(TURN_KEY) else words_of(key)
