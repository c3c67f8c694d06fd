"""LiveKit's rooms as the orchestrator needs them: short time-outs, one kind of error.

What LiveKit does not know is an answer, not an error. Dispatches of a room that is not there
take the server three seconds to miss, so they are asked for with a time-out of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
import anyio
from livekit import api

from orchestrator.errors import UnavailableError
from sessions.model import SessionRecord
from sessions.naming import dispatch_metadata, room_metadata

_TIMEOUT_S = 3.0
_DISPATCH_TIMEOUT_S = 1.0
_EMPTY_TIMEOUT_S = 120
_GRACE_MARGIN_S = 10


@dataclass(frozen=True)
class Present:
    """A participant whom LiveKit lists in a room.

    Attributes:
        identity: who.
        is_agent: whether it is an agent.
        is_active: whether it is fully connected.
        agent_state: an agent's ``lk.agent.state``, which it has once it is ready; else empty.
        joined_at: when it joined, seconds since the epoch.
    """

    identity: str
    is_agent: bool
    is_active: bool
    agent_state: str
    joined_at: int

    @property
    def is_ready_agent(self) -> bool:
        """Whether this is an agent that can speak."""
        return self.is_agent and self.is_active and bool(self.agent_state)


class Rooms:
    """The rooms of one LiveKit server.

    Args:
        livekit: its API.
        agent_name: the agent to dispatch; empty for the one that gets every room.
        reconnect_grace_s: seconds in which a person may come back to their room.
    """

    def __init__(
        self, livekit: api.LiveKitAPI, *, agent_name: str, reconnect_grace_s: float
    ) -> None:
        self._livekit = livekit
        self.agent_name = agent_name
        self.departure_timeout_s = int(reconnect_grace_s) + _GRACE_MARGIN_S

    async def create(self, record: SessionRecord, *, with_agent: bool) -> str:
        """Make a session's room, with its agent dispatched to it.

        Args:
            record: the session.
            with_agent: whether the agent is dispatched; not where somebody else brings it.

        Returns:
            The room's sid.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        request = api.CreateRoomRequest(
            name=record.room,
            metadata=room_metadata(record),
            empty_timeout=_EMPTY_TIMEOUT_S,
            departure_timeout=self.departure_timeout_s,
        )
        if with_agent:
            request.agents.append(self._agent(record, self.agent_name))
        async with _in_reach(_TIMEOUT_S):
            room = await self._livekit.room.create_room(request)
        return str(room.sid)

    def configuration(
        self, record: SessionRecord, *, agent_name: str | None
    ) -> api.RoomConfiguration:
        """Return how a token's room is made, with its agent, where the joining makes it.

        Args:
            record: the session that the room is for.
            agent_name: the agent to dispatch; None for ours.
        """
        name = self.agent_name if agent_name is None else agent_name
        made = self.configuration_without_agent(record)
        made.agents.append(self._agent(record, name))
        return made

    def configuration_without_agent(self, record: SessionRecord) -> api.RoomConfiguration:
        """Return the same for a room that was made before: only if it got lost, joining makes it.

        Whether its session still gets an agent then is for others to know.

        Args:
            record: the session that the room is for.
        """
        return api.RoomConfiguration(
            metadata=room_metadata(record),
            empty_timeout=_EMPTY_TIMEOUT_S,
            departure_timeout=self.departure_timeout_s,
        )

    def _agent(self, record: SessionRecord, name: str) -> api.RoomAgentDispatch:
        # Also without a name: a room made without any agent gets the nameless one by itself,
        # which would be told nothing of the session.
        metadata = dispatch_metadata(record, attempt=1)
        return api.RoomAgentDispatch(agent_name=name, metadata=metadata)

    async def dispatch(self, record: SessionRecord, *, attempt: int) -> str:
        """Send the agent to a session's room, which is made where it is not there.

        Returns:
            The dispatch's id.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        request = api.CreateAgentDispatchRequest(
            agent_name=self.agent_name,
            room=record.room,
            metadata=dispatch_metadata(record, attempt=attempt),
        )
        async with _in_reach(_TIMEOUT_S):
            made = await self._livekit.agent_dispatch.create_dispatch(request)
        return str(made.id)

    async def dispatches(self, room: str) -> list[api.AgentDispatch]:
        """Return the dispatches of a room; none where it is not there.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        with suppress(_MissingError):
            async with _in_reach(_DISPATCH_TIMEOUT_S):
                return list(await self._livekit.agent_dispatch.list_dispatch(room))
        return []

    async def delete_dispatches(self, room: str) -> int:
        """Delete all dispatches of a room, and return how many there were.

        A second try follows where the first had no answer: a busy server is late at times, and
        a room that is deleted with its dispatch still there can get its agent all the same.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        try:
            return await self._delete_dispatches(room)
        except UnavailableError:
            return await self._delete_dispatches(room)

    async def _delete_dispatches(self, room: str) -> int:
        deleted = 0
        with suppress(_MissingError):
            async with _in_reach(_DISPATCH_TIMEOUT_S):
                for dispatch in await self._livekit.agent_dispatch.list_dispatch(room):
                    await self._livekit.agent_dispatch.delete_dispatch(dispatch.id, room)
                    deleted += 1
        return deleted

    async def delete(self, room: str) -> bool:
        """Delete a room; False where there was none.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        try:
            async with _in_reach(_TIMEOUT_S):
                await self._livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        except _MissingError:
            return False
        return True

    async def remove(self, room: str, identity: str) -> bool:
        """Remove a participant; False where there was none of that identity.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        request = api.RoomParticipantIdentity(room=room, identity=identity)
        try:
            async with _in_reach(_TIMEOUT_S):
                await self._livekit.room.remove_participant(request)
        except _MissingError:
            return False
        return True

    async def present(self, room: str) -> list[Present]:
        """Return who is in a room; nobody where it is not there.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        request = api.ListParticipantsRequest(room=room)
        try:
            async with _in_reach(_TIMEOUT_S):
                listed = await self._livekit.room.list_participants(request)
        except _MissingError:
            return []
        return [_present(each) for each in listed.participants]

    async def find(self, room: str) -> api.Room | None:
        """Return a room as LiveKit has it, or None.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        found = await self._list([room])
        return found[0] if found else None

    async def all(self) -> list[api.Room]:
        """Return all rooms, other applications' too.

        Raises:
            UnavailableError: LiveKit is out of reach.
        """
        return await self._list([])

    async def _list(self, names: list[str]) -> list[api.Room]:
        async with _in_reach(_TIMEOUT_S):
            listed = await self._livekit.room.list_rooms(api.ListRoomsRequest(names=names))
        return list(listed.rooms)


def _present(each: api.ParticipantInfo) -> Present:
    return Present(
        identity=each.identity,
        is_agent=each.kind == api.ParticipantInfo.Kind.AGENT,
        is_active=each.state == api.ParticipantInfo.State.ACTIVE,
        agent_state=each.attributes.get("lk.agent.state", ""),
        joined_at=each.joined_at,
    )


class _MissingError(Exception):
    """LiveKit knows no such room, participant or dispatch."""


@asynccontextmanager
async def _in_reach(timeout_s: float) -> AsyncIterator[None]:
    """Bound what is asked within, and raise what goes wrong as ours."""
    try:
        with anyio.fail_after(timeout_s):
            yield
    except api.TwirpError as error:
        if error.code == api.TwirpErrorCode.NOT_FOUND:
            raise _MissingError from error
        raise UnavailableError("LiveKit refused what it was asked; see the log") from error
    except (aiohttp.ClientError, asyncio.TimeoutError, TimeoutError) as error:
        raise UnavailableError("LiveKit is out of reach; try again") from error
