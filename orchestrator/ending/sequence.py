"""The steps of a clean-up, in the order that ends every kind of stuck job.

The dispatch goes before the room, as LiveKit takes three seconds to miss the dispatches of a
room that is not there. A step that fails is a sentence in the report, and the others go on.
Every step may be done twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from connection_events import EventChannel, Reason, disconnected
from orchestrator.ending.report import EndReport
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from sessions import Gone, SessionRecord, SessionsError, SessionState, StateUnreachableError
from sessions.naming import read_room_metadata

logger = logging.getLogger("orchestrator.cleanup")

T = TypeVar("T")

_POLL_S = 0.03
_COME_BACK_PAUSES_S = (0.0, 0.05, 0.2)


@dataclass
class _Attempts:
    """Does steps one by one, and keeps what went wrong."""

    session_id: str
    errors: list[str] = field(default_factory=list)

    async def __call__(self, what: str, step: Awaitable[T], otherwise: T) -> T:
        extra = {"session_id": self.session_id, "step": what}
        try:
            return await step
        except (OrchestratorError, SessionsError) as error:
            self.errors.append(f"{what}: {error}")
            logger.warning("[Cleanup] a step failed", extra={**extra, "error": str(error)})
        except Exception:
            self.errors.append(f"{what}: failed; see the log")
            logger.exception("[Cleanup] a step failed unexpectedly", extra=extra)
        return otherwise


class Sequence:
    """Takes a session apart, but for its keys in the state.

    Args:
        state: where processes report their end.
        events: where the end is said.
        rooms: LiveKit's rooms.
        spawner: takes back what has not arrived.
        gone_within_s: how long a process may take to be gone.
    """

    def __init__(
        self,
        *,
        state: SessionState,
        events: EventChannel,
        rooms: Rooms,
        spawner: Spawner,
        gone_within_s: float,
    ) -> None:
        self._state = state
        self._events = events
        self._rooms = rooms
        self._spawner = spawner
        self._gone_within_s = gone_within_s

    async def carry_out(self, record: SessionRecord, reason: Reason) -> EndReport:
        """Do all steps and return what came of them."""
        began = time.monotonic()
        attempt = _Attempts(record.id)
        await attempt("telling it", self._tell(record, reason), None)
        owned = await attempt("looking at the room", self._owns_room(record), True)
        if owned and self._spawner.dispatches:
            await attempt("deleting the dispatch", self._spawner.revoke(record), False)
        if owned is not False:
            await attempt("deleting the room", self._rooms.delete(record.room), False)
        revoked = False
        if not self._spawner.dispatches:
            revoked = await attempt("revoking the task", self._spawner.revoke(record), False)
        how = await attempt("waiting for the process", self._wait_for_process(record), None)
        deleted = owned is False or await attempt(
            "looking whether the room came back", self._keep_deleted(record), False
        )
        return EndReport(
            session_id=record.id,
            celery_task_revoked=revoked and bool(record.celery_task_id),
            process_killed=how is not None or (deleted and not record.agent_pid),
            redis_cleaned=True,
            room_deleted=deleted,
            process_exited=how is Gone.EXITED,
            seconds=round(time.monotonic() - began, 3),
            errors=attempt.errors,
        )

    async def _tell(self, record: SessionRecord, reason: Reason) -> None:
        if not await self._events.publish(disconnected(record.id, reason)):
            raise StateUnreachableError("the event could not be published")

    async def _owns_room(self, record: SessionRecord) -> bool | None:
        """Return None where the room is not there, False where it is another session's by now."""
        room = await self._rooms.find(record.room)
        if room is None:
            return None
        mark = read_room_metadata(room.metadata)
        return mark is None or mark.get("session") == record.id

    async def _wait_for_process(self, record: SessionRecord) -> Gone | None:
        """Wait until a process that began to serve the session is reported gone.

        Raises:
            StateUnreachableError: nobody reported it in time.
        """
        if not record.agent_pid:
            return None
        deadline = time.monotonic() + self._gone_within_s
        while True:
            how = await self._how_gone(record)
            if how is not None:
                return how
            if time.monotonic() > deadline:
                raise StateUnreachableError(
                    f"its end was not reported within {self._gone_within_s:g} s; look at the "
                    "worker's host"
                )
            await asyncio.sleep(_POLL_S)

    async def _how_gone(self, record: SessionRecord) -> Gone | None:
        if record.agent_gone:
            return Gone(record.agent_gone)
        try:
            return await self._state.agents.how_gone(record.id)
        except StateUnreachableError:
            return None  # it may be back before the deadline

    async def _keep_deleted(self, record: SessionRecord) -> bool:
        """Return whether the room is gone; a job that connected late makes it anew."""
        for pause_s in _COME_BACK_PAUSES_S:
            await asyncio.sleep(pause_s)
            if await self._owns_room(record) is not True:
                return True
            await self._rooms.delete(record.room)
        return await self._owns_room(record) is not True
