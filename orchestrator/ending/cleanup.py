"""The one clean-up of a session, whoever asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config import Settings
from connection_events import EventChannel, Reason
from orchestrator.ending.report import EndReport
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from orchestrator.webhooks.outgoing import SessionWebhooks
from sessions import SessionRecord, SessionState


class Cleanups:
    """See `Endings`. Use it within `running`.

    Args:
        state: the state of sessions.
        events: where the end is said.
        rooms: LiveKit's rooms.
        spawner: takes back what has not arrived.
        webhooks: tells the product's back end.
        settings: times.
    """

    def __init__(
        self,
        *,
        state: SessionState,
        events: EventChannel,
        rooms: Rooms,
        spawner: Spawner,
        webhooks: SessionWebhooks,
        settings: Settings,
    ) -> None:
        self._state = state
        self._events = events
        self._rooms = rooms
        self._spawner = spawner
        self._webhooks = webhooks
        self._settings = settings

    async def end(self, session_id: str, reason: Reason, *, asked_by: str) -> EndReport | None:
        """See `Endings.end`."""
        raise NotImplementedError

    async def begin(self, session_id: str, reason: Reason, *, asked_by: str) -> bool:
        """See `Endings.begin`."""
        raise NotImplementedError

    async def begin_orphan(self, orphan: SessionRecord, reason: Reason, *, asked_by: str) -> bool:
        """Do as `begin` for what bears our mark and belongs to no session."""
        raise NotImplementedError

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own the clean-ups under way, and take over those that somebody abandoned."""
        yield
