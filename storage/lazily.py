"""Something that is opened when it is first needed, once, whichever thread needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazily(Generic[T]):
    """Opens a thing at its first use.

    Args:
        open_it: called once; when it raises, the next use tries again.
    """

    def __init__(self, open_it: Callable[[], T]) -> None:
        self._open_it = open_it
        self._lock = threading.Lock()
        self._opened: T | None = None

    def get(self) -> T:
        """Return the thing, opened."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open_it()
            return self._opened

    def take(self) -> T | None:
        """Return the thing if it is open, to be closed; the next use opens it anew."""
        with self._lock:
            opened, self._opened = self._opened, None
            return opened
