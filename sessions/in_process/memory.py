"""What this process remembers of sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sessions.model import SessionRecord, Task

V = TypeVar("V")

_LEAST_SWEPT = 64


class Expiring(Generic[V]):
    """A dict whose entries go when their time is over.

    Those that nobody asks for again go once they are as many as those that live.

    Args:
        clock: seconds, only ever growing.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[float, V]] = {}
        self._sweep_above = _LEAST_SWEPT

    def put(self, key: str, value: V, for_s: float) -> None:
        """Keep a value for so many seconds."""
        self._entries[key] = (self._clock() + for_s, value)
        if len(self._entries) > self._sweep_above:
            self._sweep_above = max(_LEAST_SWEPT, 2 * len(self.live()))

    def get(self, key: str) -> V | None:
        """Return a value whose time is not over, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            del self._entries[key]
            return None
        return entry[1]

    def pop(self, key: str) -> V | None:
        """Remove and return a value whose time is not over, or None."""
        value = self.get(key)
        self._entries.pop(key, None)
        return value

    def renew(self, key: str, for_s: float) -> None:
        """Let a value that is there live for so many seconds from now."""
        value = self.get(key)
        if value is not None:
            self.put(key, value, for_s)

    def replace(self, key: str, value: V) -> None:
        """Change a value that is there, and leave its time as it is."""
        if self.get(key) is not None:
            self._entries[key] = (self._entries[key][0], value)

    def live(self) -> list[str]:
        """Return the keys whose time is not over, and forget the others."""
        return [key for key in list(self._entries) if self.get(key) is not None]


@dataclass
class Claimed:
    """A clean-up that somebody has claimed."""

    owner: str
    until: float
    reason: str
    record: SessionRecord


@dataclass
class Memory:
    """All of it, shared by the parts of the state."""

    fence_s: float
    clock: Callable[[], float] = time.monotonic
    records: Expiring[SessionRecord] = field(init=False)
    newest: Expiring[str] = field(init=False)
    ended: Expiring[bool] = field(init=False)
    reports: Expiring[dict[str, Any]] = field(init=False)
    health: Expiring[dict[str, str]] = field(init=False)
    marks: Expiring[str] = field(init=False)
    tickets: Expiring[str] = field(init=False)
    speaking: Expiring[bool] = field(init=False)
    histories: Expiring[str] = field(init=False)
    logs: dict[str, list[str]] = field(default_factory=dict)
    tasks: dict[str, dict[str, Task]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    cleanups: dict[str, Claimed] = field(default_factory=dict)
    namespaces: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.records = Expiring(self.clock)
        self.newest = Expiring(self.clock)
        self.ended = Expiring(self.clock)
        self.reports = Expiring(self.clock)
        self.health = Expiring(self.clock)
        self.marks = Expiring(self.clock)
        self.tickets = Expiring(self.clock)
        self.speaking = Expiring(self.clock)
        self.histories = Expiring(self.clock)

    def lives(self, session_id: str) -> bool:
        """Return whether a session is there and has not ended."""
        return self.records.get(session_id) is not None and not self.ended.get(session_id)

    def drop(self, session_id: str) -> int:
        """Remove everything that belongs to one session, and return how many things."""
        record = self.records.pop(session_id)
        found: list[object] = [record, self.health.pop(session_id), self.speaking.pop(session_id)]
        found += [part.pop(session_id, None) for part in (self.logs, self.tasks, self.counts)]
        tickets = [each for each in self.tickets.live() if self.tickets.get(each) == session_id]
        found += [self.tickets.pop(each) for each in tickets]
        if record is not None and self.newest.get(record.user_id) == session_id:
            found.append(self.newest.pop(record.user_id))
        return sum(each is not None for each in found)
