"""The names of facts: snake_case, and the same for the same thing however it is said."""

from __future__ import annotations

import re

_LONGEST_KEY_WORDS = 5
_ARTICLES = frozenset("a an the my our some any your his her their".split())
_EMPTY = _ARTICLES | frozenset(
    "and at back be for from get going go in into is it me of off on one out own to up us "
    "with".split()
)


def slug(text: str) -> str:
    """Return the words of a text in snake_case, without the article before them.

    >>> slug("the New York Times")
    'new_york_times'
    """
    words = re.findall(r"[^\W_]+", text.replace("'", "").casefold())
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return "_".join(words[:_LONGEST_KEY_WORDS])


def singular(text: str) -> str:
    """Return the text's key with its last word in the singular, by the plain rules.

    >>> singular("wild mushrooms"), singular("cherries"), singular("chess")
    ('wild_mushroom', 'cherry', 'chess')
    """
    name = slug(text)
    if name.endswith("ies") and len(name) > 4:
        return f"{name[:-3]}y"
    if name.endswith("oes"):
        return name[:-2]
    if name.endswith("s") and not name.endswith(("ss", "us", "is", "ics")) and len(name) > 3:
        return name[:-1]
    return name


def topic(text: str) -> str:
    """Return what a plan or a goal is about, as a key: its first words that carry meaning."""
    words = [word for word in slug_words(text) if word not in _EMPTY] or slug_words(text)
    return "_".join(words[:3])


def slug_words(text: str) -> list[str]:
    """Return the words of a text as keys have them."""
    return re.findall(r"[^\W_]+", text.replace("'", "").casefold())
