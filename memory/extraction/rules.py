"""Facts by rules: the plain forms of English, without a language model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from memory.extraction.corrections import Known, corrected
from memory.extraction.dates import FoundDay, find_day
from memory.extraction.fact import Extraction, Fact, ToldTurn
from memory.extraction.pronouns import named
from memory.extraction.summary import summary_of
from memory.extraction.table import Found, Row, Table, read_table
from memory.gate import Verdict, sentence_verdict
from memory.model import Category, Memory
from memory.speech import clauses, in_full, plain, sentences, without_lead_in, words

_NOT_SO = re.compile(
    r"\b(?:if|imagine|pretend|suppose|wish|dream(?:ed|t)? (?:that|of)|what if|in (?:my|the|this|a)"
    r" (?:story|game|dream|book|novel|campaign|movie|film)|my character|kidding|as if|would be)\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|might|may(?= \w+ (?:to|in|as))|thinking (?:of|about)"
    r"|considering|not sure|i guess)\b",
    re.IGNORECASE,
)
_UNSURE_FACTOR = 0.5

_MOST_READ = 2_000
"""Characters of a turn, about two minutes of speech: reading more would hold up the event loop."""
_REPAIR = re.compile(
    r",? (?:no,? wait|wait,? no|no,? sorry|sorry|i mean|no,? i mean|or rather|scratch that"
    r"|make that)"
    r",? (?P<mended>[^,.!?]{1,60})",
    re.IGNORECASE,
)
_ENDS_IN_NOT = re.compile(r", (?:and )?not [\w' -]{1,60}$", re.IGNORECASE)
_LONGEST_ANSWER = 4
_LONGEST_CLAUSE = 400
_CORRECTED = 0.9


class RuleModel:
    """Reads turns by a table of patterns. In time that grows with their length, no faster.

    Args:
        patterns: an operator's own table, tried before the built-in one.

    Raises:
        PatternError: the table cannot be used.
    """

    def __init__(self, patterns: Path | None = None) -> None:
        self._table: Table = read_table(patterns)

    async def read(
        self,
        turns: Sequence[ToldTurn],
        known: Sequence[Memory],
        earlier: Sequence[ToldTurn] = (),
    ) -> Extraction:
        """Return the facts that the turns tell in one of the forms of the table."""
        readings = []
        for reading in self._turn_by_turn(turns, known, earlier):
            readings.append(reading)
            await asyncio.sleep(0)  # a long turn takes milliseconds, and others wait for the loop
        return _as_extraction(readings)

    def facts(
        self,
        turns: Sequence[ToldTurn],
        known: Sequence[Memory],
        earlier: Sequence[ToldTurn] = (),
    ) -> Extraction:
        """Do what `read` does, at once."""
        return _as_extraction(list(self._turn_by_turn(turns, known, earlier)))

    def _turn_by_turn(
        self, turns: Sequence[ToldTurn], known: Sequence[Memory], earlier: Sequence[ToldTurn]
    ) -> Iterator[tuple[list[Fact], dict[str, str]]]:
        """Give the facts of each turn, and all current values by their keys."""
        current = [Known(each.category.value, each.key, each.value) for each in reversed(known)]
        spoken = [text for turn in earlier for text in (turn.agent_said, turn.text)]
        for number, turn in enumerate(turns):
            spoken.append(turn.agent_said)
            short = replace(turn, text=turn.text[:_MOST_READ])
            reading = _Reading(self._table, short, number, current, spoken)
            told = _last_of_each_key(list(reading.facts()))
            current += [Known(each.category.value, each.key, each.value) for each in told]
            spoken.append(turn.text)
            yield told, {each.key: each.value for each in current}


def _as_extraction(readings: Sequence[tuple[list[Fact], dict[str, str]]]) -> Extraction:
    found = tuple(fact for facts, _ in readings for fact in facts)
    return Extraction(found, summary_of(readings[-1][1]) if found else None)


class _Reading:
    """One turn, read in what was known and said before it."""

    def __init__(
        self,
        table: Table,
        turn: ToldTurn,
        number: int,
        current: list[Known],
        spoken: list[str],
    ) -> None:
        self._table = table
        self._turn = turn
        self._number = number
        self._current = current
        self._spoken = list(spoken)
        self._has_capitals = bool(re.search(r"[A-Z]", turn.text.replace("I", "")))

    def facts(self) -> Iterator[Fact]:
        found = False
        for sentence in sentences(plain(self._turn.text)):
            if not _NOT_SO.search(sentence):
                for fact in self._of_sentence(_mended(sentence)):
                    found = True
                    yield fact
            self._spoken.append(sentence)
        if not found:
            yield from self._of_answer()

    def _of_sentence(self, sentence: str) -> Iterator[Fact]:
        correction = corrected(
            in_full(without_lead_in(sentence)), self._turn.agent_said, self._current
        ) or corrected(in_full(sentence), self._turn.agent_said, self._current)
        if correction is not None:
            category = Category.of(correction.category)
            yield Fact(self._number, category, correction.key, correction.value, _CORRECTED)
            return
        asks = sentence.endswith("?")
        parts = clauses(sentence)
        for place, clause in enumerate(parts):
            asked = asks and place == len(parts) - 1
            if sentence_verdict(f"{clause}?" if asked else clause) is Verdict.KEPT:
                yield from self._of_clause(clause)
            self._spoken.append(clause)

    def _of_clause(self, clause: str) -> Iterator[Fact]:
        factor = _UNSURE_FACTOR if _UNSURE.search(clause) else 1.0
        text = in_full(without_lead_in(clause[:_LONGEST_CLAUSE]))
        text = without_lead_in(_ENDS_IN_NOT.sub("", named(text, self._spoken)))
        day = find_day(text, self._turn.said_at.date())
        keys: set[str] = set()
        for row in self._table.rows:
            for found in self._matches(row, text, day):
                if found.key not in keys:
                    yield self._as_fact(row, found, day, factor)
            keys |= {found.key for found in self._matches(row, text, day)}

    def _matches(self, row: Row, text: str, day: FoundDay | None) -> list[Found]:
        if row.category is not Category.PLAN:
            return row.find(text, has_capitals=self._has_capitals)
        return [] if day is None else row.find(day.without, has_capitals=self._has_capitals)

    def _as_fact(self, row: Row, found: Found, day: FoundDay | None, factor: float) -> Fact:
        fact = Fact(self._number, found.category, found.key, found.value, found.confidence * factor)
        if row.category is not Category.PLAN or day is None:
            return fact
        return replace(
            fact,
            key=self._plan_key(found.key),
            value=f"{found.value}, by {day.last.isoformat()}",
            expires_at=day.expires_at,
        )

    def _plan_key(self, key: str) -> str:
        # A plan that is moved keeps its key: it is known by any word that they share.
        about = set(key.split("_")[1:])
        for known in reversed(self._current):
            if known.key.startswith("plan_") and about & set(known.key.split("_")[1:]):
                return known.key
        return key

    def _of_answer(self) -> Iterator[Fact]:
        first = next(iter(sentences(plain(self._turn.text))), "")
        text = without_lead_in(first).strip(" ,.!")
        text = re.sub(r",? (?:hi|hello|hey|please|thanks)$", "", text, flags=re.IGNORECASE)
        if not text or len(words(text)) > _LONGEST_ANSWER or text.endswith("?"):
            return
        asked = in_full(self._turn.agent_said).casefold()
        for answer in self._table.answers:
            if f"{answer.asked}?" in asked:
                yield from self._of_clause(answer.said.replace("{answer}", text))
                return


def _mended(sentence: str) -> str:
    """Return the sentence with its self-repairs carried out: "at Siemens, no wait, Bosch"."""
    match = _REPAIR.search(sentence)
    if match is None or match.start() == 0:
        return sentence
    mended = match["mended"].strip()
    before = sentence[: match.start()].split()
    after = sentence[match.end() :]
    count = len(mended.split())
    if count >= len(before):
        return f"{mended}{after}"
    return " ".join([*before[:-count], mended]) + after


def _last_of_each_key(facts: list[Fact]) -> list[Fact]:
    last = {fact.key: fact for fact in facts}
    return [fact for fact in facts if last[fact.key] is fact]
