"""Telling a handler what was heard, whatever was heard and whatever the handler does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from connection_events.message import ConnectionEvent, read_event
from connection_events.metrics import HANDLER_FAILURES, HEARD

logger = logging.getLogger("connection_events")

Handler = Callable[[ConnectionEvent], Awaitable[None]]
"""Is told an event. What it raises is logged and counted, and stops nobody else.

The next event waits for it: what takes long belongs into a task of the handler's own.
"""


async def tell(handler: Handler, text: str | bytes) -> None:
    """Read a message and tell the handler if it is an event; never raises."""
    event = read_event(text)
    if event is None:
        HEARD.labels("unreadable").inc()
        logger.warning("a message on the events channel is none of ours and is ignored")
        return
    HEARD.labels(event.type).inc()
    try:
        await handler(event)
    except Exception as error:
        HANDLER_FAILURES.labels(type(error).__name__).inc()
        logger.exception(
            "a handler of connection events failed",
            extra={"conversation_id": event.conversation_id},
        )
