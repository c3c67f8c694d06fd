"""How far the reads of turns for facts are, for who shows what an agent does behind the scenes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from enum import Enum


class ReadingState(str, Enum):
    """How far one read is."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


OnReading = Callable[[str, ReadingState], None]
"""Called with a read's id and its new state."""


class Readings:
    """The reads of one session: one is under way, and one waits for what comes meanwhile.

    Args:
        tell: called at each change; None where nobody wants to know.
    """

    def __init__(self, tell: OnReading | None) -> None:
        self._tell = tell or (lambda _id, _state: None)
        self._waiting: str | None = None
        self._running: str | None = None

    def wait(self) -> None:
        """A turn waits; it is read together with those that wait already."""
        if self._waiting is None:
            self._waiting = uuid.uuid4().hex
            self._tell(self._waiting, ReadingState.PENDING)

    def drop(self) -> None:
        """Nothing waits any more."""
        waiting, self._waiting = self._waiting, None
        self._tell_of(waiting, ReadingState.CANCELLED)

    def begin(self, *, others_wait: bool) -> None:
        """What waited is read now, all of it or the first part."""
        self.wait()
        self._running, self._waiting = self._waiting, None
        self._tell_of(self._running, ReadingState.RUNNING)
        if others_wait:
            self.wait()

    def end(self, state: ReadingState) -> None:
        """What was read is done with."""
        running, self._running = self._running, None
        self._tell_of(running, state)

    def close(self) -> None:
        """Nothing is read any more."""
        self.end(ReadingState.CANCELLED)
        self.drop()

    def _tell_of(self, reading: str | None, state: ReadingState) -> None:
        if reading is not None:
            self._tell(reading, state)
