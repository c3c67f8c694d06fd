"""How long to wait before a broken connection is tried anew."""

from __future__ import annotations

import random

_FIRST_S = 0.1
_LONGEST_S = 5.0


class Backoff:
    """Waits that double, with jitter, so that many who lost the same server come back apart.

    Args:
        first_s: the first wait is at most so many seconds.
        longest_s: no wait is longer than so many seconds.
    """

    def __init__(self, *, first_s: float = _FIRST_S, longest_s: float = _LONGEST_S) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._most_s = first_s

    def next_s(self) -> float:
        """Return the seconds to wait now, between half of what it is at most and all of it."""
        wait_s = self._most_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        self._most_s = min(2 * self._most_s, self._longest_s)
        return wait_s

    def begin_anew(self) -> None:
        """Begin with the first wait again, as the connection stands."""
        self._most_s = self._first_s
