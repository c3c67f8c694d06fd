"""What LiveKit tells of rooms and participants; each event is a hint, not a command.

Events repeat, come late, out of order, or never. So the room's participants are asked before
anything is ended, and whoever replays an event changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from livekit import api

from config import Settings
from connection_events import EventChannel
from orchestrator.ending.report import Endings
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from orchestrator.webhooks.happenings import Happenings
from orchestrator.webhooks.metrics import RECEIVED
from orchestrator.webhooks.verifying import WebhookVerifier
from sessions import SessionsError, SessionState
from worker.owned_tasks import end_tasks

logger = logging.getLogger("orchestrator.webhooks")

_REMEMBERED_S = 3600
"""Longer than LiveKit sends an event again, and than its token is valid."""

_KNOWN_EVENTS = frozenset(
    {
        "room_started",
        "room_finished",
        "participant_joined",
        "participant_left",
        "participant_connection_aborted",
        "track_published",
        "track_unpublished",
    }
)


class LiveKitWebhooks:
    """Takes LiveKit's webhooks. Use it within `running`.

    Args:
        state: the state of sessions.
        events: where it is said that a person was lost.
        rooms: LiveKit's rooms, which are asked before anything is ended.
        spawner: brings agents where LiveKit's dispatch does not.
        endings: ends sessions.
        settings: the LiveKit key, WEBHOOK_ALLOW_UNSIGNED, RECONNECT_GRACE_S.
    """

    def __init__(
        self,
        *,
        state: SessionState,
        events: EventChannel,
        rooms: Rooms,
        spawner: Spawner,
        endings: Endings,
        settings: Settings,
    ) -> None:
        self._state = state
        self._verifier = WebhookVerifier(
            settings.worker.livekit_api_key,
            settings.worker.livekit_api_secret,
            allow_unsigned=settings.orchestrator.webhook_allow_unsigned,
        )
        self._happenings = Happenings(
            state=state,
            events=events,
            rooms=rooms,
            spawner=spawner,
            endings=endings,
            settings=settings,
            later=self._own,
        )
        self._tasks: set[asyncio.Task[None]] = set()

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
        try:
            event = self._verifier.read(body, authorization=authorization, signature=signature)
        except OrchestratorError as error:
            RECEIVED.labels("unknown", str(error.status)).inc()
            logger.warning("[Webhook] refused", extra={"why": error.detail})
            raise
        label = event.event if event.event in _KNOWN_EVENTS else "other"
        try:
            result = await self._handle_once(event, body)
        except (SessionsError, OrchestratorError) as error:
            RECEIVED.labels(label, "failed").inc()
            logger.error(
                "[Webhook] could not be handled; LiveKit sends it again",
                extra={"webhook_event": label, "error": f"{type(error).__name__}: {error}"},
            )
            raise OrchestratorError("the event could not be handled; send it again") from error
        RECEIVED.labels(label, result).inc()
        return {"status": "ok", "event": event.event}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own the tasks that `receive` leaves behind; at the end they are cancelled.

        What waited for a person's return is then left to the room's departure time-out.
        """
        try:
            yield
        finally:
            await end_tasks(self._tasks)

    async def _handle_once(self, event: api.WebhookEvent, body: bytes) -> str:
        name = f"webhook {event.id or hashlib.sha256(body).hexdigest()}"
        if not await self._state.marks.first_time(name, for_s=_REMEMBERED_S):
            return "repeated"
        try:
            await self._happenings.take(event)
        except BaseException:
            await self._state.marks.forget(name)
            raise
        return "ok"

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_without_fail(work), name="after a webhook")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _without_fail(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (SessionsError, OrchestratorError) as error:
        logger.warning(
            "[Webhook] what follows from one could not be done; the reconciler will",
            extra={"error": f"{type(error).__name__}: {error}"},
        )
    except Exception:
        logger.exception("[Webhook] what follows from one failed unexpectedly")
