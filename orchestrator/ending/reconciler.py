"""Ends what nobody owns: compares sessions, LiveKit's rooms and what jobs report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config import Settings
from orchestrator.ending.cleanup import Cleanups
from orchestrator.rooms import Rooms
from sessions import SessionState


class Reconciler:
    """Compares what should be there with what is, once every RECONCILE_EVERY_S.

    Args:
        state: the state of sessions.
        rooms: LiveKit's rooms.
        cleanups: ends sessions, and what belongs to none.
        settings: times.
    """

    def __init__(
        self, *, state: SessionState, rooms: Rooms, cleanups: Cleanups, settings: Settings
    ) -> None:
        self._state = state

    async def reconcile(self) -> None:
        """Compare once, whoever holds the lease."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Compare from here to the end of the ``async with``."""
        yield
