"""Ends sessions through LiveKit alone, until the clean-up is there."""

from __future__ import annotations

import time

from connection_events import Reason
from orchestrator.ending.report import EndReport
from orchestrator.rooms import Rooms
from sessions import ClaimResult, SessionState


class StandinEndings:
    """See `Endings`."""

    def __init__(self, state: SessionState, rooms: Rooms) -> None:
        self._state = state
        self._rooms = rooms

    async def end(self, session_id: str, reason: Reason, *, asked_by: str) -> EndReport | None:
        """See `Endings.end`."""
        began = time.monotonic()
        claim = await self._state.cleanups.claim(
            session_id, owner=asked_by, reason=reason.value, lease_s=10
        )
        if claim.result is not ClaimResult.CLAIMED or claim.record is None:
            return None
        await self._rooms.delete(claim.record.room)
        report = EndReport(
            session_id,
            process_killed=True,
            redis_cleaned=True,
            room_deleted=True,
            seconds=time.monotonic() - began,
        )
        await self._state.cleanups.finish(session_id, owner=asked_by, report=report.as_dict())
        return report

    async def begin(self, session_id: str, reason: Reason, *, asked_by: str) -> bool:
        """See `Endings.begin`."""
        return await self.end(session_id, reason, asked_by=asked_by) is not None
