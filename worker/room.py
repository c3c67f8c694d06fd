"""What becomes of the room when the conversation in it has ended."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
from livekit import api
from livekit.agents import CloseReason, JobContext

logger = logging.getLogger("worker.room")

_DEADLINE_S = 2.0


class RoomEnd:
    """Leaves the room so that the person can come back to it at once.

    LiveKit dispatches an agent when a room is created. A room that lives on without its
    agent would greet a returning person with silence, so it is deleted; and where the person
    has come back before that, an agent is dispatched to them.

    Args:
        ctx: the job.
        user_identity: the participant whom it served.
    """

    def __init__(self, ctx: JobContext, user_identity: str) -> None:
        self._ctx = ctx
        self._user_identity = user_identity
        self._settle = False
        self._user_is_back = False

    def decide(self, reason: CloseReason) -> None:
        """Note how the session closed, while the room's participants are still known."""
        self._settle = reason in (CloseReason.PARTICIPANT_DISCONNECTED, CloseReason.ERROR)
        self._user_is_back = (
            reason is CloseReason.PARTICIPANT_DISCONNECTED
            and self._user_identity in self._ctx.room.remote_participants
        )

    async def settle(self) -> None:
        """Delete the room, or send an agent to it; within two seconds."""
        if not self._settle or self._ctx.is_fake_job():
            return
        try:
            await asyncio.wait_for(self._act(), _DEADLINE_S)
        except (asyncio.TimeoutError, api.TwirpError, aiohttp.ClientError) as error:
            if isinstance(error, api.TwirpError) and error.code == api.TwirpErrorCode.NOT_FOUND:
                return
            logger.warning("the room was not settled", extra={"error": type(error).__name__})

    async def _act(self) -> None:
        room = self._ctx.job.room.name
        if self._user_is_back:
            await self._ctx.api.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(
                    agent_name=self._ctx.job.agent_name, room=room, metadata=self._ctx.job.metadata
                )
            )
        else:
            await self._ctx.api.room.delete_room(api.DeleteRoomRequest(room=room))
