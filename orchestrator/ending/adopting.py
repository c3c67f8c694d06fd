"""Sessions that the state does not know, though a person is in a room that we marked.

A token makes a session only when its holder joins, and its job says so; where the job came late
or there is no Redis to say it in, the room's mark and the person in it say enough.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace

from livekit import api

from config import Settings
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
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
from worker.dispatch import DispatchMetadata

logger = logging.getLogger("orchestrator.sessions")


async def adopt(
    room: str, *, state: SessionState, rooms: Rooms, spawner: Spawner, settings: Settings
) -> bool:
    """Note the session of a room of ours with a person in it, where it is not known.

    Where LiveKit's dispatch does not bring the agent, it is sent for.

    Returns:
        Whether the session is known now.

    Raises:
        UnavailableError: LiveKit or the spawner is out of reach.
        StateUnreachableError: the state of sessions is.
    """
    found = await rooms.find(room)
    mark = read_room_metadata(found.metadata) if found is not None else None
    if not mark or not mark.get("session"):
        return False
    if await state.records.get(mark["session"]) is not None:
        return True
    if await state.records.has_ended(mark["session"]):
        return False
    present = await rooms.present(room)
    people = [each for each in present if not each.is_agent and each.identity]
    if not people:
        return False
    first = min(people, key=lambda each: each.joined_at)
    record = _record(mark["session"], room, first.identity, mark.get("creator", ""), settings)
    dispatches = [] if spawner.dispatches else await rooms.dispatches(room)
    with suppress(SessionExistsError, SessionEndedError):
        noted = _with_wishes(record, dispatches)
        await state.records.add(noted, ttl_s=settings.sessions.key_ttl_s)
        logger.info("[Session] known by its room", extra={"session_id": record.id})
        is_ours = all(each.agent_name == rooms.agent_name for each in dispatches)
        if not spawner.dispatches and is_ours and len(people) == len(present):
            await spawner.spawn(noted, attempt=1)
    return True


def _with_wishes(record: SessionRecord, dispatches: list[api.AgentDispatch]) -> SessionRecord:
    """Return the record with what a token told the agent, which nobody takes the dispatch of."""
    for dispatch in dispatches:
        told = DispatchMetadata.parse(dispatch.metadata)
        if told.session_id == record.id:
            return replace(
                record,
                user_name=told.user_name or "",
                voice_id=told.voice_id or "",
                opening_line=told.opening_line or "",
            )
    return record


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
