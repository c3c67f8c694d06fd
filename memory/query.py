"""The words of a question that are worth searching for."""

from __future__ import annotations

import re

from memory.model import MemoryInputError

_MOST_WORDS = 32

_STOP_WORDS = frozenset(
    """
    a about actually also am an and any anything are as ask at be because been but by can
    could did do does doing done for from get give go got had has have having he her here hers
    hey hi him his how i if in into is it its just know let like me mine my no not now of off
    oh ok okay on or our out please remember remind say she should so some something tell than
    thanks that the their them then there these they this those to too uh um up us very was we
    well were what when where which who why will with would yes you your
    """.split()
)


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
    # lower(), not casefold(), as the full-text indexes do: "ß" is a letter of its own there.
    words = dict.fromkeys(re.findall(r"\w+", text.replace("_", " ").lower()))
    return [word for word in words if word not in _STOP_WORDS][:_MOST_WORDS]
