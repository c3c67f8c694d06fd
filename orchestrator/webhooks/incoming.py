"""What LiveKit tells of rooms and participants; each event is a hint, not a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config import Settings
from orchestrator.ending.report import Endings
from orchestrator.rooms import Rooms
from sessions import SessionState


class LiveKitWebhooks:
    """Takes LiveKit's webhooks.

    Args:
        state: the state of sessions.
        rooms: LiveKit's rooms, which are asked before anything is ended.
        endings: ends sessions.
        settings: keys, WEBHOOK_ALLOW_UNSIGNED, times.
    """

    def __init__(
        self, *, state: SessionState, rooms: Rooms, endings: Endings, settings: Settings
    ) -> None:
        self._state = state
        self._rooms = rooms
        self._endings = endings
        self._settings = settings

    async def receive(
        self, body: bytes, *, authorization: str | None, signature: str | None
    ) -> dict[str, str]:
        """Verify and handle one webhook; the slow part goes on in the background.

        Args:
            body: as it came.
            authorization: the header Authorization, or None.
            signature: the header X-LiveKit-Signature, or None.

        Returns:
            The answer: ``{"status": "ok", "event": ...}``.

        Raises:
            UnauthorizedError: wrong signature, or none.
            BadRequestError: not JSON, or not an event.
            OrchestratorError: it could not be recorded or handled; LiveKit sends it again.
        """
        raise NotImplementedError

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own the tasks that `receive` leaves behind."""
        yield
