"""Ends what nobody owns: compares sessions, LiveKit's rooms and what jobs report.

Only what bears our mark and is older than RECONCILE_AGE_S is touched (a process: has been without
a session for as long); a room whose session has ended is deleted at any age.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from livekit import api

from config import Settings
from connection_events import Reason
from orchestrator.ending.adopting import adopt
from orchestrator.ending.cleanup import Cleanups
from orchestrator.ending.expiry import all_sessions
from orchestrator.ending.metrics import RECONCILED, WATCH_FAILURES
from orchestrator.ending.owners import new_owner
from orchestrator.ending.rounds import rounds
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from sessions import SessionRecord, SessionsError, SessionState
from sessions.naming import ROOM_PREFIX, namespace_room, now_ms, read_room_metadata

logger = logging.getLogger("orchestrator.reconciler")

_ASKED_BY = "reconciler"
_LEAST_LEASE_S = 10.0


class Reconciler:
    """Compares what should be there with what is, once every RECONCILE_EVERY_S.

    Args:
        state: the state of sessions.
        rooms: LiveKit's rooms.
        spawner: brings agents where LiveKit's dispatch does not.
        cleanups: ends sessions, and what belongs to none.
        settings: RECONCILE_EVERY_S, RECONCILE_AGE_S.
    """

    def __init__(
        self,
        *,
        state: SessionState,
        rooms: Rooms,
        spawner: Spawner,
        cleanups: Cleanups,
        settings: Settings,
    ) -> None:
        self._state = state
        self._rooms = rooms
        self._spawner = spawner
        self._cleanups = cleanups
        self._settings = settings
        self._every_s = settings.orchestrator.reconcile_every_s
        self._age_s = settings.orchestrator.reconcile_age_s
        self._unowned_since: dict[str, float] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Compare from here to the end of the ``async with``, while no other process does."""
        async with rounds(
            "reconciler",
            self.reconcile,
            state=self._state,
            owner=new_owner(),
            every_s=self._every_s,
            lease_s=max(_LEAST_LEASE_S, 1.5 * self._every_s),
        ):
            yield

    async def reconcile(self) -> None:
        """Compare once, whoever holds the lease.

        Raises:
            UnavailableError: LiveKit is out of reach.
            StateUnreachableError: the state of sessions is.
        """
        sessions = await all_sessions(self._state)
        # After the sessions: a room that was made in between is no room without a session.
        rooms = await self._rooms.all()
        names = {room.name for room in rooms}
        for record in sessions:
            await _without_fail(record.id, self._check_session, record, record.room in names)
        for room in rooms:
            await _without_fail(room.name, self._check_room, room)
        await self._check_processes()

    async def _check_session(self, record: SessionRecord, has_room: bool) -> None:
        if now_ms() - record.start_time < self._age_s * 1000:
            return
        if has_room:
            await self._remove_ghosts(record)
        elif await self._rooms.find(record.room) is None:
            self._found("session without a room", record.id)
            await self._cleanups.begin(record.id, Reason.SERVER_ERROR, asked_by=_ASKED_BY)

    async def _remove_ghosts(self, record: SessionRecord) -> None:
        """Remove what a killed agent left in the room; nobody is there who needs another."""
        if not record.agent_gone:
            return
        now = await self._state.records.get(record.id)
        if now is None or not now.agent_gone or now.dispatches != record.dispatches:
            return
        oldest_joined = time.time() - self._age_s
        for each in await self._rooms.present(record.room):
            if each.is_agent and each.joined_at <= oldest_joined:
                self._found("ghost agent", record.id)
                await self._rooms.remove(record.room, each.identity)

    async def _check_room(self, room: api.Room) -> None:
        mark = read_room_metadata(room.metadata)
        session_id = (mark or {}).get("session")
        if not mark or not session_id or await self._state.cleanups.is_pending(session_id):
            return
        if await self._state.records.has_ended(session_id):
            self._found("room of an ended session", session_id)
            await self._rooms.delete(room.name)
        elif room.creation_time <= time.time() - self._age_s:
            await self._check_owner(room.name, session_id, mark.get("creator", ""))

    async def _check_owner(self, room: str, session_id: str, creator: str) -> None:
        records = self._state.records
        if await records.get(session_id) or await records.of_room(room):
            return
        if await self._adopt(room):
            return  # a webhook was lost, or without Redis this process was started anew
        self._found("room without a session", session_id)
        orphan = SessionRecord(session_id, room, identity="", user_id="", creator=creator)
        await self._cleanups.begin_orphan(orphan, Reason.SERVER_ERROR, asked_by=_ASKED_BY)

    async def _adopt(self, room: str) -> bool:
        return await adopt(
            room,
            state=self._state,
            rooms=self._rooms,
            spawner=self._spawner,
            settings=self._settings,
        )

    async def _check_processes(self) -> None:
        reporting = await self._state.agents.reporting()
        for session_id in set(self._unowned_since) - set(reporting):
            del self._unowned_since[session_id]
        for session_id in reporting:
            await _without_fail(session_id, self._check_process, session_id)

    async def _check_process(self, session_id: str) -> None:
        records, cleanups = self._state.records, self._state.cleanups
        if await records.get(session_id) is not None or await cleanups.is_pending(session_id):
            self._unowned_since.pop(session_id, None)
            return
        now = time.monotonic()
        if now - self._unowned_since.setdefault(session_id, now) < self._age_s:
            return  # its job may be about to note it again
        self._found("process without a session", session_id)
        orphan = SessionRecord(
            session_id, _room_of(session_id), identity="", user_id="", creator=""
        )
        await self._cleanups.begin_orphan(orphan, Reason.SERVER_ERROR, asked_by=_ASKED_BY)

    def _found(self, what: str, session_id: str) -> None:
        RECONCILED.labels(what).inc()
        logger.warning(
            "[Cleanup] found without an owner", extra={"what": what, "session_id": session_id}
        )


def _room_of(session_id: str) -> str:
    return session_id if session_id.startswith(ROOM_PREFIX) else namespace_room(session_id)


async def _without_fail(name: str, check: Callable[..., Awaitable[None]], *given: object) -> None:
    try:
        await check(*given)
    except (OrchestratorError, SessionsError) as error:
        WATCH_FAILURES.labels("reconciler", type(error).__name__).inc()
        logger.warning("[Cleanup] cannot be checked", extra={"of": name, "error": str(error)})
