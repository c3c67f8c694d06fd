"""Keeps tickets out of what uvicorn logs: it writes whole request lines, queries included."""

from __future__ import annotations

import logging
import re

_LOGGERS = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi", "websockets.server")
_TICKET = re.compile(r"(?i)(t(?:i|%69)cket=)[^&\s\"']+")
_HIDDEN = r"\1[hidden]"


def hide_tickets() -> None:
    """Take tickets out of the lines of the server's loggers; a second call changes nothing."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, TicketFilter) for each in logger.filters):
            logger.addFilter(TicketFilter())


class TicketFilter(logging.Filter):
    """Takes the values of ``ticket`` out of a record's message and arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the record in place; never drops one."""
        record.msg = _redacted(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_redacted(each) for each in record.args)
        return True


def _redacted(value: object) -> object:
    return _TICKET.sub(_HIDDEN, value) if isinstance(value, str) else value
