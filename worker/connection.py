"""The connection to one person: what is said of it, what stops when it is lost, how it ends.

Joins what the worker knows of the person (`presence`), what others say (`connection_events`)
and what works for the conversation (`release`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, JobContext
from prometheus_client import Counter

from config import Settings
from connection_events import (
    ConnectionEvent,
    EventType,
    Reason,
    open_event_channel,
    open_speech_control,
)
from sessions import SessionState, open_session_state
from sessions.contract import Conversations
from sessions.naming import now_ms
from worker.interruptions import Interruptions
from worker.owned_tasks import end_tasks
from worker.presence import Presence, reason_of
from worker.release import Releases, Stage
from worker.speaking_flag import FlaggedStage, SpeakingFlag
from worker.whereabouts import Sign

logger = logging.getLogger("worker.connection")

_FAILURES = Counter(
    "voice_agent_connection_end_failures", "Parts of a connection's end that failed", ["error"]
)

SPEAKING = "speaking"

Lost = Callable[[float], None]
"""Is told that the person is not here, and until when they can have heard something, in seconds
since the epoch."""

Changed = Callable[[Sign], None]
"""Is told where the person is whenever that changes."""


class PersonConnection:
    """Owns everything that follows a job's person; `end` gives it back.

    Args:
        ctx: the job.
        identity: the participant whom it serves.
        conversation_id: the session's id, by which others speak of the conversation.
        settings: of this process.
        on_gone: called once when the person is gone for good, before the job is shut down.
    """

    def __init__(
        self,
        ctx: JobContext,
        identity: str,
        conversation_id: str,
        settings: Settings,
        *,
        on_gone: Callable[[], None],
    ) -> None:
        self._ctx = ctx
        self._id = conversation_id
        self._settings = settings
        self._on_gone = on_gone
        self._lost: Lost = lambda _: None
        self._follow: Changed = lambda _: None
        self._events = open_event_channel(settings.sessions)
        self._control = open_speech_control(settings.sessions)
        self._state: SessionState | None = None
        self._flag: SpeakingFlag | None = None
        if settings.sessions.redis_url is not None:
            self._state = open_session_state(settings.sessions)
            ttl_s = settings.sessions.key_ttl_s
            self._flag = SpeakingFlag(self._state, conversation_id, ttl_s=ttl_s)
        timeout_s = settings.sessions.release_timeout_s
        self.releases = Releases(conversation_id, timeout_s=timeout_s)
        self._interruptions = Interruptions(ctx.room)
        self._here = asyncio.Event()
        self._here.set()
        self._announced_away = False
        self._ended_as: Reason | None = None
        self._saying = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.presence = Presence(
            ctx,
            identity,
            grace_s=settings.worker.reconnect_grace_s,
            on_gone=self._gone,
            on_change=self._changed,
        )
        ctx.room.on("disconnected", self._on_room_disconnected)
        self._listening = asyncio.create_task(self._listen(), name="connection events")

    @property
    def histories(self) -> Conversations | None:
        """Where the history of a conversation that is lost is kept; None where it cannot be."""
        return self._state.conversations if self._state is not None else None

    def attach(
        self,
        session: AgentSession[None],
        stages: Mapping[str, Stage],
        *,
        lost: Lost,
        changed: Changed,
    ) -> None:
        """Say what works for the conversation, once it does.

        Args:
            session: runs.
            stages: of the session, by their names.
            lost: called before the stages are released.
            changed: told now where the person is, and whenever that changes.
        """
        self._lost, self._follow = lost, changed
        changed(self.presence.holds)
        if not self.presence.holds.is_here:
            lost(self.presence.holds.heard_ms / 1000)
        self._interruptions.watch(session)
        if self._flag is not None:
            self._flag.watch(session)
            stages = {**stages, SPEAKING: FlaggedStage(stages[SPEAKING], self._flag)}
        self.releases.attach(stages)

    async def until_here(self) -> None:
        """Wait until somebody can hear what is said."""
        await self._here.wait()
        await self.releases.settled()

    def failed(self) -> None:
        """Note that the conversation ends because it cannot go on."""
        self._ended_as = self._ended_as or Reason.SERVER_ERROR
        self._announce(away=True, reason=Reason.SERVER_ERROR, at_ms=now_ms())

    async def end(self, keep: Callable[[], Awaitable[None]]) -> None:
        """Free everything, and keep the history where the settings want it.

        Args:
            keep: keeps the conversation's history for the person's next session.
        """
        await self.presence.aclose()
        self._ctx.room.off("disconnected", self._on_room_disconnected)
        await self.releases.aclose()
        # A job that is shut down while its person is there has failed them.
        holds = self.presence.holds
        reason = self._ended_as or (Reason.SERVER_ERROR if holds.is_here else holds.ends_as)
        if reason.value in self._settings.sessions.history_kept_after:
            await self._in_time(keep())
        await self._in_time(self._until_said())
        await end_tasks([self._listening])
        await self._interruptions.aclose()
        if self._flag is not None:
            await self._flag.aclose()
        for part in (self._events, self._control, self._state):
            if part is not None:
                await part.aclose()

    async def _listen(self) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._events.listening(self._on_event))
            await stack.enter_async_context(self._control.listening(self._on_stop))
            await asyncio.Event().wait()

    async def _on_event(self, event: ConnectionEvent) -> None:
        if event.conversation_id == self._id:
            self.presence.told(event)

    async def _on_stop(self, conversation_id: str) -> None:
        if conversation_id == self._id:
            self._own(self.releases.stop(SPEAKING, Reason.CLIENT_DISCONNECT))

    def _changed(self, sign: Sign) -> None:
        if not sign.told:
            self._announce(away=not sign.is_here, reason=sign.reason, at_ms=sign.at_ms)
        logger.info(
            "[Session] the person's connection has changed",
            extra={
                "conversation_id": self._id,
                "where": sign.where.value,
                "reason": sign.reason.value,
            },
        )
        self._follow(sign)
        if sign.is_here:
            self._here.set()
            self.releases.want_working()
        else:
            self._here.clear()
            self._lost(sign.heard_ms / 1000)
            self.releases.want_released(sign.reason)

    def _gone(self, reason: Reason) -> None:
        self._ended_as = reason
        self._on_gone()

    def _on_room_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        # We disconnect at each end; only a room that was taken from us says something.
        is_ours = reason == rtc.DisconnectReason.CLIENT_INITIATED
        if not is_ours and reason_of(reason) is Reason.CLIENT_DISCONNECT:
            # Whoever took it may have said why.
            holds = self.presence.holds
            told = holds.reason if holds.told and not holds.is_here else None
            self._ended_as = self._ended_as or told or Reason.CLIENT_DISCONNECT

    def _announce(self, *, away: bool, reason: Reason, at_ms: int) -> None:
        if away == self._announced_away:
            return
        self._announced_away = away
        kind = EventType.DISCONNECTED if away else EventType.RECONNECTED
        event = ConnectionEvent.model_validate(
            {
                "type": kind.value,
                "conversation_id": self._id,
                "timestamp_ms": at_ms,
                "reason": reason,
            }
        )
        self._own(self._say(event))

    async def _say(self, event: ConnectionEvent) -> None:
        async with self._saying:
            await self._events.publish(event)

    async def _until_said(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _in_time(self, work: Awaitable[None]) -> None:
        try:
            await asyncio.wait_for(work, self._settings.sessions.release_timeout_s)
        except asyncio.TimeoutError:
            _FAILURES.labels("TimeoutError").inc()
            logger.warning("[Session] a part of the connection's end took too long")
        except Exception as error:
            _FAILURES.labels(type(error).__name__).inc()
            logger.exception("[Session] a part of the connection's end failed")

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
