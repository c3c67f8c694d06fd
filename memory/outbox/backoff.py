"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random
import time

FIRST_S = 0.25
LONGEST_S = 10.0


class Backoff:
    """Pauses that double from a quarter of a second to ten, each with half of it as jitter."""

    def __init__(self) -> None:
        self._pauses: dict[str, float] = {}
        self._due_at: dict[str, float] = {}

    def failed(self, name: str) -> None:
        """Note that ``name`` has failed, now."""
        pause = self._pauses.get(name, FIRST_S)
        self._due_at[name] = time.monotonic() + pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        self._pauses[name] = min(pause * 2, LONGEST_S)

    def succeeded(self, name: str) -> None:
        """Begin anew with the shortest pause."""
        self._pauses.pop(name, None)
        self._due_at.pop(name, None)

    def hurry(self) -> None:
        """Let everything be tried once now; the next pauses are as long as they would be."""
        self._due_at.clear()

    def pause_s(self, name: str) -> float:
        """Return how long ``name``'s next pause is, 0 where it has not failed."""
        return self._pauses.get(name, 0.0)

    def wait_s(self, name: str) -> float:
        """Return the seconds until ``name`` may be tried again, 0 where it may now."""
        return max(0.0, self._due_at.get(name, 0.0) - time.monotonic())
