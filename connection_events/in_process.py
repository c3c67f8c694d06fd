"""The channels within one process, where there is no Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from connection_events.broadcast import Listener
from connection_events.channel import BroadcastChannel
from connection_events.metrics import PUBLISHED

_ONLY_CHANNEL = "connection_events"


class ProcessBroadcast:
    """See `Broadcast`; listeners are told before `publish` returns, one after another."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}

    async def publish(self, channel: str, text: str) -> bool:
        """See `Broadcast.publish`."""
        for listener in list(self._listeners.get(channel, ())):
            await listener(text)
        PUBLISHED.labels("ok").inc()
        return True

    @asynccontextmanager
    async def listening(self, channel: str, listener: Listener) -> AsyncIterator[None]:
        """See `Broadcast.listening`."""
        there = self._listeners.setdefault(channel, [])
        there.append(listener)
        try:
            yield
        finally:
            there.remove(listener)

    async def aclose(self) -> None:
        """See `Broadcast.aclose`; whoever still listens hears nothing more."""
        self._listeners = {}


class ProcessChannel(BroadcastChannel):
    """`EventChannel` within this process."""

    def __init__(self) -> None:
        super().__init__(ProcessBroadcast(), _ONLY_CHANNEL)
