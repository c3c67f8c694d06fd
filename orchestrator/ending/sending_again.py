"""Another agent for a session, so that never two of them speak.

The session is told of the new dispatch before it is made: a job that answers an older one may
not begin, and leaves where it has begun.
"""

from __future__ import annotations

import logging

from orchestrator.ending.metrics import DISPATCHED_AGAIN
from orchestrator.errors import UnavailableError
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from orchestrator.webhooks.outgoing import SessionEvent, SessionWebhooks
from sessions import SessionRecord, SessionState, SessionStatus
from sessions.naming import now_ms

logger = logging.getLogger("orchestrator.watchdog")


class SendingAgain:
    """Sends agents again, or gives a session up.

    Args:
        state: the state of sessions.
        rooms: LiveKit's rooms.
        spawner: brings agents.
        webhooks: tells the product's back end.
    """

    def __init__(
        self, *, state: SessionState, rooms: Rooms, spawner: Spawner, webhooks: SessionWebhooks
    ) -> None:
        self._state = state
        self._rooms = rooms
        self._spawner = spawner
        self._webhooks = webhooks

    async def send(self, record: SessionRecord, agents: list[str], *, why: str) -> None:
        """Fence the agent that was, remove it, and send another.

        Args:
            record: the session.
            agents: the identities of the agents in its room.
            why: for the log and the metrics.

        Raises:
            UnavailableError: LiveKit or the spawner is out of reach.
            StateUnreachableError: the state of sessions is.
        """
        attempt = max(1, record.dispatches) + 1
        if not await self._fence(record, attempt, SessionStatus.STARTING):
            return
        DISPATCHED_AGAIN.labels(why).inc()
        logger.warning(
            "[Session] another agent is sent",
            extra={"session_id": record.id, "why": why, "attempt": attempt},
        )
        await self._take_back(record, agents)
        name = await self._spawner.spawn(record, attempt=attempt)
        field = "dispatch_id" if self._spawner.dispatches else "celery_task_id"
        if not await self._state.records.update(record.id, **{field: name}):
            # It ended meanwhile, and the dispatch made its room anew.
            await self._rooms.delete(record.room)

    async def give_up(self, record: SessionRecord, agents: list[str]) -> None:
        """Turn a session's status to failed; an agent that comes now may not begin.

        Raises:
            UnavailableError: LiveKit is out of reach.
            StateUnreachableError: the state of sessions is.
        """
        if not await self._fence(record, max(1, record.dispatches) + 1, SessionStatus.FAILED):
            return
        logger.error("[Session] failed: no agent came", extra={"session_id": record.id})
        self._webhooks.say(SessionEvent.FAILED, record, attempts=max(1, record.dispatches))
        await self._take_back(record, agents)

    async def _fence(self, record: SessionRecord, attempt: int, status: SessionStatus) -> bool:
        return await self._state.records.update(
            record.id, dispatches=attempt, dispatched_at=now_ms(), status=status
        )

    async def _take_back(self, record: SessionRecord, agents: list[str]) -> None:
        try:
            await self._spawner.revoke(record)
        except UnavailableError as error:
            logger.warning(
                "[Session] what was spawned before could not be taken back",
                extra={"session_id": record.id, "error": error.detail},
            )
        for identity in agents:
            await self._rooms.remove(record.room, identity)
