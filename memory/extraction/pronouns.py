"""Who "she" is: the last of the person's people or pets that was spoken of."""

from __future__ import annotations

import re
from collections.abc import Iterable

from memory.extraction.kinds import HE, PETS, RELATIONS, SHE
from memory.extraction.slots import SLOTS

_SPOKEN_OF = re.compile(
    rf"\b(?:my|your|our|the|a|an|one) (?P<who>{SLOTS['relation'].pattern}|{SLOTS['pet'].pattern})"
    r"(?![\w-])",
    re.IGNORECASE,
)
_OWNER = re.compile(r"(?P<whose>his|her|their|its) (?P<what>name)(?= is\b)", re.IGNORECASE)
_SUBJECT = re.compile(
    r"(?P<who>he|she|they|it)(?= (?:is|are|was|lives?|works?|turned|just turned|studies|study"
    r"|moved)\b)",
    re.IGNORECASE,
)
_KIND = {"his": "he", "her": "she", "their": "they", "its": "it"}


def named(clause: str, spoken_before: Iterable[str]) -> str:
    """Return the clause with its first pronoun replaced by whom it stands for.

    Args:
        clause: its contractions written out.
        spoken_before: what was said before it by either side, the latest last.

    >>> named("she is called Olive", ["I have a cat"])
    'my cat is called Olive'
    """
    owner, subject = _OWNER.match(clause), _SUBJECT.match(clause)
    match = owner or subject
    if match is None:
        return clause
    pronoun = match[1].casefold()
    who = _last_of(_KIND.get(pronoun, pronoun), spoken_before)
    if who is None:
        return clause
    if owner:
        return f"my {who}'s name{clause[owner.end() :]}"
    rest = re.sub(r"^ are\b", " is", clause[match.end() :], flags=re.IGNORECASE)
    return f"my {who}{rest}"


def _last_of(pronoun: str, spoken_before: Iterable[str]) -> str | None:
    for text in reversed(list(spoken_before)):
        for match in reversed(list(_SPOKEN_OF.finditer(text))):
            who = match["who"].casefold()
            if _may_be(pronoun, who):
                return who
    return None


def _may_be(pronoun: str, who: str) -> bool:
    if who in PETS:
        return True
    relation = RELATIONS[who.split()[-1]]
    if pronoun == "he":
        return relation not in SHE
    if pronoun == "she":
        return relation not in HE
    return pronoun == "they"
