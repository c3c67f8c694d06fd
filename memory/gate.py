"""What a person says that is worth remembering, and what is only the sound of talking."""

from __future__ import annotations

import re

_FILLER = frozenset(
    """
    ah aha alright and anyway bye cool er fine go good goodbye great hello hey hi hm hmm huh
    i indeed it's just like mhm mm mmm nah nice no nope oh ok okay perfect please right see so
    much sorry sure thank thanks that's the then uh uhm uhuh um very well wait welcome what yeah yep
    yes you yup
    """.split()
)


def is_worth_keeping(text: str) -> bool:
    """Tell whether a turn says anything beyond filler and back-channels.

    >>> is_worth_keeping("uh, yes okay"), is_worth_keeping("I am a nurse")
    (False, True)
    """
    words = re.findall(r"[\w']+", text.replace("\u2019", "'").casefold())
    return any(word not in _FILLER for word in words)
