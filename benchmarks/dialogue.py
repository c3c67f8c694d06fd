"""The dialogues of the quality benchmark, as their files hold them.

A file is a list of dialogues: ``{"id", "speaker", "date", "turns", "also"}``. A turn is
``{"agent", "user", "keep", "facts", "confidence", "recalled"}``: what the agent said before
it, what the person said, whether it may be true of the person, and the facts it tells. A fact
is ``[category, key, value, last day]``; key and value may be lists of what is acceptable, the
first of which is the stand-in's answer; in a key ``*`` stands for anything, and what follows
``#`` only names the thing, where a later turn changes it. ``also`` has facts that are true
and need not be found. The dates lie ahead, so that no plan has expired, in a year with the
weekdays of 2026.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from memory import Memory
from memory.extraction.dates import DAY_END_EVERYWHERE
from memory.extraction.kinds import number_of
from memory.speech import words


@dataclass(frozen=True)
class Expected:
    """A fact that a turn tells.

    Attributes:
        category: what it is about.
        keys: the keys under which it may be kept.
        values: words of which the value must have one group.
        last_day: the last day on which it is true, if it passes.
        thing: what it is a fact of; a later fact of the same thing takes its place.
    """

    category: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    last_day: date | None
    thing: str

    def has_key(self, memory: Memory) -> bool:
        """Tell whether the memory is kept under one of the keys."""
        return any(fnmatchcase(memory.key, key) for key in self.keys)

    def has_value(self, memory: Memory) -> bool:
        """Tell whether the memory's value says the same."""
        said = _in_digits(memory.value)
        return any(_in_digits(value) in said for value in self.values)

    def expires_with(self, memory: Memory) -> bool:
        """Tell whether the memory expires when the expected day is over."""
        if self.last_day is None or memory.expires_at is None:
            return self.last_day is None and memory.expires_at is None
        return (memory.expires_at - DAY_END_EVERYWHERE).date().toordinal() == (
            self.last_day.toordinal() + 1
        )


@dataclass(frozen=True)
class Turn:
    """A turn of the person, and what should be made of it."""

    text: str
    agent_said: str
    keep: bool
    facts: tuple[Expected, ...]
    confidence: float | None
    recalled: tuple[str, ...]


@dataclass(frozen=True)
class Dialogue:
    """A conversation with one person."""

    id: str
    began_at: datetime
    turns: tuple[Turn, ...]
    also: tuple[Expected, ...]


def read_dialogues(file: Path) -> list[Dialogue]:
    """Read a file of dialogues."""
    return [
        Dialogue(
            each["id"],
            datetime.fromisoformat(each["date"]),
            tuple(_turn(turn) for turn in each["turns"]),
            tuple(_expected(fact) for fact in each.get("also", ())),
        )
        for each in json.loads(file.read_text(encoding="utf-8"))
    ]


def _turn(turn: dict[str, Any]) -> Turn:
    return Turn(
        turn["user"],
        turn.get("agent", ""),
        turn["keep"],
        tuple(_expected(fact) for fact in turn.get("facts", ())),
        turn.get("confidence"),
        tuple(turn.get("recalled", ())),
    )


def _expected(fact: Sequence[Any]) -> Expected:
    category, given_keys, given_values, *rest = fact
    keys, values = _several(given_keys), _several(given_values)
    thing = keys[0] if "#" in keys[0] or "*" not in keys[0] else f"{keys[0]}#{values[0]}"
    return Expected(
        category,
        tuple(key.split("#")[0] for key in keys),
        values,
        date.fromisoformat(rest[0]) if rest else None,
        thing,
    )


def _in_digits(text: str) -> str:
    numbers = ((word, number_of(word)) for word in words(text) if word not in ("a", "an"))
    return f" {' '.join(word if number is None else str(number) for word, number in numbers)} "


def _several(given: str | list[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)
