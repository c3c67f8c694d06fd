"""How the orchestrator's log lines look: one line each, the values after the message."""

from __future__ import annotations

import logging
import sys

from config import Settings
from log_privacy import allow_personal_data, hide_personal_data

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_CHATTY = ("httpx", "httpcore", "uvicorn.access")


class LineFormatter(logging.Formatter):
    """Writes a record's extra values behind its message."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        """Return the record's line."""
        values = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        told = "".join(f" {name}={_one_line(value)}" for name, value in values.items())
        return _escaped(super().formatMessage(record)) + told


def write_log_lines(settings: Settings) -> None:
    """Write this process's log lines to stderr, without personal data unless it is allowed."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    allow_personal_data(bool(settings.worker.log_personal_data))
    hide_personal_data()


def _one_line(value: object) -> str:
    text = _escaped(str(value))
    return f'"{text}"' if " " in text else text


def _escaped(text: str) -> str:
    """Return a text without line breaks, so that nobody writes log lines of their own."""
    return text.replace("\r", "\\r").replace("\n", "\\n")
