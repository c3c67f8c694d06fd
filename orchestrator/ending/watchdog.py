"""Sees to it that a person who is in the room has an agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config import Settings
from orchestrator.ending.report import Endings
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from orchestrator.webhooks.outgoing import SessionWebhooks
from sessions import SessionState


class Watchdog:
    """Sends another agent where none comes or one died, and ends sessions that are over.

    Args:
        state: the state of sessions.
        rooms: LiveKit's rooms.
        spawner: brings agents.
        endings: ends sessions.
        webhooks: tells the product's back end.
        settings: times.
    """

    def __init__(
        self,
        *,
        state: SessionState,
        rooms: Rooms,
        spawner: Spawner,
        endings: Endings,
        webhooks: SessionWebhooks,
        settings: Settings,
    ) -> None:
        self._state = state

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch from here to the end of the ``async with``."""
        yield
