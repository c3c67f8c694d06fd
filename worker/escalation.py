"""Which registered agents should not live any more, and how their processes are ended."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from dataclasses import dataclass, field

import psutil
from prometheus_client import Counter

from connection_events import ConnectionEvent, EventChannel
from sessions import AgentProcess, Gone, SessionState, StateUnreachableError
from worker import processes
from worker.registry import Entry, Registry

logger = logging.getLogger("worker.reaper")

_LOOK_EVERY_S = 0.5
_TERM_AFTER_S = 1.0

FAILURES = Counter("voice_agent_reaper_failures", "Looks that failed, by error", ["error"])
_SIGNALS = Counter("voice_agent_reaper_signals", "Signals sent to agents that hang", ["signal"])
_GONE = Counter("voice_agent_reaper_gone", "Agents' processes that were found gone", ["how"])


@dataclass
class _Watched:
    """What is known of a process that is registered."""

    handle: int | None = None
    over_at: float | None = None
    sent: set[signal.Signals] = field(default_factory=set)


class Reaper:
    """Watches the processes in a registry.

    A process is over when its session has ended, when a newer dispatch or another process has
    its session, or when the worker that made it is gone. It then has a second to go; after that
    it gets SIGTERM, and SIGKILL when the grace time is over.

    Args:
        registry: the processes; no other is ever signalled.
        state: says which sessions have ended.
        events: wakes the reaper; it looks by itself as well, as events can be lost.
        grace_s: seconds from when a process is over to SIGKILL.
    """

    def __init__(
        self, registry: Registry, state: SessionState, events: EventChannel, *, grace_s: float
    ) -> None:
        self._registry = registry
        self._state = state
        self._events = events
        self._grace_s = grace_s
        self._term_after_s = min(_TERM_AFTER_S, grace_s)
        self._boot = processes.this_boot()
        self._watched: dict[str, _Watched] = {}
        self._woken = asyncio.Event()
        self._is_out_of_reach = False

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            async with self._events.listening(self._on_event):
                while True:
                    await self._look_and_survive()
                    await self._wait()
        finally:
            for watched in self._watched.values():
                self._let_go(watched)

    async def look(self) -> None:
        """Look at all registered processes once, and do what is due."""
        entries = self._registry.entries()
        for name in set(self._watched) - {entry.file_name for entry in entries}:
            self._let_go(self._watched.pop(name))
        tending = (self._tend(entry) for entry in entries)
        for result in await asyncio.gather(*tending, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _look_and_survive(self) -> None:
        try:
            await self.look()
            if self._is_out_of_reach:
                self._is_out_of_reach = False
                logger.info("[Cleanup] the reaper sees the state of sessions again")
        except (StateUnreachableError, OSError, psutil.Error) as error:
            FAILURES.labels(type(error).__name__).inc()
            if not self._is_out_of_reach:
                self._is_out_of_reach = True
                logger.warning(
                    "[Cleanup] the reaper cannot see which sessions have ended",
                    extra={"error": type(error).__name__},
                )

    async def _wait(self) -> None:
        due = [
            watched.over_at + after - time.monotonic()
            for watched in self._watched.values()
            if watched.over_at is not None
            for after in (self._term_after_s, self._grace_s)
        ]
        timeout_s = min([each for each in due if each > 0] + [_LOOK_EVERY_S])
        # Not by asyncio.wait_for, which before Python 3.12 can swallow the end of this loop.
        timer = asyncio.get_running_loop().call_later(timeout_s, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
            self._woken.clear()

    async def _on_event(self, event: ConnectionEvent) -> None:
        del event  # whether the session has ended is asked of its state
        self._woken.set()

    async def _tend(self, entry: Entry) -> None:
        watched = self._watched.setdefault(entry.file_name, _Watched())
        process = self._find(entry)
        if process is None:
            await self._say_gone(entry, watched)
            return
        self._hold(entry, watched)
        is_orphan = processes.has_lost_its_parent(process, entry.parent)
        try:
            is_over = is_orphan or await self._is_over(entry)
        except StateUnreachableError:
            self._end(entry, watched, begin=False)
            raise
        if is_over:
            self._end(entry, watched, begin=True)
        else:
            watched.over_at = None

    async def _is_over(self, entry: Entry) -> bool:
        if await self._state.records.has_ended(entry.session_id):
            return True
        record = await self._state.records.get(entry.session_id)
        if record is None:
            return False
        if 0 < entry.attempt < record.dispatches:
            return True
        is_held = record.agent_pid > 0 and not record.agent_gone
        holder = AgentProcess(record.agent_pid, record.agent_host, record.agent_started)
        return is_held and not holder.is_same_as(entry.process)

    def _find(self, entry: Entry) -> psutil.Process | None:
        if entry.boot != self._boot:
            return None  # the machine was started anew
        return processes.find(entry.pid, entry.started)

    def _end(self, entry: Entry, watched: _Watched, *, begin: bool) -> None:
        if watched.over_at is None:
            if not begin:
                return
            watched.over_at = time.monotonic()
        over_for_s = time.monotonic() - watched.over_at
        if over_for_s >= self._grace_s:
            self._signal(entry, watched, signal.SIGKILL)
        elif over_for_s >= self._term_after_s:
            self._signal(entry, watched, signal.SIGTERM)

    def _signal(self, entry: Entry, watched: _Watched, number: signal.Signals) -> None:
        if number in watched.sent:
            return
        watched.sent.add(number)
        if processes.send_signal(entry.pid, entry.started, number):
            _SIGNALS.labels(number.name).inc()
            logger.warning(
                "[Cleanup] an agent's process that does not end is signalled",
                extra={
                    "session_id": entry.session_id,
                    "pid": entry.pid,
                    "signal": number.name,
                },
            )

    async def _say_gone(self, entry: Entry, watched: _Watched) -> None:
        was_killed = signal.SIGKILL in watched.sent or not entry.ending
        how = Gone.KILLED if was_killed else Gone.EXITED
        await self._state.agents.gone(entry.session_id, how, process=entry.process)
        self._registry.remove(entry)
        self._let_go(self._watched.pop(entry.file_name, watched))
        _GONE.labels(how.value).inc()
        logger.info(
            "[Cleanup] an agent's process is gone",
            extra={"session_id": entry.session_id, "pid": entry.pid, "how": how.value},
        )

    def _hold(self, entry: Entry, watched: _Watched) -> None:
        """Learn at once when the process ends, where the system can tell."""
        if watched.handle is not None:
            return
        watched.handle = processes.held(entry.pid)
        if watched.handle is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(watched.handle, self._on_ended, watched)

    def _on_ended(self, watched: _Watched) -> None:
        self._let_go(watched)
        self._woken.set()

    def _let_go(self, watched: _Watched) -> None:
        if watched.handle is not None:
            asyncio.get_running_loop().remove_reader(watched.handle)
            os.close(watched.handle)
            watched.handle = None
