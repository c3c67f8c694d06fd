"""Whether the person whom a job serves is still there, and the job's end when they are not.

LiveKit is who knows. What others say on the channel of connection events is believed at once
where they say that somebody is gone, and again no more when LiveKit still has them a moment
later: an event may be late, or meant for a connection that has been replaced since.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from livekit import rtc
from livekit.agents import JobContext

from connection_events import ConnectionEvent, EventType, Reason
from sessions.naming import now_ms
from worker.whereabouts import Sign, Signs, Whereabouts

logger = logging.getLogger("worker.presence")

_DELIBERATE = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.USER_REJECTED,
    }
)
_FAILED = frozenset(
    {
        rtc.DisconnectReason.SERVER_SHUTDOWN,
        rtc.DisconnectReason.STATE_MISMATCH,
        rtc.DisconnectReason.JOIN_FAILURE,
    }
)
_REPLACED = frozenset(
    {None, rtc.DisconnectReason.UNKNOWN_REASON, rtc.DisconnectReason.DUPLICATE_IDENTITY}
)
"""How LiveKit reports a person who joins from a second device, the instant before it does."""

_TIMED_OUT = frozenset({rtc.DisconnectReason.CONNECTION_TIMEOUT})

_UNHEARD_AFTER_MS = 10_400
_TIMED_OUT_AFTER_MS = 20_500
"""Measured with livekit-server 1.13: from a client's death to these two signs of it."""

_REPLACED_WITHIN_S = 1.0
_BELIEVED_FOR_S = 3.0
"""A gateway leaves the room right after it has said that its client is gone."""

_ABOUT_NOW_S = 0.05
_UNHEARD_FOR_S = 15.0
"""LiveKit gives up 10 s after it reports that it hears nothing."""


def reason_of(reason: rtc.DisconnectReason.ValueType | None) -> Reason:
    """Return which of our three reasons stands for one of LiveKit's."""
    if reason in _DELIBERATE:
        return Reason.CLIENT_DISCONNECT
    return Reason.SERVER_ERROR if reason in _FAILED else Reason.TIMEOUT


class Presence:
    """Follows one person, and shuts the job down when they are gone for good.

    Args:
        ctx: the job.
        identity: the participant whom it serves.
        grace_s: seconds in which somebody who vanished may come back.
        on_gone: called once, before the job is shut down, with why.
        on_change: called whenever another sign holds.
    """

    def __init__(
        self,
        ctx: JobContext,
        identity: str,
        *,
        grace_s: float,
        on_gone: Callable[[Reason], None],
        on_change: Callable[[Sign], None] = lambda _: None,
    ) -> None:
        self._ctx = ctx
        self._identity = identity
        self._grace_s = grace_s
        self._on_gone = on_gone
        self._on_change = on_change
        self._signs = Signs(Sign(Whereabouts.HERE, 0))
        self._timer: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._told = self._signs.holds
        self._away_since = 0.0
        self._is_unheard = False
        self._has_ended = False
        ctx.room.on("participant_disconnected", self._on_disconnected)
        ctx.room.on("participant_connected", self._on_connected)
        ctx.room.on("connection_quality_changed", self._on_quality)

    @property
    def holds(self) -> Sign:
        """Where the person is, as far as is known."""
        return self._signs.holds

    async def aclose(self) -> None:
        """Stop watching."""
        self._has_ended = True
        self._cancel_timers()
        self._ctx.room.off("participant_disconnected", self._on_disconnected)
        self._ctx.room.off("participant_connected", self._on_connected)
        self._ctx.room.off("connection_quality_changed", self._on_quality)

    def told(self, event: ConnectionEvent) -> None:
        """Take what was said on the channel of connection events about this person."""
        # Another host's clock may be ahead, and must not outweigh what we see ourselves.
        at_ms = min(event.timestamp_ms, now_ms())
        if event.type == EventType.DISCONNECTED.value:
            sign = Sign(Whereabouts.GONE, at_ms, event.reason, told=True)
            self._note(sign, look_after_s=_BELIEVED_FOR_S)
        elif self._is_in_the_room():
            self._note(Sign(Whereabouts.HERE, at_ms, event.reason, told=True))

    def _on_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self._identity:
            return
        self._is_unheard = False
        reason = participant.disconnect_reason
        where = Whereabouts.LEFT if reason in _DELIBERATE else Whereabouts.GONE
        tell_after_s = _REPLACED_WITHIN_S if reason in _REPLACED else None
        silent_ms = _TIMED_OUT_AFTER_MS if reason in _TIMED_OUT else 0
        sign = Sign(where, self._now_ms(), reason_of(reason), silent_ms)
        self._note(sign, tell_after_s=tell_after_s)

    def _on_connected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity:
            self._note(Sign(Whereabouts.HERE, self._now_ms(), self.holds.reason))
            logger.info("the participant is back", extra={"participant_sid": participant.sid})

    def _on_quality(self, participant: rtc.Participant | None, quality: int) -> None:
        if participant is None or participant.identity != self._identity:
            return
        # Not asked of the sign that holds: others may have said since that the person is gone.
        was_unheard = self._is_unheard
        self._is_unheard = quality == rtc.ConnectionQuality.QUALITY_LOST
        if self._is_unheard and not was_unheard:
            self._note(Sign(Whereabouts.UNHEARD, self._now_ms(), silent_ms=_UNHEARD_AFTER_MS))
        elif was_unheard and not self._is_unheard and not self.holds.is_here:
            self._note(Sign(Whereabouts.HERE, self._now_ms(), self.holds.reason))

    def _note(
        self, sign: Sign, *, look_after_s: float | None = None, tell_after_s: float | None = None
    ) -> None:
        if self._has_ended or not self._signs.note(sign):
            return
        self._cancel_timers()
        if sign.where is Whereabouts.LEFT:
            self._end("the participant left")
            return
        loop = asyncio.get_running_loop()
        if not sign.is_here:
            self._away_since = loop.time()
            wait_s = self._grace_s
            if sign.where is Whereabouts.UNHEARD:
                wait_s = _UNHEARD_FOR_S
            elif look_after_s is not None and self._is_in_the_room():
                wait_s = look_after_s
            self._look_after(wait_s)
        if tell_after_s is None:
            self._tell()
        else:
            self._telling = loop.call_later(tell_after_s, self._tell)

    def _tell(self) -> None:
        if self._told is not self.holds:
            self._told = self.holds
            self._on_change(self.holds)

    def _look_after(self, wait_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _look(self) -> None:
        person = self._ctx.room.remote_participants.get(self._identity)
        if person is None:
            self._end_or_wait_on()
        elif person.connection_quality == rtc.ConnectionQuality.QUALITY_LOST:
            self._look_after(_UNHEARD_FOR_S)
        else:
            self._note(Sign(Whereabouts.HERE, self._now_ms(), self.holds.reason))

    def _end_or_wait_on(self) -> None:
        left_s = self._away_since + self._grace_s - asyncio.get_running_loop().time()
        if left_s > _ABOUT_NOW_S:
            self._look_after(left_s)
        else:
            self._end("the participant did not come back")

    def _now_ms(self) -> int:
        # What we see ourselves is in order, also where the clock has not moved.
        return max(now_ms(), self.holds.at_ms + 1)

    def _is_in_the_room(self) -> bool:
        return self._identity in self._ctx.room.remote_participants

    def _end(self, why: str) -> None:
        self._has_ended = True
        self._cancel_timers()
        self._tell()
        self._on_gone(self.holds.ends_as)
        self._ctx.shutdown(why)

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._telling):
            if timer is not None:
                timer.cancel()
        self._timer = self._telling = None
