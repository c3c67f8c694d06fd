"""Invented memories in quantity: sentences with a Zipf-like vocabulary, told in sessions."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import accumulate

IN_A_SESSION = 20

_VOCABULARY = 8_000
_FLATTENED = 20
"""Zipf-Mandelbrot: the commonest content word is in every sixteenth memory, as in speech."""

_SMALL = (
    "I the a my to and was it in of that with we at for she he this on so but they had is".split()
)
_START = datetime(2024, 1, 1, 9, tzinfo=timezone.utc)
_ONSETS = "b br c ch d dr f fl g gr h j k l m n p pl r s sh st t tr v w".split()
_VOWELS = "a e i o u ea ou ai".split()
_ENDINGS = ["", "n", "r", "l", "t", "nd", "rk", "ss", "ing", "ed", "er", "s"]


@dataclass(frozen=True)
class Told:
    """One invented memory, as `memory.NewMemory` takes it."""

    id: str
    key: str
    value: str
    told_at: datetime
    session_id: str
    place: int


class Speaker:
    """Tells memories, and asks about them; the same seed tells the same.

    Args:
        seed: whose memories these are.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = _vocabulary()
        self._weights = list(accumulate(1 / (rank + _FLATTENED) for rank in range(_VOCABULARY)))

    def tell(self, count: int) -> Iterator[Told]:
        """Tell that many memories, in sessions a day apart."""
        for number in range(count):
            session, place = divmod(number, IN_A_SESSION)
            told_at = _START + timedelta(hours=6 * session, seconds=9 * place)
            yield Told(
                id=str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
                key=f"user_input_{int(told_at.timestamp() * 1000)}",
                value=self.sentence(),
                told_at=told_at,
                session_id=f"session-{session}",
                place=place + 1,
            )

    def sentence(self) -> str:
        """Say something: content words with small ones between them."""
        content = self._content(self._random.randint(4, 12))
        words = [each for word in content for each in (self._random.choice(_SMALL), word)]
        return " ".join(words).capitalize() + self._random.choice(".....?")

    def question(self, about: str) -> str:
        """Ask about something that was told, by two to four of its content words."""
        content = about.rstrip(".?").split()[1::2]
        chosen = self._random.sample(content, min(len(content), self._random.randint(2, 4)))
        return f"What did I say about {' and '.join(chosen)}?"

    def _content(self, count: int) -> list[str]:
        return self._random.choices(self._words, cum_weights=self._weights, k=count)


def _vocabulary() -> list[str]:
    made = random.Random(0)
    words: dict[str, None] = {}
    while len(words) < _VOCABULARY:
        syllables = made.choice([1, 2, 2, 3])
        stem = "".join(made.choice(_ONSETS) + made.choice(_VOWELS) for _ in range(syllables))
        words[stem + made.choice(_ENDINGS)] = None
    return list(words)
