"""What is said first, and how: to a newcomer, to somebody who is known, or as asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
        profile = self.person.profile
        return profile is None or profile.is_first_login


def greeting(opening_line: str | None, material: GreetingMaterial) -> str:
    """Return the first sentence.

    An opening line from the dispatch wins. Somebody whose first conversation has not taken
    place yet is welcomed as new, everybody else as the person they are.
    """
    if opening_line:
        return opening_line
    if material.is_first_login:
        return persona.onboarding_greeting()
    return persona.returning_greeting(
        material.person.details.first_name, _worth_mentioning(material.memories)
    )


def _worth_mentioning(memories: Sequence[Memory]) -> str | None:
    """Return the latest thing they told of themselves in their own words, as a sentence."""
    for memory in memories:
        text = " ".join(memory.value.split())
        is_said = memory.key.startswith(TURN_KEY) and memory.category in _MENTIONED
        if is_said and len(text) <= _LONGEST_QUOTE and not _TO_THE_AGENT.search(text):
            return text if text[-1] in ".!" else f"{text}."
    return None
