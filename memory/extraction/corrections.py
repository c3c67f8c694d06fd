"""Corrections that do not say of what: "it's Ana, not Anna", "no, it's Ana"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from memory.speech import words

_VALUE = r"[^\W_][\w'-]{0,39}(?: [\w'-]{1,40}){0,2}?"
_THIS_NOT_THAT = re.compile(
    rf"(?:(?:no|and|but|actually|sorry),? )*(?:(?:it|that|he|she) is |spelled |i am |i said )?"
    rf"(?P<new>{_VALUE}),? (?:and )?not (?:a |an |the )?(?P<old>{_VALUE})[\s.!]*$",
    re.IGNORECASE,
)
_NOT_THAT_THIS = re.compile(
    rf"(?:(?:no|and|but|actually|sorry),? )*(?:it is |that is )?not (?:a |an |the )?"
    rf"(?P<old>{_VALUE}),? (?:but |it is |rather )?(?P<new>{_VALUE})[\s.!]*$",
    re.IGNORECASE,
)
_NO_THIS = re.compile(
    rf"(?:no|nope|that is (?:wrong|not right)|wrong)[,.!]? (?:it is|that is) (?P<new>{_VALUE})"
    r"[\s.!]*$",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(
    r"\b(?:hi|hello|hey|welcome(?: back)?|sorry|morning|evening|afternoon|you|thanks"
    r"|goodbye|bye),? (?P<name>[A-Z][\w'-]{0,39})"
)


@dataclass(frozen=True)
class Known:
    """A fact that may be corrected."""

    category: str
    key: str
    value: str


def corrected(sentence: str, agent_said: str, known: Iterable[Known]) -> Known | None:
    """Return the fact as the sentence corrects it, or None.

    Args:
        sentence: its contractions written out.
        agent_said: what the agent said before it.
        known: what is held for true; of several that fit, the last.
    """
    facts = list(known)
    match = _THIS_NOT_THAT.match(sentence) or _NOT_THAT_THIS.match(sentence)
    if match is not None:
        return _replaced(match["old"], match["new"], agent_said, facts)
    match = _NO_THIS.match(sentence)
    if match is None:
        return None
    said = words(agent_said)
    spoken_of = [fact for fact in facts if _within(words(fact.value), said)]
    if len(spoken_of) != 1:
        return None
    return Known(spoken_of[0].category, spoken_of[0].key, match["new"])


def _replaced(old: str, new: str, agent_said: str, facts: list[Known]) -> Known | None:
    for fact in reversed(facts):
        value = words(fact.value)
        if value == words(new):
            return fact
        if value == words(old):
            return Known(fact.category, fact.key, new)
    if any(match["name"].casefold() == old.casefold() for match in _ADDRESSED.finditer(agent_said)):
        return Known("FACT", "first_name", new)
    return None


def _within(part: list[str], whole: list[str]) -> bool:
    return bool(part) and f" {' '.join(part)} " in f" {' '.join(whole)} "
