"""Whether the person whom a job serves is still there, and the job's end when they are not.

The framework ends a session when its participant leaves deliberately, once the session runs.
Here the person is watched from the moment they are bound, and somebody who vanished (a killed
client, a lost network) is waited for before the job ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from livekit import rtc
from livekit.agents import JobContext

logger = logging.getLogger("worker.presence")

_DELIBERATE = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.USER_REJECTED,
    }
)


class Presence:
    """Shuts a job down when its person is gone for good.

    Args:
        ctx: the job.
        identity: the participant whom it serves.
        grace_s: seconds in which somebody who vanished may come back.
        on_gone: called once, before the job is shut down.
    """

    def __init__(
        self, ctx: JobContext, identity: str, *, grace_s: float, on_gone: Callable[[], None]
    ) -> None:
        self._ctx = ctx
        self._identity = identity
        self._grace_s = grace_s
        self._on_gone = on_gone
        self._timer: asyncio.TimerHandle | None = None
        ctx.room.on("participant_disconnected", self._on_disconnected)
        ctx.room.on("participant_connected", self._on_connected)

    async def aclose(self) -> None:
        """Stop watching."""
        self._cancel_timer()
        self._ctx.room.off("participant_disconnected", self._on_disconnected)
        self._ctx.room.off("participant_connected", self._on_connected)

    def _on_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self._identity:
            return
        if participant.disconnect_reason in _DELIBERATE:
            self._end("the participant left")
        else:
            self._cancel_timer()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._grace_s, self._end_unless_back)

    def _on_connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self._cancel_timer()
            logger.info("the participant is back", extra={"participant_sid": participant.sid})

    def _end_unless_back(self) -> None:
        # A second device with the same identity connects before the first one is gone.
        if self._identity not in self._ctx.room.remote_participants:
            self._end("the participant did not come back")

    def _end(self, reason: str) -> None:
        self._cancel_timer()
        self._on_gone()
        self._ctx.shutdown(reason)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
