"""What is said first, and how: to a newcomer, to somebody who is known, or as asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from assistant import persona
from memory import Category, Memory
from memory.model import TURN_KEY
from profiles import Person

_LONGEST_QUOTE = 160

_MENTIONED = frozenset(
    {
        Category.EXPERIENCE,
        Category.GOAL,
        Category.INTEREST,
        Category.PLAN,
        Category.PREFERENCE,
        Category.RELATIONSHIP,
    }
)
_TO_THE_AGENT = re.compile(r"\?$|\b(forget|remember|delete|tell me|you know)\b", re.IGNORECASE)
"""Questions and commands say nothing about the person."""


@dataclass(frozen=True)
class GreetingMaterial:
    """What a greeting can be made of; every part may be missing or have come too late.

    Attributes:
        person: what is kept of the person.
        memories: their latest memories, newest first.
    """

    person: Person = field(default_factory=Person)
    memories: Sequence[Memory] = ()

    @property
    def is_first_login(self) -> bool:
        """Whether no conversation with them is known to have taken place."""
        return not self._is_noted and not self._has_told

    @property
    def is_unnoted(self) -> bool:
        """Whether one has taken place that its own session could not note."""
        return not self._is_noted and self._has_told

    @property
    def _is_noted(self) -> bool:
        profile = self.person.profile
        return profile is not None and not profile.is_first_login

    @property
    def _has_told(self) -> bool:
        return any(memory.key.startswith(TURN_KEY) for memory in self.memories)


@dataclass(frozen=True)
class Line:
    """Something the agent says.

    Attributes:
        text: ready to be said.
        sense: the same with a name in angle brackets for each thing that the person told.
        told: these things by their names.
        is_verbatim: whether it is said as it stands, whatever the session's language.
    """

    text: str
    sense: str
    told: Mapping[str, str] = field(default_factory=dict)
    is_verbatim: bool = False


def greeting(
    opening_line: str | None, material: GreetingMaterial, *, goes_on: bool = False
) -> Line:
    """Return what is said first.

    Somebody whose first conversation has not taken place yet is welcomed as new, everybody
    else as the person they are.

    Args:
        opening_line: from the dispatch; wins over everything.
        material: what is known of the person.
        goes_on: whether their last conversation was cut off a moment ago.
    """
    name = material.person.details.first_name
    if opening_line:
        return Line(opening_line, opening_line, is_verbatim=True)
    if goes_on:
        return _line(persona.resuming_greeting, first_name=name)
    if material.is_first_login:
        return _line(persona.onboarding_greeting)
    remembered = _worth_mentioning(material.memories)
    return _line(persona.returning_greeting, first_name=name, remembered=remembered)


def interruption() -> Line:
    """Return what is said to somebody who is back after the agent was cut off."""
    return _line(persona.interrupted_line)


def _line(words: Callable[..., str], **told: str | None) -> Line:
    known = {name: text for name, text in told.items() if text}
    names = [f"<{name}>" if name in known else None for name in told]
    return Line(words(*told.values()), words(*names), known)


def _worth_mentioning(memories: Sequence[Memory]) -> str | None:
    """Return the latest thing they told of themselves in their own words, as a sentence."""
    for memory in memories:
        text = " ".join(memory.value.split())
        is_said = memory.key.startswith(TURN_KEY) and memory.category in _MENTIONED
        if is_said and len(text) <= _LONGEST_QUOTE and not _TO_THE_AGENT.search(text):
            return text if text[-1] in ".!" else f"{text}."
    return None
