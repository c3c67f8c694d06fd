"""What becomes of the room when the conversation in it has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import aiohttp
from livekit import api
from livekit.agents import JobContext

logger = logging.getLogger("worker.room")

_DEADLINE_S = 2.0


class RoomEnd:
    """Leaves the room so that the person can come back to it at once.

    LiveKit dispatches an agent when a room is created. A room that lived on without its
    agent would greet a returning person with silence, so it is deleted; and where the person
    is back already, another agent is dispatched to them. A job that was shut down leaves the
    room alone, as its person is still in it.

    Args:
        ctx: the job.
        user_identity: the participant whom it served.
        before_dispatch: awaited before another agent is dispatched.
    """

    def __init__(
        self,
        ctx: JobContext,
        user_identity: str,
        *,
        before_dispatch: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._ctx = ctx
        self._room = ctx.job.room.name
        self._user_identity = user_identity
        self._before_dispatch = before_dispatch
        self._person_left = False
        self._session_failed = False

    def person_left(self) -> None:
        """Note that the conversation ends because its person has gone."""
        self._person_left = True

    def session_failed(self) -> None:
        """Note that the conversation ends because it cannot go on."""
        self._session_failed = True

    def session_over(self) -> None:
        """Note that the conversation ends because its time is over."""
        self._session_failed = True

    async def leave(self) -> None:
        """Delete the room, or send an agent to it; within two seconds."""
        if not (self._person_left or self._session_failed) or self._ctx.is_fake_job():
            return
        try:
            await asyncio.wait_for(self._delete_or_dispatch(), _DEADLINE_S)
        except (asyncio.TimeoutError, api.TwirpError, aiohttp.ClientError) as error:
            if isinstance(error, api.TwirpError) and error.code == api.TwirpErrorCode.NOT_FOUND:
                return
            logger.warning("the room was not left in order", extra={"error": type(error).__name__})

    async def _delete_or_dispatch(self) -> None:
        if not await self._is_still_the_same():
            return
        if self._person_left and await self._user_is_back():
            if self._before_dispatch is not None:
                await self._before_dispatch()
            job = self._ctx.job
            await self._ctx.api.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(
                    agent_name=job.agent_name, room=self._room, metadata=job.metadata
                )
            )
        else:
            await self._ctx.api.room.delete_room(api.DeleteRoomRequest(room=self._room))

    async def _is_still_the_same(self) -> bool:
        """A room made anew under the same name has an agent of its own."""
        there = await self._ctx.api.room.list_rooms(api.ListRoomsRequest(names=[self._room]))
        return any(room.sid == self._ctx.job.room.sid for room in there.rooms)

    async def _user_is_back(self) -> bool:
        there = await self._ctx.api.room.list_participants(
            api.ListParticipantsRequest(room=self._room)
        )
        return any(each.identity == self._user_identity for each in there.participants)


async def delete_room(ctx: JobContext) -> None:
    """Delete the room of a job whose session has ended; within two seconds, never raises."""
    if ctx.is_fake_job():
        return
    request = api.DeleteRoomRequest(room=ctx.job.room.name)
    try:
        await asyncio.wait_for(ctx.api.room.delete_room(request), _DEADLINE_S)
    except (asyncio.TimeoutError, api.TwirpError, aiohttp.ClientError) as error:
        if not (isinstance(error, api.TwirpError) and error.code == api.TwirpErrorCode.NOT_FOUND):
            logger.warning("the room was not deleted", extra={"error": type(error).__name__})
