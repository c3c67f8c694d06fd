"""The contract of the channel on which connection events are said and heard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from connection_events.message import ConnectionEvent

Handler = Callable[[ConnectionEvent], Awaitable[None]]
"""Is told an event. What it raises is logged and counted, and stops nobody else."""


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
