"""What follows from what LiveKit tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from livekit import api

from config import Settings
from connection_events import EventChannel, Reason, disconnected
from orchestrator.ending.adopting import adopt
from orchestrator.ending.report import Endings
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from sessions import SessionRecord, SessionState
from sessions.naming import now_ms, read_room_metadata, session_of_room

_AGENT = api.ParticipantInfo.Kind.AGENT
_ON_PURPOSE = frozenset(
    {api.DisconnectReason.CLIENT_INITIATED, api.DisconnectReason.UNKNOWN_REASON}
)
_ENDED_BY_US = frozenset(
    {api.DisconnectReason.PARTICIPANT_REMOVED, api.DisconnectReason.ROOM_DELETED}
)
_SAID_BY_GATEWAY = api.DisconnectReason.USER_UNAVAILABLE
"""With which the voice gateway leaves for a client that it has lost; it has said why before."""
_FAILED = frozenset(
    {
        api.DisconnectReason.SERVER_SHUTDOWN,
        api.DisconnectReason.STATE_MISMATCH,
        api.DisconnectReason.JOIN_FAILURE,
    }
)
_ASKED_BY = "webhook"


class Happenings:
    """Ends sessions whose person or room is gone, and rooms whose session has ended.

    Args:
        state: the state of sessions.
        events: where it is said that a person was lost.
        rooms: LiveKit's rooms, which are asked what is true now.
        spawner: brings agents where LiveKit's dispatch does not.
        endings: ends sessions.
        settings: RECONNECT_GRACE_S, READY_WITHIN_S.
        later: takes over what nobody waits for.
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
        later: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._state = state
        self._events = events
        self._rooms = rooms
        self._spawner = spawner
        self._endings = endings
        self._settings = settings
        self._later = later

    async def take(self, event: api.WebhookEvent) -> None:
        """Do what follows from an event; nothing where it is of no concern.

        Raises:
            UnavailableError: LiveKit is out of reach.
            StateUnreachableError: the state of sessions is.
        """
        if not event.room.name:
            return
        if event.event in ("room_started", "participant_joined"):
            await self._came(event)
        elif event.event == "participant_left":
            await self._left(event)
        elif event.event == "room_finished":
            await self._finished(event)

    async def _came(self, event: api.WebhookEvent) -> None:
        session_id, record = await self._session_of(event.room)
        if session_id is None:
            return
        if await self._state.records.has_ended(session_id):
            await self._delete_if_ended(event.room.name)
        elif record is None:
            await self._adopt(event.room.name)
        elif event.event == "participant_joined" and _is_of_its_person(event, record):
            await self._note_joined(event, record)

    async def _left(self, event: api.WebhookEvent) -> None:
        _, record = await self._session_of(event.room)
        if record is None or not _is_of_its_person(event, record):
            return
        joined_at = _joined_at(event.participant)
        if joined_at and joined_at < record.joined_at:
            return  # a connection before the newest one
        if joined_at > record.joined_at:
            await self._state.records.update(record.id, joined_at=joined_at)
        if await self._is_there(record):
            return
        if event.participant.disconnect_reason in _ON_PURPOSE:
            await self._endings.begin(record.id, Reason.CLIENT_DISCONNECT, asked_by=_ASKED_BY)
        else:
            self._later(self._say_lost(record, event))
            self._later(self._end_unless_back(record, joined_at))

    async def _finished(self, event: api.WebhookEvent) -> None:
        _, record = await self._session_of(event.room)
        if record is None or await self._rooms.find(record.room) is not None:
            return
        await self._endings.begin(record.id, Reason.CLIENT_DISCONNECT, asked_by=_ASKED_BY)

    async def _session_of(self, room: api.Room) -> tuple[str | None, SessionRecord | None]:
        """Return the session of a room, as it is known or as the room itself names it."""
        record = await self._state.records.of_room(room.name)
        if record is not None:
            return record.id, record
        session_id = _named_by(room)
        found = await self._state.records.get(session_id) if session_id else None
        return session_id, found

    async def _delete_if_ended(self, name: str) -> None:
        """Delete a room that came back; by now its name may be another session's."""
        room = await self._rooms.find(name)
        session_id = _named_by(room) if room is not None else None
        if session_id is not None and await self._state.records.has_ended(session_id):
            await self._rooms.delete(name)

    async def _adopt(self, room: str) -> None:
        job_notes_it = self._state.shared and self._spawner.dispatches
        if not job_notes_it and await self._adopt_now(room):
            return
        if self._state.shared:
            self._later(self._adopt_unless_job_does(room))

    async def _adopt_unless_job_does(self, room: str) -> None:
        await asyncio.sleep(self._settings.orchestrator.ready_within_s)
        await self._adopt_now(room)

    async def _adopt_now(self, room: str) -> bool:
        return await adopt(
            room,
            state=self._state,
            rooms=self._rooms,
            spawner=self._spawner,
            settings=self._settings,
        )

    async def _note_joined(self, event: api.WebhookEvent, record: SessionRecord) -> None:
        changes: dict[str, int] = {}
        if not record.connected_at:
            changes["connected_at"] = now_ms()
        if _joined_at(event.participant) > record.joined_at:
            changes["joined_at"] = _joined_at(event.participant)
        if changes:
            await self._state.records.update(record.id, **changes)

    async def _is_there(self, record: SessionRecord) -> bool:
        present = await self._rooms.present(record.room)
        return any(each.identity == record.identity for each in present)

    async def _say_lost(self, record: SessionRecord, event: api.WebhookEvent) -> None:
        why = event.participant.disconnect_reason
        if why == _SAID_BY_GATEWAY or why in _ENDED_BY_US:
            return  # whoever ended it says so
        if await self._state.records.has_ended(record.id):
            return
        reason = Reason.SERVER_ERROR if why in _FAILED else Reason.TIMEOUT
        # LiveKit's time, in whole seconds: what the job has seen since outweighs it.
        at_ms = min(event.created_at * 1000, now_ms()) if event.created_at > 0 else now_ms()
        await self._events.publish(disconnected(record.id, reason, at_ms=at_ms))

    async def _end_unless_back(self, record: SessionRecord, joined_at: int) -> None:
        await asyncio.sleep(self._settings.worker.reconnect_grace_s)
        found = await self._state.records.get(record.id)
        if found is None or 0 < joined_at < found.joined_at:
            return  # they had come back; a loss since then has the whole grace for itself
        if not await self._is_there(record):
            await self._endings.begin(record.id, Reason.TIMEOUT, asked_by=_ASKED_BY)


def _named_by(room: api.Room) -> str | None:
    mark = read_room_metadata(room.metadata)
    return (mark or {}).get("session") or session_of_room(room.name)


def _is_of_its_person(event: api.WebhookEvent, record: SessionRecord) -> bool:
    who = event.participant
    return who.kind != _AGENT and who.identity == record.identity


def _joined_at(participant: api.ParticipantInfo) -> int:
    """Return when a connection was made, in milliseconds since the epoch, or 0."""
    return participant.joined_at_ms or participant.joined_at * 1000
