"""Words of a text and their stems, alike for what was asked and what is remembered."""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache

from Stemmer import Stemmer

from memory.irregular import FAMILIES, base_form

_WORD = re.compile(r"[^\W_]+")
_CACHED_STEMS = 50_000

# Without its own cache, which two threads at once could break; ours is `stem`'s.
_english = Stemmer("english", 0)
_stemming = threading.Lock()


def words_of(text: str) -> list[str]:
    """Return the words in order, lower-case, as both full-text indexes cut them."""
    # lower(), not casefold(), as the indexes do: "ß" is a letter of its own there.
    return _WORD.findall(text.lower())


@lru_cache(_CACHED_STEMS)
def stem(word: str) -> str:
    """Return the stem of the word's base form, without accents: of "went" that of "go"."""
    if not word.isascii():
        word = _without_accents(word)
    with _stemming:
        return str(_english.stemWord(base_form(word)))


def forms_of(word: str) -> tuple[str, ...]:
    """Return the word, and the irregular forms that share its stem.

    >>> forms_of("going"), forms_of("walk")
    (('going', 'go', 'went', 'gone'), ('walk',))
    """
    return tuple(dict.fromkeys([word, *_families().get(stem(word), ())]))


@lru_cache(1)
def _families() -> dict[str, tuple[str, ...]]:
    return {stem(family[0]): family for family in reversed(FAMILIES)}


def _without_accents(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize(
        "NFC", "".join(part for part in parts if not unicodedata.combining(part))
    )
