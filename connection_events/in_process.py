"""The channel within one process, where there is no Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connection_events.channel import Handler
from connection_events.message import ConnectionEvent
from connection_events.metrics import PUBLISHED
from connection_events.telling import tell


class ProcessChannel:
    """See `EventChannel`; handlers are told before `publish` returns, one after another."""

    def __init__(self) -> None:
        self._handlers: list[Handler] = []

    async def publish(self, event: ConnectionEvent) -> bool:
        """See `EventChannel.publish`."""
        text = event.as_json()
        for handler in list(self._handlers):
            await tell(handler, text)
        PUBLISHED.labels("ok").inc()
        return True

    @asynccontextmanager
    async def listening(self, handler: Handler) -> AsyncIterator[None]:
        """See `EventChannel.listening`."""
        self._handlers.append(handler)
        try:
            yield
        finally:
            self._handlers.remove(handler)

    async def aclose(self) -> None:
        """See `EventChannel.aclose`."""
        self._handlers.clear()
