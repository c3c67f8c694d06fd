"""The contract of the channel on which connection events are said and heard."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from connection_events.broadcast import Broadcast
from connection_events.message import ConnectionEvent
from connection_events.telling import Handler, tell


class EventChannel(Protocol):
    """Carries connection events to whoever listens now; nothing is kept for later."""

    async def publish(self, event: ConnectionEvent) -> bool:
        """Say an event; False where it could not be said, which is logged and counted."""
        ...

    def listening(self, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Tell a handler every event from the beginning of the ``async with`` to its end.

        A broken connection is made anew, with backoff and jitter, for ever.
        """
        ...

    async def aclose(self) -> None:
        """Give back what is held."""
        ...


class BroadcastChannel:
    """See `EventChannel`.

    Args:
        broadcast: carries it, and is closed with this.
        name: the channel's name there.
    """

    def __init__(self, broadcast: Broadcast, name: str) -> None:
        self._broadcast = broadcast
        self._name = name

    async def publish(self, event: ConnectionEvent) -> bool:
        """See `EventChannel.publish`."""
        return await self._broadcast.publish(self._name, event.as_json())

    def listening(self, handler: Handler) -> AbstractAsyncContextManager[None]:
        """See `EventChannel.listening`."""

        async def told(text: str | bytes) -> None:
            await tell(handler, text)

        return self._broadcast.listening(self._name, told)

    async def aclose(self) -> None:
        """See `EventChannel.aclose`."""
        await self._broadcast.aclose()
