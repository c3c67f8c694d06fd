"""Tells the state of sessions of a running job, behind the conversation.

The conversation never waits for it. While Redis is out of reach what is to be told is kept,
within bounds, and told when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import Counter

from config import SessionSettings
from sessions import SessionsError, SessionState, StateUnreachableError
from worker.activity import Activity
from worker.log_tail import LogTail
from worker.owned_tasks import end_tasks
from worker.seat import Seat, Verdict

logger = logging.getLogger("worker.pulse")

_REPORTS = Counter("voice_agent_session_reports", "Heartbeats of jobs, by result", ["result"])


class Pulse:
    """A task that beats every HEARTBEAT_S, and at once when there is something to tell.

    Args:
        state: of the sessions.
        seat: this job's place in its session.
        activity: what the session does.
        tail: the job's log lines.
        health: makes the fields of a heartbeat.
        on_refused: told once when the job must leave; nothing is reported after it.
        settings: how often, and how long the end may take.
    """

    def __init__(
        self,
        state: SessionState,
        seat: Seat,
        activity: Activity,
        tail: LogTail,
        *,
        health: Callable[[], dict[str, str]],
        on_refused: Callable[[Verdict], Awaitable[None]],
        settings: SessionSettings,
    ) -> None:
        self._state = state
        self._seat = seat
        self._activity = activity
        self._tail = tail
        self._health = health
        self._on_refused = on_refused
        self._settings = settings
        self._changes: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._woken = asyncio.Event()
        self._is_out_of_reach = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to beat."""
        self._task = asyncio.create_task(self._run(), name="pulse")

    def change(self, **changes: Any) -> None:
        """Tell of new values of the session's attributes; returns at once."""
        self._changes.update(changes)
        self.wake()

    def wake(self) -> None:
        """Beat now."""
        self._woken.set()

    def tell_all_again(self) -> None:
        """Tell everything once more, as the state has lost it."""
        self._changes = {**self._told, **self._changes}

    async def aclose(self) -> None:
        """Stop, and tell what is left within RELEASE_TIMEOUT_S."""
        if self._task is None:
            return
        if self._task is not asyncio.current_task():
            await end_tasks([self._task])
        if self._seat.is_taken and not self._is_out_of_reach:
            try:
                await asyncio.wait_for(self._tell(), self._settings.release_timeout_s)
            except (asyncio.TimeoutError, SessionsError) as error:
                _REPORTS.labels("lost").inc()
                logger.warning(
                    "[Session] the job's last report was not taken",
                    extra={"error": type(error).__name__},
                )

    async def _run(self) -> None:
        while True:
            verdict = await self._beat_and_survive()
            if verdict is not Verdict.GO_ON:
                _REPORTS.labels("refused").inc()
                await self._on_refused(verdict)
                return
            # Not by asyncio.wait_for, which before Python 3.12 can swallow the end of this loop.
            loop = asyncio.get_running_loop()
            timer = loop.call_later(self._settings.heartbeat_s, self._woken.set)
            try:
                await self._woken.wait()
            finally:
                timer.cancel()
            self._woken.clear()

    async def _beat_and_survive(self) -> Verdict:
        try:
            verdict = await self._seat.keep(self._health())
            if verdict is Verdict.GO_ON and self._seat.is_taken:
                await self._tell()
        except StateUnreachableError as error:
            _REPORTS.labels("failed").inc()
            if not self._is_out_of_reach:
                self._is_out_of_reach = True
                logger.warning(
                    "[Session] Redis is out of reach; the conversation goes on",
                    extra={"error": type(error.__cause__).__name__},
                )
            return Verdict.GO_ON
        except Exception as error:
            _REPORTS.labels("failed").inc()
            logger.exception("[Session] a heartbeat failed", extra={"error": type(error).__name__})
            return Verdict.GO_ON
        if self._is_out_of_reach:
            self._is_out_of_reach = False
            logger.info("[Session] Redis is back")
        _REPORTS.labels("ok").inc()
        return verdict

    async def _tell(self) -> None:
        await self._tell_changes()
        counts, tasks = self._activity.take()
        try:
            if counts:
                await self._state.agents.add_counts(
                    self._seat.session_id, ttl_s=self._settings.key_ttl_s, **counts
                )
                counts = {}
            while tasks:
                await self._state.agents.put_task(tasks[0], ttl_s=self._settings.key_ttl_s)
                del tasks[0]
        finally:
            self._activity.give_back(counts, tasks)
        lines = self._tail.take()
        try:
            await self._state.agents.log(
                self._seat.session_id, lines, ttl_s=self._settings.key_ttl_s
            )
            lines = []
        finally:
            self._tail.give_back(lines)

    async def _tell_changes(self) -> None:
        changes, self._changes = self._changes, {}
        if not changes:
            return
        try:
            await self._state.records.update(self._seat.session_id, **changes)
        except BaseException:
            self._changes = {**changes, **self._changes}
            raise
        self._told.update(changes)
