"""The sessions that live, in this process."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from sessions.errors import SessionEndedError, SessionExistsError, TooManySessionsError
from sessions.in_process.memory import Memory
from sessions.model import SessionRecord, SessionStatus


class ProcessRecords:
    """See `SessionRecords`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def add(self, record: SessionRecord, *, ttl_s: int, most: int | None = None) -> None:
        """See `SessionRecords.add`."""
        memory = self._memory
        if memory.ended.get(record.id):
            raise SessionEndedError("this session has ended; start a new one")
        if memory.records.get(record.id) is not None:
            raise SessionExistsError("a session of this id is there already")
        if most is not None and self._live_of(record.creator) >= most:
            raise TooManySessionsError(f"there are {most} live sessions already; end one first")
        memory.records.put(record.id, record, ttl_s)
        memory.newest.put(record.user_id, record.id, ttl_s)

    async def get(self, session_id: str) -> SessionRecord | None:
        """See `SessionRecords.get`."""
        return self._memory.records.get(session_id)

    async def of_room(self, room: str) -> SessionRecord | None:
        """See `SessionRecords.of_room`."""
        return next((record for record in self._all() if record.room == room), None)

    async def update(self, session_id: str, **changes: Any) -> bool:
        """See `SessionRecords.update`."""
        record = self._memory.records.get(session_id)
        if record is None or self._memory.ended.get(session_id):
            return False
        self._memory.records.replace(session_id, replace(record, **changes))
        return True

    async def renew(self, session_id: str, ttl_s: int) -> None:
        """See `SessionRecords.renew`."""
        record = self._memory.records.get(session_id)
        if record is None:
            return
        self._memory.records.renew(session_id, ttl_s)
        if self._memory.newest.get(record.user_id) == session_id:
            self._memory.newest.renew(record.user_id, ttl_s)

    async def newest_of(self, user_id: str) -> str | None:
        """See `SessionRecords.newest_of`."""
        return self._memory.newest.get(user_id)

    async def page(self, after: str | None, limit: int) -> list[SessionRecord]:
        """See `SessionRecords.page`."""
        everything = sorted(self._all(), key=lambda record: (record.start_time, record.id))
        ids = [record.id for record in everything]
        first = ids.index(after) + 1 if after in ids else 0
        return everything[first : first + limit]

    async def count(self) -> dict[SessionStatus, int]:
        """See `SessionRecords.count`."""
        everything = self._all()
        return {
            status: sum(record.status is status for record in everything)
            for status in SessionStatus
        }

    async def has_ended(self, session_id: str) -> bool:
        """See `SessionRecords.has_ended`."""
        return bool(self._memory.ended.get(session_id))

    async def fence(self, session_id: str) -> None:
        """See `SessionRecords.fence`."""
        self._memory.ended.put(session_id, value=True, for_s=self._memory.fence_s)

    def _all(self) -> list[SessionRecord]:
        records = self._memory.records
        return [found for key in records.live() if (found := records.get(key)) is not None]

    def _live_of(self, creator: str) -> int:
        now = int(time.time() * 1000)
        return sum(
            record.creator == creator and (record.expires_at or now + 1) > now
            for record in self._all()
        )
