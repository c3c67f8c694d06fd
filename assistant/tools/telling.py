"""Puts what is kept of a person into words that a model can speak."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby

from memory import Category, Memory
from memory.recorder import TURN_KEY
from profiles import Person

PAGE = 10
_LONGEST = 160

_HEADINGS = {
    Category.FACT: "Facts",
    Category.GOAL: "Goals",
    Category.INTEREST: "Interests",
    Category.PREFERENCE: "Preferences",
    Category.OPINION: "Opinions",
    Category.EXPERIENCE: "Experiences",
    Category.PLAN: "Plans",
    Category.RELATIONSHIP: "People",
    Category.CAMPAIGNS: "Campaigns",
    Category.LORE: "Lore",
    Category.PRESENTATION: "Presentations",
}
_OWN_WORDS = "In their own words"


def is_turn(memory: Memory) -> bool:
    """Tell whether a memory is a turn as it was said, and not a fact."""
    return memory.key.startswith(TURN_KEY)


def told(memory: Memory) -> str:
    """Return a memory in a few words: a fact by its name, a turn as a quote."""
    value = _short(memory.value)
    return quoted(value) if is_turn(memory) else f"{spoken_key(memory.key)}: {value}"


def told_field(value: object) -> str:
    """Return the value of a profile's field in a few words."""
    return _short(", ".join(value) if isinstance(value, tuple) else str(value))


def spoken_key(key: str) -> str:
    """Return a key as words."""
    return key.replace("_", " ").strip()


def slug(text: str) -> str:
    """Return the text as a key."""
    return re.sub(r"\W+", "_", text.strip().casefold()).strip("_")


def quoted(text: str) -> str:
    """Return the text in quotes: it is what somebody said, and nothing that anybody is told."""
    return json.dumps(text, ensure_ascii=False)


def numbered(memories: Sequence[Memory]) -> str:
    """Return the memories as a numbered list in one line."""
    return "; ".join(f"{number}. {told(each)}" for number, each in enumerate(memories, 1))


def listed(person: Person, facts: Sequence[Memory], turns: Sequence[Memory], page: int) -> str:
    """Return one page of what is known: the profile and facts first, then turns.

    Args:
        person: their profile.
        facts: newest first.
        turns: newest first; one from which a fact was derived is left out, as the fact says it.
        page: from 1.
    """
    lines = [*_of_person(person), *_of_facts(facts), *_of_turns(facts, turns)]
    shown = lines[(page - 1) * PAGE : page * PAGE]
    if not shown:
        return "nothing yet" if not lines else "that was all"
    groups = groupby(shown, key=lambda line: line[0])
    text = "\n".join(
        f"{heading}: {'; '.join(say for _, say in group)}" for heading, group in groups
    )
    left = len(lines) - page * PAGE
    return f"{text}\n{left} more: page {page + 1}" if left > 0 else text


def _of_person(person: Person) -> Iterable[tuple[str, str]]:
    for name, value in {**asdict(person.details), **asdict(person.about)}.items():
        if value:
            said = told_field(value)
            said = quoted(said) if name == "profile_text" else said
            yield "Profile", f"{spoken_key(name)}: {said}"


def _of_facts(facts: Sequence[Memory]) -> Iterable[tuple[str, str]]:
    for category, heading in _HEADINGS.items():
        yield from ((heading, told(fact)) for fact in facts if fact.category is category)


def _of_turns(facts: Sequence[Memory], turns: Sequence[Memory]) -> Iterable[tuple[str, str]]:
    sources = {fact.source_id for fact in facts}
    yield from ((_OWN_WORDS, told(turn)) for turn in turns if turn.id not in sources)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rstrip()}..."
