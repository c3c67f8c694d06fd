"""Finds the memories that a person means by a few words. Blocking calls."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from itertools import product

from assistant.tools.telling import is_turn, slug
from memory import Category, Memory, MemoryManager
from memory.manager import MOST_RESULTS
from memory.query import search_words
from storage import StorageError

_MOST_FITS = 8
_SHORTEST_VALUE = 4
_LONGEST_LOOK_S = 0.5


def find_key(memory: MemoryManager, category: str | None, key: str) -> list[Memory]:
    """Return the current values under a key, in the category or else in every one.

    The key may be spelled as words. While the database is away, what was told a moment ago is
    found all the same.
    """
    keys = {key, slug(key)}
    try:
        same = [each for each in memory.list_facts(MOST_RESULTS) if each.key in keys]
    except StorageError:
        if waiting := _waiting(memory, category, keys):
            return waiting
        raise
    if not same:
        found = memory.search(key.replace("_", " "), MOST_RESULTS)
        same = [each for each in found if each.key in keys]
    if category is not None:
        in_category = [each for each in same if each.category is Category.of(category)]
        return in_category or same
    return same


def _waiting(memory: MemoryManager, category: str | None, keys: set[str]) -> list[Memory]:
    categories = [each.value for each in Category] if category is None else [category]
    ends_at = time.monotonic() + _LONGEST_LOOK_S
    for each, key in product(categories, sorted(keys)):
        if time.monotonic() > ends_at:
            break
        with suppress(StorageError):  # that it is away is known; what it lacks may wait here
            if found := memory.current(each, key):
                return [found]
    return []


def best_fits(memory: MemoryManager, words: str) -> list[Memory]:
    """Return the memories that say all of the words, or else some of them; best first."""
    wanted = search_words(words)
    found = memory.search(words.replace("_", " "), MOST_RESULTS)
    whole = [each for each in found if says_all(each, wanted)]
    return (whole or found)[:_MOST_FITS]


def says_all(memory: Memory, words: list[str]) -> bool:
    """Tell whether each of the words, or its beginning, is in the memory's key or value."""
    said = re.findall(r"\w+", f"{memory.key.replace('_', ' ')} {memory.value}".casefold())
    return all(any(_same(word, each) for each in said) for word in words)


def mentions(memory: MemoryManager, gone: list[Memory]) -> list[Memory]:
    """Return what still says what these memories said: by their key's words, or their value."""
    fits: dict[str, Memory] = {}
    for each in gone:
        words = [] if is_turn(each) else search_words(each.key)
        for found in memory.search(" ".join(words), MOST_RESULTS):
            if says_all(found, words):
                fits[found.id] = found
        value = each.value.casefold()
        for found in memory.search(each.value, MOST_RESULTS):
            if len(value) >= _SHORTEST_VALUE and value in found.value.casefold():
                fits[found.id] = found
    return list(fits.values())[:_MOST_FITS]


def _same(word: str, said: str) -> bool:
    shortest = min(len(word), len(said))
    return word == said or (
        shortest >= 4 and abs(len(word) - len(said)) <= 2 and word[:shortest] == said[:shortest]
    )
