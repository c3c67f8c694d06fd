"""Names that are also words of no meaning: Will, told from the verb by its capital letter."""

from __future__ import annotations

import re

from memory.candidates import Candidates

NAMES = frozenset({"will"})
"""Lower-case. Full-text indexes of English may leave these words out."""

_NAME = r"Will\b(?! (?:i|I|we|you|he|she|it|they|the|there|this|that|these|those|my|your|our)\b)"
_NAMED = re.compile(rf"\b{_NAME}")
_ASKED = re.compile(rf"(?<=[\w,] ){_NAME}|\bWill(?='s\b)")
_VERB = re.compile(rf"\b(?!{_NAME})[Ww](?:ill|ILL)\b")


def names_in(text: str) -> frozenset[str]:
    """Return which of `NAMES` a question names; a verb that opens a sentence is none."""
    return NAMES if _ASKED.search(text) else frozenset()


def is_named_in(text: str) -> bool:
    """Tell whether a memory's text names one of `NAMES`."""
    return _NAMED.search(text) is not None


def without_verbs(candidates: Candidates, position: int) -> Candidates:
    """Return the candidates with the verb taken out of what is to be ranked.

    Args:
        candidates: what a back end found, which knows no capital letters.
        position: where the name stands in the words that were asked for.
    """
    found = [
        hit if hit.value is None else hit._replace(value=_VERB.sub(" ", hit.value))
        for hit in candidates.found
    ]
    frequencies = list(candidates.frequencies)
    frequencies[position] = sum(hit.value is not None and is_named_in(hit.value) for hit in found)
    return candidates._replace(found=found, frequencies=frequencies)
