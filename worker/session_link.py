"""A job's tie to its voice session, where Redis holds the state of sessions.

Without Redis, and in rooms that belong to no session, everything here does nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace

from livekit import rtc
from livekit.agents import AgentSession, JobContext, JobExecutorType
from prometheus_client import Counter

from config import Settings
from connection_events import Reason, disconnected, open_event_channel
from session_context import livekit_identity_to_uuid
from sessions import (
    SessionRecord,
    SessionsError,
    SessionState,
    SessionStatus,
    SessionStyle,
    StateUnreachableError,
    TaskState,
    open_session_state,
)
from sessions.lifetime import latest_end
from sessions.naming import now_ms, read_room_metadata, session_of_room
from worker.activity import Activity
from worker.dispatch import DispatchMetadata
from worker.log_tail import LogTail
from worker.processes import start_of
from worker.pulse import Pulse
from worker.registry import Entry, Registry, this_host
from worker.room import delete_room
from worker.seat import Seat, Verdict

logger = logging.getLogger("worker.session_link")

_ADMISSION_DEADLINE_S = 0.5
"""How long a person waits for their agent where Redis hangs."""

_NAMESPACE = "ns:"
_REFUSED = Counter("voice_agent_jobs_refused", "Jobs that must not speak, by reason", ["reason"])


class SessionLink:
    """Takes the session for this job, tells of it, and leaves when it is not ours any more.

    Args:
        ctx: the job, not connected yet.
        metadata: what its dispatch says.
        settings: of this process.
    """

    def __init__(self, ctx: JobContext, metadata: DispatchMetadata, settings: Settings) -> None:
        self._ctx = ctx
        self._metadata = metadata
        self._settings = settings
        self._identity = metadata.identity
        self._state: SessionState | None = None
        self._mark = read_room_metadata(ctx.job.room.metadata) or {}
        self.session_id = (
            metadata.session_id or self._mark.get("session") or session_of_room(ctx.job.room.name)
        )
        if self.session_id is None or settings.sessions.redis_url is None:
            return
        self._begin(self.session_id, open_session_state(settings.sessions))

    def _begin(self, session_id: str, state: SessionState) -> None:
        self._state = state
        self._tail = LogTail()
        logging.getLogger().addHandler(self._tail)
        self._registry = Registry(self._settings.store.data_dir)
        self._entry = Entry(
            session_id,
            os.getpid(),
            start_of(os.getpid()),
            this_host(),
            os.getppid(),
            self._metadata.attempt or 0,
        )
        self._activity = Activity(session_id, on_task=lambda: self._pulse.wake())
        self._seat = Seat(
            state,
            session_id,
            self._entry.process,
            attempt=self._metadata.attempt,
            newborn=self._newborn,
            on_taken=self._note_attempt,
            on_restored=lambda: self._pulse.tell_all_again(),
            settings=self._settings.sessions,
        )
        self._pulse = Pulse(
            state,
            self._seat,
            self._activity,
            self._tail,
            health=self._health,
            on_refused=self._leave,
            settings=self._settings.sessions,
        )

    async def admit(self) -> bool:
        """Take the session; returns False where this job must not speak, and has left.

        Where Redis does not answer the job may speak, and asks again at each heartbeat.
        """
        if self._state is None:
            return True
        await asyncio.to_thread(self._register)
        try:
            verdict = await asyncio.wait_for(self._seat.take(), _ADMISSION_DEADLINE_S)
        except (asyncio.TimeoutError, StateUnreachableError):
            logger.warning("[Session] nobody can say whether the session has ended; it goes on")
            verdict = Verdict.GO_ON
        if verdict is not Verdict.GO_ON:
            await self._leave(verdict)
            return False
        # Another agent has taken the session before it enters: it must not find this one speaking.
        self._ctx.room.on("participant_connected", self._on_participant)
        self._pulse.start()
        return True

    async def has_ended(self) -> bool:
        """Return whether the session has ended; this job has then left."""
        if self._state is None:
            return False
        try:
            ended = await asyncio.wait_for(
                self._state.records.has_ended(self._entry.session_id), _ADMISSION_DEADLINE_S
            )
        except (asyncio.TimeoutError, StateUnreachableError):
            return False
        if ended:
            await self._leave(Verdict.ENDED)
        return ended

    @property
    def metadata(self) -> DispatchMetadata:
        """What the dispatch says, and where it says nothing, the session's record."""
        record = self._seat.record if self._state is not None else None
        if record is None:
            return self._metadata
        return replace(
            self._metadata,
            session_id=record.id,
            identity=self._metadata.identity or record.identity,
            voice_id=self._metadata.voice_id or record.voice_id or None,
            opening_line=self._metadata.opening_line or record.opening_line or None,
        )

    @property
    def age_s(self) -> float:
        """For how long the session has lasted, in seconds; 0 where nobody knows.

        Without Redis its room, which is as old as the session or younger, says so.
        """
        record = self._seat.record if self._state is not None else None
        if record is not None:
            began_at = record.start_time / 1000
        else:
            is_ours = self.session_id is not None and self._mark.get("session") == self.session_id
            began_at = self._ctx.job.room.creation_time if is_ours else 0
        return max(0.0, now_ms() / 1000 - began_at) if began_at else 0.0

    def joined(self, identity: str) -> None:
        """Note that the person is there."""
        if self._state is None:
            return
        self._identity = self._identity or identity
        record = self._seat.record
        if record is None or not record.connected_at:
            self._pulse.change(connected_at=now_ms())

    def ready(self, session: AgentSession[None]) -> None:
        """Note that the agent listens, and begin to tell what the session does."""
        if self._state is not None:
            self._activity.watch(session)
            self._pulse.change(status=SessionStatus.READY)

    def note_work(self, kind: str, work_id: str, state: str) -> None:
        """Note how far something is that the agent does in the background.

        Args:
            kind: what kind of work.
            work_id: the same one at each change.
            state: a `TaskState`'s value.
        """
        if self._state is not None:
            self._activity.note_work(kind, work_id, TaskState(state))

    async def hand_over(self) -> None:
        """Leave the session to a job that is about to be dispatched with the same metadata."""
        if self._state is None or not self._seat.is_taken:
            return
        state = open_session_state(self._settings.sessions)
        try:
            await state.records.update(self._seat.session_id, agent_pid=0)
        except SessionsError as error:
            logger.warning(
                "[Session] the session was not handed over", extra={"error": type(error).__name__}
            )
        finally:
            await state.aclose()

    async def end(self) -> None:
        """Say that the session has ended, as its time is over."""
        if self._state is None or not self._seat.is_taken:
            return
        events = open_event_channel(self._settings.sessions)
        try:
            await self._state.records.fence(self._seat.session_id)
            await events.publish(disconnected(self._seat.session_id, Reason.TIMEOUT))
        except SessionsError as error:
            logger.warning(
                "[Session] the session's end was not noted", extra={"error": type(error).__name__}
            )
        finally:
            await events.aclose()

    async def aclose(self) -> None:
        """Tell what is left, within RELEASE_TIMEOUT_S, and let go of Redis."""
        if self._state is None:
            return
        await self._pulse.aclose()
        logging.getLogger().removeHandler(self._tail)
        await self._state.aclose()
        try:
            await asyncio.to_thread(self._registry.note_ending, self._entry)
        except OSError as error:
            logger.warning(
                "[Session] the job's end was not noted", extra={"error": type(error).__name__}
            )

    async def _leave(self, verdict: Verdict) -> None:
        _REFUSED.labels(verdict.value).inc()
        if verdict is Verdict.ENDED:
            logger.info("[Session] the session has ended; the room is deleted and the job leaves")
            await delete_room(self._ctx)
        else:
            logger.info("[Session] another agent has the session; the job leaves")
        self._ctx.shutdown(f"the session is not ours: {verdict.value}")

    def _on_participant(self, participant: rtc.RemoteParticipant) -> None:
        if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            self._pulse.wake()

    async def _note_attempt(self, attempt: int) -> None:
        if attempt != self._entry.attempt:
            self._entry = replace(self._entry, attempt=attempt)
            await asyncio.to_thread(self._register)

    def _register(self) -> None:
        # A job that is a thread has no process of its own that could be ended.
        if self._ctx.proc.executor_type is not JobExecutorType.PROCESS:
            return
        try:
            self._registry.put(self._entry)
        except OSError as error:
            logger.warning(
                "[Session] DATA_DIR cannot be written; no reaper knows this job",
                extra={"error": type(error).__name__},
            )

    def _newborn(self) -> SessionRecord | None:
        creator = self._metadata.creator or self._mark.get("creator")
        identity = self._identity
        if not creator or identity is None:
            return None
        now = now_ms()
        return SessionRecord(
            id=self._entry.session_id,
            room=self._ctx.job.room.name,
            identity=identity,
            user_id=livekit_identity_to_uuid(identity),
            creator=creator,
            style=SessionStyle(self._metadata.style or SessionStyle.ENDPOINT),
            start_time=now,
            expires_at=latest_end(now, self._settings.sessions.max_session_s),
            user_name=self._metadata.user_name or "",
            voice_id=self._metadata.voice_id or "",
            opening_line=self._metadata.opening_line or "",
            namespace_id=identity[len(_NAMESPACE) :] if identity.startswith(_NAMESPACE) else "",
            dispatched_at=now,
            dispatches=self._metadata.attempt or 1,
        )

    def _health(self) -> dict[str, str]:
        return {
            "at": str(now_ms()),
            "state": self._activity.agent_state,
            "host": self._entry.host,
            "pid": str(self._entry.pid),
            "job_id": self._ctx.job.id,
            "attempt": str(self._seat.attempt or 0),
        }
