"""Tokens for LiveKit's own front ends; giving one away changes nothing.

The room, with its agent, is made by whoever joins with the token, and the job notes the
session when it starts.
"""

from __future__ import annotations

from config import Settings
from orchestrator.callers import (
    NAMESPACE_SESSIONS,
    Caller,
    CallerKind,
    Callers,
    new_anonymous_identity,
)
from orchestrator.errors import ForbiddenError, NotFoundError
from orchestrator.join_tokens import JoinTokens
from orchestrator.rooms import Rooms
from orchestrator.token_request import JoinWish
from session_context import livekit_identity_to_uuid
from sessions import SessionRecord, SessionState, SessionStyle
from sessions.lifetime import latest_end
from sessions.naming import (
    ROOM_PREFIX,
    new_session_id,
    now_ms,
    read_room_metadata,
    session_of_room,
)

_NOT_YOURS = "room_name: there is no such room for you"


class TokenService:
    """Gives tokens.

    Args:
        settings: names of agents, times.
        state: the state of sessions, which is only read.
        rooms: LiveKit's rooms, which are only looked at.
        callers: derives names that one caller alone has.
        tokens: makes tokens.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        state: SessionState,
        rooms: Rooms,
        callers: Callers,
        tokens: JoinTokens,
    ) -> None:
        self._agent_names = settings.orchestrator.agent_names
        self._max_session_s = settings.sessions.max_session_s
        self._state = state
        self._rooms = rooms
        self._callers = callers
        self._tokens = tokens

    async def token(self, caller: Caller, wish: JoinWish) -> str:
        """Return a token for a new room, or for one that the caller may name.

        Raises:
            BadRequestError: the identity is of a reserved prefix.
            ForbiddenError: the identity is somebody else's, or the caller acts for nobody, or a
                namespace asks for a room of no session.
            NotFoundError: the room is another caller's, or its session has ended.
            UnavailableError: it cannot be said whose the room is, or LiveKit is not configured.
        """
        if caller.kind is CallerKind.NAMESPACE:
            await self._refuse_new_session(wish.room)
        record = await self._record(caller, wish)
        if wish.room is not None:
            await self._check(caller, record.room)
        asked = wish.agent.name
        return self._tokens.make(
            room=record.room,
            identity=record.identity,
            name=wish.name or "",
            metadata=wish.metadata,
            attributes=wish.attributes,
            room_config=self._rooms.configuration(
                record, agent_name=asked if asked in self._agent_names else None
            ),
        )

    async def _refuse_new_session(self, room: str | None) -> None:
        """Refuse a room that is not of a session: its own would be made by who joins."""
        if room is None or not await self._is_of_a_session(room):
            raise ForbiddenError(NAMESPACE_SESSIONS)

    async def _record(self, caller: Caller, wish: JoinWish) -> SessionRecord:
        identity = _identity(caller, wish)
        session_id, now = new_session_id(), now_ms()
        return SessionRecord(
            id=session_id,
            room=session_id if wish.room is None else await self._room(caller, wish.room),
            identity=identity,
            user_id=livekit_identity_to_uuid(identity),
            creator=caller.creator,
            style=SessionStyle.ENDPOINT,
            start_time=now,
            expires_at=latest_end(now, self._max_session_s),
            user_name=wish.name or "",
            voice_id=wish.agent.voice_id,
            opening_line=wish.agent.opening_line,
        )

    async def _room(self, caller: Caller, name: str) -> str:
        """Return the room of a name, which for a user or a namespace is theirs alone.

        But not where there is a session's room of that very name: theirs, or another caller's.
        """
        if caller.kind in (CallerKind.BACKEND, CallerKind.DEVELOPMENT):
            return name
        if await self._is_of_a_session(name):
            return name
        return f"{ROOM_PREFIX}{self._callers.private_name(caller, name)}"

    async def _is_of_a_session(self, room: str) -> bool:
        if await self._state.records.of_room(room) is not None:
            return True
        session_id = session_of_room(room)
        return session_id is not None and await self._state.records.has_ended(session_id)

    async def _check(self, caller: Caller, room: str) -> None:
        """Refuse a room that belongs to somebody else, or whose session has ended."""
        session_id = session_of_room(room)
        if session_id is not None and await self._state.records.has_ended(session_id):
            raise NotFoundError(_NOT_YOURS)
        record = await self._state.records.of_room(room)
        if record is not None and not caller.may_reach(record):
            raise NotFoundError(_NOT_YOURS)
        found = await self._rooms.find(room)
        if found is None:
            return
        mark = read_room_metadata(found.metadata)
        if mark is None and caller.kind is CallerKind.DEVELOPMENT:
            return
        if mark is None or mark.get("creator") != caller.creator:
            raise NotFoundError(_NOT_YOURS)


def _identity(caller: Caller, wish: JoinWish) -> str:
    if caller.kind is CallerKind.BACKEND and wish.identity is None:
        return new_anonymous_identity()
    return caller.user_for(wish.identity, field="participant_identity")
