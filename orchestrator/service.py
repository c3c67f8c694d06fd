"""Sessions, as both REST styles and the token endpoint have them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from config import Settings
from connection_events import Reason
from orchestrator.callers import Caller
from orchestrator.ending.expired import expired_session
from orchestrator.ending.report import Endings, EndReport
from orchestrator.errors import (
    ConflictError,
    NotFoundError,
    OrchestratorError,
    TooManyError,
    UnavailableError,
)
from orchestrator.join_tokens import LIVEKIT_MISSING
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from orchestrator.taking_turns import taking_turns
from session_context import livekit_identity_to_uuid
from sessions import (
    SessionRecord,
    SessionsError,
    SessionState,
    SessionStatus,
    SessionStyle,
    StateUnreachableError,
    TooManySessionsError,
)
from sessions.lifetime import latest_end
from sessions.naming import namespace_room, new_namespace_session_id, new_session_id, now_ms

logger = logging.getLogger("orchestrator.sessions")

_UNKNOWN = "there is no such session, or it has ended"
_RETRY_CREATE_AFTER_S = 30


@dataclass(frozen=True)
class Device:
    """What a client of the second style says of itself."""

    type: str
    version: str


class SessionService:
    """Starts, shows and ends sessions.

    Args:
        settings: times and maxima.
        state: the state of sessions.
        rooms: LiveKit's rooms.
        spawner: brings agents.
        endings: ends sessions.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        state: SessionState,
        rooms: Rooms,
        spawner: Spawner,
        endings: Endings,
    ) -> None:
        self._given = settings.orchestrator
        self._ttl_s = settings.sessions.key_ttl_s
        self._max_session_s = settings.sessions.max_session_s
        self._livekit_configured = settings.worker.livekit_is_configured
        self._state = state
        self._rooms = rooms
        self._spawner = spawner
        self._endings = endings

    async def start(
        self, caller: Caller, *, user_name: str, voice_id: str = "", opening_line: str = ""
    ) -> SessionRecord:
        """Start a session in the first style, its agent on the way.

        Args:
            caller: for whose person it is.
            user_name: the person's identity, or for a user's own token what they are called.
            voice_id: the TTS voice.
            opening_line: what the agent says first.

        Raises:
            BadRequestError: the name cannot be used.
            ForbiddenError: the caller acts for nobody, or is a namespace.
            UnavailableError: Redis, LiveKit or the spawner is out of reach.
        """
        identity = caller.user_called(user_name)
        session_id, now = new_session_id(), now_ms()
        record = SessionRecord(
            id=session_id,
            room=session_id,
            identity=identity,
            user_id=livekit_identity_to_uuid(identity),
            creator=caller.creator,
            start_time=now,
            expires_at=latest_end(now, self._max_session_s),
            user_name=user_name,
            voice_id=voice_id,
            opening_line=opening_line,
        )
        if not self._given.one_session_per_user:
            return await self._bring(await self._note(record))
        async with taking_turns(self._state.marks, f"start {record.user_id}"):
            older = await self._state.records.newest_of(record.user_id)
            noted = await self._note(record)
        started = await self._bring(noted)
        if older is not None:
            await self._endings.begin(older, Reason.CLIENT_DISCONNECT, asked_by="newer session")
        return started

    async def create(self, namespace: Caller, namespace_id: str, device: Device) -> SessionRecord:
        """Create a session in the second style, its agent on the way.

        Args:
            namespace: the caller, who is the namespace.
            namespace_id: its name.
            device: what the client is.

        Raises:
            TooManyError: the namespace has as many live sessions as it may have.
            UnavailableError: Redis, LiveKit or the spawner is out of reach.
        """
        identity = namespace.user_for(None)
        session_id, now = new_namespace_session_id(), now_ms()
        record = SessionRecord(
            id=session_id,
            room=namespace_room(session_id),
            identity=identity,
            user_id=livekit_identity_to_uuid(identity),
            creator=namespace.creator,
            style=SessionStyle.NAMESPACE,
            start_time=now,
            expires_at=now + int(self._given.session_ttl_hours * 3_600_000),
            namespace_id=namespace_id,
            device_type=device.type,
            client_version=device.version,
        )
        return await self._bring(await self._note(record, self._given.max_sessions_per_user))

    async def find(
        self, caller: Caller, session_id: str, style: SessionStyle | None = None
    ) -> SessionRecord:
        """Return a live session that the caller may see.

        A namespace's session is still found for a minute after it has expired.

        Raises:
            NotFoundError: there is none, or it is somebody else's, or of another style.
        """
        record = await self._state.records.get(session_id)
        if record is None and style is SessionStyle.NAMESPACE:
            record = expired_session(await self._state.cleanups.report(session_id))
        if record is None or not caller.may_reach(record):
            raise NotFoundError(_UNKNOWN)
        if style is not None and record.style is not style:
            raise NotFoundError(_UNKNOWN)
        return await self._with_agent_seen(record)

    async def end(
        self,
        caller: Caller,
        session_id: str,
        *,
        asked_by: str,
        style: SessionStyle | None = None,
    ) -> EndReport:
        """End a session, and return when it is done.

        Raises:
            NotFoundError: there is none, it has ended, or it is somebody else's.
            UnavailableError: Redis is out of reach.
        """
        record = await self._state.records.get(session_id)
        if record is None or not caller.may_reach(record):
            raise NotFoundError(_UNKNOWN)
        if style is not None and record.style is not style:
            raise NotFoundError(_UNKNOWN)
        reason = Reason.CLIENT_DISCONNECT
        report = await self._endings.end(session_id, reason, asked_by=asked_by)
        if report is not None:
            return report
        # It lived a moment ago: a clean-up of the same time has just finished.
        finished = await self._state.cleanups.report(session_id)
        if finished is None:
            raise NotFoundError(_UNKNOWN)
        return EndReport.from_stored(finished)

    async def page(self, after: str | None, limit: int) -> list[SessionRecord]:
        """Return sessions of everybody in the order in which they began; for operators."""
        return await self._state.records.page(after, limit)

    async def is_over(self, record: SessionRecord) -> bool:
        """Return whether a session is being ended, or has expired; one that has is ended."""
        if await self._state.records.has_ended(record.id):
            return True
        if record.expires_at > now_ms():
            return False
        await self._endings.begin(record.id, Reason.TIMEOUT, asked_by="expiry")
        return True

    async def _note(self, record: SessionRecord, most: int | None = None) -> SessionRecord:
        """Note a new session, of which its creator may have so many."""
        if not self._livekit_configured:
            raise UnavailableError(LIVEKIT_MISSING)
        noted = replace(record, dispatches=1, dispatched_at=now_ms())
        try:
            await self._state.records.add(noted, ttl_s=self._ttl_s, most=most)
        except TooManySessionsError as error:
            raise TooManyError(str(error), retry_after_s=_RETRY_CREATE_AFTER_S) from error
        except StateUnreachableError:
            raise
        except SessionsError as error:
            raise ConflictError(str(error)) from error
        return noted

    async def _bring(self, record: SessionRecord) -> SessionRecord:
        """Make a noted session's room and bring its agent, or end it."""
        try:
            return await self._with_agent(record)
        except BaseException:  # also where the client has gone and this is cancelled
            await self._undo(record)
            raise

    async def _with_agent(self, record: SessionRecord) -> SessionRecord:
        await self._rooms.create(record, with_agent=self._spawner.dispatches)
        if self._spawner.dispatches:
            spawned = record
        else:
            task_id = await self._spawner.spawn(record, attempt=1)
            spawned = replace(record, celery_task_id=task_id)
            await self._state.records.update(record.id, celery_task_id=task_id)
        logger.info("[Session] started", extra=_of(spawned))
        return spawned

    async def _undo(self, record: SessionRecord) -> None:
        try:
            await self._endings.begin(record.id, Reason.SERVER_ERROR, asked_by="failed start")
        except (OrchestratorError, StateUnreachableError) as error:
            logger.warning(
                "[Session] a start failed and is left to the reconciler",
                extra={**_of(record), "error": type(error).__name__},
            )

    async def _with_agent_seen(self, record: SessionRecord) -> SessionRecord:
        """Ask LiveKit for the agent where jobs cannot report that they are ready."""
        if self._state.shared or record.status is not SessionStatus.STARTING:
            return record
        if await self._state.records.has_ended(record.id):
            return record
        if any(each.is_ready_agent for each in await self._rooms.present(record.room)):
            await self._state.records.update(record.id, status=SessionStatus.READY)
            return replace(record, status=SessionStatus.READY)
        return record


def _of(record: SessionRecord) -> dict[str, str]:
    return {"session_id": record.id, "style": record.style.value}
