"""A session's agent as a child of this process, from its start to its certain end."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from config import Settings
from orchestrator.spawners.runners import Runners
from sessions import (
    Gone,
    SessionRecord,
    SessionState,
    StateUnreachableError,
    open_session_state,
)
from sessions.naming import dispatch_metadata
from worker.assignment import Assignment
from worker.processes import start_of
from worker.registry import Entry, Registry, this_host

logger = logging.getLogger("orchestrator.celery")

_POLL_S = 0.2
_FENCE_POLL_S = 1.0

T = TypeVar("T")


class SessionProcess:
    """Runs one agent process, in the thread that calls.

    The child is told whom to serve only once the session was taken for its pid, which the
    state of sessions grants once for an attempt: so a task that is delivered twice makes no
    second agent.

    Args:
        settings: of this host.
        runners: where the child comes from.
        session_id: the session.
        attempt: the number of the dispatch.
        task_id: the Celery task that runs this.
    """

    def __init__(
        self, settings: Settings, runners: Runners, session_id: str, *, attempt: int, task_id: str
    ) -> None:
        self._settings = settings
        self._runners = runners
        self._session_id = session_id
        self._attempt = attempt
        self._task_id = task_id
        self._parent = os.getppid()
        self._registry = Registry(settings.store.data_dir)
        self._entry: Entry | None = None

    def run(self) -> str:
        """Run the agent until it ends, its session does, or this process is told to stop.

        However this is left, the child has ended then.

        Returns:
            ``not wanted``, ``taken`` by another process, or ``exited`` and the status.

        Raises:
            StateUnreachableError: the session cannot be asked for.
        """
        record = self._ask(self._wanted)
        if record is None:
            self._log("[Session] the task is not wanted any more")
            return "not wanted"
        child = self._runners.take()
        try:
            if not self._ask(lambda state: self._take(state, child)):
                self._log("[Session] the session is taken or has ended; no agent is started")
                return "taken"
            self._log("[Session] the agent's process is started", pid=child.pid)
            self._hand_over(child, record)
            self._wait(child)
        finally:
            self._end(child)
        self._log("[Session] the agent's process has ended", status=child.returncode)
        return f"exited {child.returncode}"

    async def _wanted(self, state: SessionState) -> SessionRecord | None:
        if await state.records.has_ended(self._session_id):
            return None
        record = await state.records.get(self._session_id)
        return record if record is not None and record.dispatches <= self._attempt else None

    async def _take(self, state: SessionState, child: subprocess.Popen[bytes]) -> bool:
        started = start_of(child.pid)
        entry = Entry(self._session_id, child.pid, started, this_host(), os.getpid(), self._attempt)
        self._entry = entry
        ttl_s = self._settings.sessions.key_ttl_s
        if await state.agents.started(
            self._session_id, entry.process, attempt=self._attempt, ttl_s=ttl_s
        ):
            # The job does not do it: it is a thread, and does not know that its process is all its.
            self._registry.put(entry)
            return await state.records.update(self._session_id, celery_task_id=self._task_id)
        self._entry = None
        return False

    def _hand_over(self, child: subprocess.Popen[bytes], record: SessionRecord) -> None:
        assignment = Assignment(record.room, dispatch_metadata(record, attempt=self._attempt))
        if child.stdin is not None:
            with suppress(BrokenPipeError), child.stdin as given:
                given.write(assignment.as_line())

    def _wait(self, child: subprocess.Popen[bytes]) -> None:
        asked_at = time.monotonic()
        while child.poll() is None:
            if os.getppid() != self._parent:
                self._log("[Session] the Celery worker is gone; its agent ends")
                return
            if time.monotonic() - asked_at >= _FENCE_POLL_S:
                if self._has_ended():
                    return
                asked_at = time.monotonic()
            try:
                child.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue

    def _has_ended(self) -> bool:
        try:
            return self._ask(lambda state: state.records.has_ended(self._session_id))
        except StateUnreachableError:
            return False  # a call goes on without Redis

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """End the child, in order if it can: SIGTERM, TERM_GRACE_S, SIGKILL."""
        if child.stdin is not None:
            child.stdin.close()
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(self._settings.orchestrator.term_grace_s)
        except subprocess.TimeoutExpired:
            logger.warning("[Cleanup] the agent's process is killed", extra={"pid": child.pid})
            child.kill()
            child.wait()
        if self._entry is not None:
            how = Gone.KILLED if child.returncode < 0 else Gone.EXITED
            self._report_gone(self._entry, how)

    def _report_gone(self, entry: Entry, how: Gone) -> None:
        try:
            self._ask(lambda state: state.agents.gone(self._session_id, how, process=entry.process))
            self._registry.remove(entry)
        except (StateUnreachableError, OSError) as error:
            logger.warning("[Cleanup] an agent's end is not noted", extra={"error": str(error)})

    def _ask(self, question: Callable[[SessionState], Awaitable[T]]) -> T:
        async def ask() -> T:
            state = open_session_state(self._settings.sessions)
            try:
                return await question(state)
            finally:
                await state.aclose()

        return asyncio.run(ask())

    def _log(self, message: str, **fields: object) -> None:
        logger.info(message, extra={"session_id": self._session_id, **fields})
