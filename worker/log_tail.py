"""The last log lines of a job, for operators, with nothing in them that was said."""

from __future__ import annotations

import json
import logging
import re
from collections import deque

_MOST_LINES = 200

_OURS = frozenset(
    "agent assistant connection_events memory people profiles sessions storage worker".split()
)
"""Packages whose messages are static text; of any other's only the place in the code is told."""

_FIELDS = frozenset(
    "attempt cause characters error field ordinal profile_ready reason result started turns".split()
)
_WORD = re.compile(r"[\w.\-]{1,60}")


class LogTail(logging.Handler):
    """Keeps the newest log lines until they are taken; beyond 200 the oldest are dropped."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[str] = deque(maxlen=_MOST_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self._lines.append(line(record))

    def take(self) -> list[str]:
        """Return the lines that were not taken yet, oldest first."""
        taken = []
        while self._lines:
            taken.append(self._lines.popleft())
        return taken

    def give_back(self, lines: list[str]) -> None:
        """Take lines back that could not be delivered; the newest stay where not all fit."""
        newer = self.take()
        self._lines.extend(lines)
        self._lines.extend(newer)


def line(record: logging.LogRecord) -> str:
    """Return a record as JSON: when, how bad, who, what, and fields that are words or numbers."""
    is_ours = record.name.split(".", 1)[0] in _OURS and not record.args
    told: dict[str, object] = {
        "at": int(record.created * 1000),
        "level": record.levelname,
        "logger": record.name,
        "message": str(record.msg) if is_ours else f"{record.module}:{record.lineno}",
    }
    for name in sorted(_FIELDS & vars(record).keys()):
        value = getattr(record, name)
        if isinstance(value, (bool, int, float)) or (
            isinstance(value, str) and _WORD.fullmatch(value)
        ):
            told[name] = value
    if record.exc_info and record.exc_info[0] is not None:
        told["exception"] = record.exc_info[0].__name__
    return json.dumps(told)
