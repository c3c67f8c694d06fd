"""Whether this job may speak in its session: asked before it joins, and at each heartbeat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from enum import Enum

from config import SessionSettings
from sessions import (
    AgentProcess,
    SessionEndedError,
    SessionExistsError,
    SessionRecord,
    SessionState,
    SessionStatus,
)

_BEATS = 3
"""A heartbeat is gone when so many were missed."""


class Verdict(str, Enum):
    """What a job is to do: go on, leave as another agent serves, or end what has ended."""

    GO_ON = "go on"
    LEAVE = "leave"
    ENDED = "ended"


class Seat:
    """The one place of an agent in a session.

    Args:
        state: of the sessions.
        session_id: the session.
        process: this process.
        attempt: the number of the dispatch that this job answers; None where the dispatch did
            not say, as one that LiveKit made by itself: it then answers the newest.
        newborn: makes the record of a session that is born with this job; returns None where
            it is not ours to be made, or its person is not known yet.
        on_taken: told the number of the dispatch that this job answers, whenever it has taken
            the session.
        on_restored: called when the state had lost the session and was told of it again.
        settings: how long keys live and how often the heart beats.
    """

    def __init__(
        self,
        state: SessionState,
        session_id: str,
        process: AgentProcess,
        *,
        attempt: int | None,
        newborn: Callable[[], SessionRecord | None],
        on_taken: Callable[[int], Awaitable[None]],
        on_restored: Callable[[], None],
        settings: SessionSettings,
    ) -> None:
        self._state = state
        self.session_id = session_id
        self._process = process
        self.attempt = attempt
        self._newborn = newborn
        self._on_taken = on_taken
        self._on_restored = on_restored
        self._ttl_s = settings.key_ttl_s
        self._lives_s = _BEATS * settings.heartbeat_s
        self.record: SessionRecord | None = None
        self.is_taken = False

    async def take(self) -> Verdict:
        """Take the session for this process, or learn that it must not speak.

        Raises:
            StateUnreachableError: nobody can say; ask again.
        """
        if await self._state.records.has_ended(self.session_id):
            return Verdict.ENDED
        record = await self._state.records.get(self.session_id) or self._newborn()
        if record is None:
            return Verdict.GO_ON
        return await self._take_or_add(record)

    async def keep(self, health: Mapping[str, str]) -> Verdict:
        """Say that this process lives, and learn whether it still has the session.

        Raises:
            StateUnreachableError: nobody can say; ask again.
        """
        if not self.is_taken:
            return await self.take()
        lives = await self._state.agents.beat(
            self.session_id, health, lives_s=self._lives_s, ttl_s=self._ttl_s
        )
        if not lives:
            return await self._restore()
        record = await self._state.records.get(self.session_id)
        if record is None:
            return Verdict.GO_ON
        if record.dispatches > (self.attempt or 0) or not self._is_ours(record):
            return Verdict.LEAVE
        self.record = record
        return Verdict.GO_ON

    async def _take_or_add(self, record: SessionRecord) -> Verdict:
        try:
            await self._state.records.add(record, ttl_s=self._ttl_s)
        except SessionExistsError:
            pass  # the orchestrator made it, or another job did meanwhile
        except SessionEndedError:
            return Verdict.ENDED
        attempt = self.attempt or max(1, record.dispatches)
        is_ours = await self._state.agents.started(
            self.session_id, self._process, attempt=attempt, ttl_s=self._ttl_s
        )
        if not is_ours:
            has_ended = await self._state.records.has_ended(self.session_id)
            return Verdict.ENDED if has_ended else Verdict.LEAVE
        self.record, self.attempt, self.is_taken = record, attempt, True
        await self._on_taken(attempt)
        return Verdict.GO_ON

    async def _restore(self) -> Verdict:
        """The session's hash is gone: it has ended, or Redis came back without it."""
        known = self.record
        if known is None or await self._state.records.has_ended(self.session_id):
            return Verdict.ENDED
        lost = replace(known, status=SessionStatus.STARTING, agent_pid=0, agent_gone="")
        verdict = await self._take_or_add(lost)
        if verdict is Verdict.GO_ON:
            self._on_restored()
        return verdict

    def _is_ours(self, record: SessionRecord) -> bool:
        holder = AgentProcess(record.agent_pid, record.agent_host, record.agent_started)
        return record.agent_pid == 0 or holder.is_same_as(self._process)
