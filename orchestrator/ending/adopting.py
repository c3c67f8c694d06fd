"""Sessions that the state does not know, though a person is in a room that we marked.

A token makes a session only when its holder joins, and its job says so; where the job came late
or there is no Redis to say it in, the room's mark and the person in it say enough.
"""

from __future__ import annotations

import logging
from contextlib import suppress

from config import Settings
from orchestrator.rooms import Rooms
from session_context import livekit_identity_to_uuid
from sessions import (
    SessionEndedError,
    SessionExistsError,
    SessionRecord,
    SessionState,
    SessionStyle,
)
from sessions.lifetime import latest_end
from sessions.naming import now_ms, read_room_metadata

logger = logging.getLogger("orchestrator.sessions")


async def adopt(room: str, *, state: SessionState, rooms: Rooms, settings: Settings) -> bool:
    """Note the session of a room of ours with a person in it, where it is not known.

    Returns:
        Whether the session is known now.

    Raises:
        UnavailableError: LiveKit is out of reach.
        StateUnreachableError: the state of sessions is.
    """
    found = await rooms.find(room)
    mark = read_room_metadata(found.metadata) if found is not None else None
    if not mark or not mark.get("session"):
        return False
    session_id = mark["session"]
    if await state.records.get(session_id) is not None:
        return True
    if await state.records.has_ended(session_id):
        return False
    people = [each for each in await rooms.present(room) if not each.is_agent and each.identity]
    if not people:
        return False
    first = min(people, key=lambda each: each.joined_at)
    record = _record(session_id, room, first.identity, mark.get("creator", ""), settings)
    with suppress(SessionExistsError, SessionEndedError):
        await state.records.add(record, ttl_s=settings.sessions.key_ttl_s)
        logger.info("[Session] known by its room", extra={"session_id": session_id})
    return True


def _record(
    session_id: str, room: str, identity: str, creator: str, settings: Settings
) -> SessionRecord:
    now = now_ms()
    return SessionRecord(
        id=session_id,
        room=room,
        identity=identity,
        user_id=livekit_identity_to_uuid(identity),
        creator=creator,
        style=SessionStyle.ENDPOINT,
        start_time=now,
        expires_at=latest_end(now, settings.sessions.max_session_s),
        dispatches=1,
        dispatched_at=now,
        connected_at=now,
    )
