"""Reads a question: the words that carry meaning, and when it is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memory.irregular import base_form
from memory.model import MemoryInputError
from memory.names import names_in
from memory.periods import MONTHS, WEEKDAYS, Period, read_periods
from memory.words import forms_of, stem, words_of

_MOST_WORDS = 32
_MOST_CHARACTERS = 2_000

# The last line is what a contraction leaves: it's, I'd, we'll.
_STOP_WORDS = frozenset(
    """
    a about actually also am an and any anything are as ask at be because been but by can
    could did do does doing done for from get getting give giving go goes going got had has have
    having he her here hers hey hi him his how i if in into is it its just know let like lot lots
    me mine my no not now of off
    oh ok okay on or our out please remember remind say she should so some something tell than
    thanks that the their them then there these they this those to too uh um up us very was we
    well were what when where which who why will with would yes you your
    d ll m re s ve
    """.split()
)

_FRAME_WORDS = frozenset(
    """
    both call called consider considered consist current currently day during ever feel felt
    first happen happened happening kind last likely long lot made make many much name names
    new old one people person recent recently since sort take taken thing things think
    thought time times took type types use used want wanted way
    """.split()
)
_FRAME_WEIGHT = 0.5
"""Words that shape a question more than they say what it is about."""

_ASKING_STEMS = frozenset(
    stem(word)
    for word in """
    around back beginning chat conversation discuss early end happen late mention mid middle
    speak talk
    """.split()
)
"""Words that ask what was said or done: beside a time they say nothing more."""

_NAMES_OF_TIMES = re.compile("|".join(filter(None, (*MONTHS, *WEEKDAYS, r"(?:19|20)\d\d"))))

_ASKS = re.compile(
    r"\b(?:what|where|who|whom|which|when|why|how|(?:tell|remind) (?:me|us)"
    r"|(?:did|was|were|have|had) (?:i|we))\b",
    re.IGNORECASE,
)
_OF_US = re.compile(r"\b(?:i|me|my|mine|we|us|our)\b", re.IGNORECASE)
_OF_THE_AGENT = re.compile(r"\byour?\b", re.IGNORECASE)

_NEGATED = re.compile(r"\b\w+n't\b", re.IGNORECASE)
"""don't, can't, wasn't: what they leave of a word would be searched for."""

_WHEN = re.compile(
    r"\bwhen\b|\b(what|which) (date|day|month|year|time)\b|\bhow long ago\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Term:
    """A word that carries meaning.

    Attributes:
        word: as it was asked, lower-case.
        forms: what is searched for: the word, and forms that no stemmer brings to it.
        stem: what it and its forms have in common.
        weight: 0 to 1, how much it says.
    """

    word: str
    forms: tuple[str, ...]
    stem: str
    weight: float


@dataclass(frozen=True)
class Question:
    """What somebody asked or said, read.

    Attributes:
        terms: at most 32, in order, each stem once.
        periods: the times that it names.
        asks_when: whether it wants to know a time.
        beside_the_time: where it names a time and says nothing else but what asks, the terms
            that still help; None where it is about something.
        asks: whether it is a question or a request, and not one of the agent alone.
    """

    terms: tuple[Term, ...]
    periods: tuple[Period, ...]
    asks_when: bool
    beside_the_time: tuple[Term, ...] | None = None
    asks: bool = False


def read_question(text: str, now: datetime) -> Question:
    """Read what somebody asked or said.

    Args:
        text: any text; punctuation and operators are no words. Of a very long one, the first
            2 000 characters.
        now: from where "yesterday" counts, with a time zone.

    Raises:
        MemoryInputError: it is not text.
    """
    words = search_words(text)
    start = text[:_MOST_CHARACTERS]
    periods, rest = read_periods(start, now)
    return Question(
        terms=_terms(words),
        periods=tuple(periods),
        asks_when=_WHEN.search(start) is not None,
        beside_the_time=_beside_the_time(words, rest) if periods and not names_in(start) else None,
        asks=_asks(start),
    )


def _beside_the_time(words: Sequence[str], rest: str) -> tuple[Term, ...] | None:
    others = search_words(rest)
    if not all(word in _FRAME_WORDS or stem(word) in _ASKING_STEMS for word in others):
        return None
    # "in June" is said of June whenever it is said; "yesterday" was another day each time.
    helping = {word for word in others if stem(word) not in _ASKING_STEMS}
    return _terms([w for w in words if w in helping or _NAMES_OF_TIMES.fullmatch(w)])


def _terms(words: Sequence[str]) -> tuple[Term, ...]:
    terms: dict[str, Term] = {}
    for word in words:
        weight = _FRAME_WEIGHT if word in _FRAME_WORDS else 1.0
        terms.setdefault(stem(word), Term(word, forms_of(word), stem(word), weight))
    return tuple(terms.values())


def search_words(text: str) -> list[str]:
    """Return the words of ``text`` that carry meaning, in order, each once, lower-case.

    Args:
        text: what somebody said or asked; punctuation and operators are no words.

    Returns:
        At most 32 words; empty where the text says nothing that could be found.

    Raises:
        MemoryInputError: it is not text.
    """
    if not isinstance(text, str):
        raise MemoryInputError("the query is not text")
    said = _NEGATED.sub(" ", text[:_MOST_CHARACTERS].replace("\u2019", "'"))
    words, names = dict.fromkeys(words_of(said)), names_in(said)
    return [word for word in words if word in names or not _is_stop_word(word)][:_MOST_WORDS]


def _asks(text: str) -> bool:
    # "How are you today?" is no question about what was told.
    asks = "?" in text or _ASKS.search(text) is not None
    return asks and (_OF_US.search(text) is not None or _OF_THE_AGENT.search(text) is None)


def _is_stop_word(word: str) -> bool:
    return word in _STOP_WORDS or base_form(word) in _STOP_WORDS
