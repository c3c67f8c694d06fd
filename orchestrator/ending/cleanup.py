"""The one clean-up of a session, whoever asks for it.

A clean-up is claimed in the state of sessions, with a lease. Callers in this process share one
task, callers elsewhere wait for its report. Where the owner dies between two steps, its host sees
it at once and everybody else when the lease lapses; whoever looks next begins the steps again,
and each of them may be done twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import anyio

from config import Settings
from connection_events import EventChannel, Reason
from orchestrator.ending.expired import left_behind
from orchestrator.ending.metrics import CLEANUP_SECONDS, CLEANUPS, FORCED_KILLS, WATCH_FAILURES
from orchestrator.ending.owners import is_gone, new_owner
from orchestrator.ending.report import EndReport
from orchestrator.ending.run import Run, is_claimed, outcome
from orchestrator.ending.sequence import Sequence
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from orchestrator.webhooks.outgoing import SessionEvent, SessionWebhooks
from sessions import Claim, ClaimResult, SessionRecord, SessionState, StateUnreachableError
from worker.owned_tasks import end_tasks

logger = logging.getLogger("orchestrator.cleanup")

_REAPER_MARGIN_S = 2.0
_POLL_S = 0.05
_FINISH_WITHIN_S = 3.0
_LAST_CHANCE_S = 3.0


class Cleanups:
    """See `Endings`. Use it within `running`.

    Args:
        state: the state of sessions.
        events: where the end is said.
        rooms: LiveKit's rooms.
        spawner: takes back what has not arrived.
        webhooks: tells the product's back end.
        settings: TERM_GRACE_S.
        lease_s: seconds after which a clean-up whose owner is gone is taken over.
        sweep_every_s: seconds between two looks for such clean-ups.
    """

    def __init__(
        self,
        *,
        state: SessionState,
        events: EventChannel,
        rooms: Rooms,
        spawner: Spawner,
        webhooks: SessionWebhooks,
        settings: Settings,
        lease_s: float = 3.0,
        sweep_every_s: float = 0.5,
    ) -> None:
        self._state = state
        self._webhooks = webhooks
        self._lease_s = lease_s
        self._sweep_every_s = sweep_every_s
        self._owner = new_owner()
        self._runs: dict[str, Run] = {}
        gone_within_s = settings.orchestrator.term_grace_s + _REAPER_MARGIN_S
        self._sequence = Sequence(
            state=state, events=events, rooms=rooms, spawner=spawner, gone_within_s=gone_within_s
        )

    async def end(self, session_id: str, reason: Reason, *, asked_by: str) -> EndReport | None:
        """See `Endings.end`."""
        return await outcome(self._run(session_id, reason, asked_by))

    async def begin(self, session_id: str, reason: Reason, *, asked_by: str) -> bool:
        """See `Endings.begin`."""
        return await is_claimed(self._run(session_id, reason, asked_by))

    async def begin_orphan(self, orphan: SessionRecord, reason: Reason, *, asked_by: str) -> bool:
        """Do as `begin` for what bears our mark and belongs to no session.

        Args:
            orphan: what is known of it.
            reason: see `begin`.
            asked_by: see `begin`.
        """
        return await is_claimed(self._run(orphan.id, reason, asked_by, orphan))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own the clean-ups under way, and take over those that somebody abandoned.

        At the end those under way have three seconds; what is left then is left to others.
        """
        sweeper = asyncio.create_task(self._sweep(), name="clean-up sweep")
        try:
            yield
        finally:
            tasks = [run.task for run in self._runs.values()]
            if tasks:
                await asyncio.wait(tasks, timeout=_LAST_CHANCE_S)
            await end_tasks([sweeper, *tasks])
            with suppress(StateUnreachableError):
                await self._state.cleanups.let_go(self._owner)

    def _run(
        self, session_id: str, reason: Reason, asked_by: str, orphan: SessionRecord | None = None
    ) -> Run:
        """Return the session's run, a new one where there is none; nothing is awaited."""
        run = self._runs.get(session_id)
        if run is None:
            run = self._runs[session_id] = Run()
            work = self._clean_up(run, session_id, reason, asked_by, orphan)
            run.task = asyncio.create_task(work, name=f"clean-up of {session_id}")
            run.task.add_done_callback(run.settle)
            run.task.add_done_callback(lambda _: self._runs.pop(session_id, None))
        return run

    async def _clean_up(
        self,
        run: Run,
        session_id: str,
        reason: Reason,
        asked_by: str,
        orphan: SessionRecord | None,
    ) -> EndReport | None:
        claim = await self._claim(session_id, reason, orphan)
        run.claimed.set_result(claim.result is not ClaimResult.UNKNOWN)
        if claim.result is ClaimResult.JOINED:
            claim_or_report = await self._wait_for_other(session_id, reason)
            if not isinstance(claim_or_report, Claim):
                return claim_or_report
            claim = claim_or_report
        if claim.result is ClaimResult.UNKNOWN or claim.record is None:
            return None
        return await self._carry_out(claim.record, _reason(claim.reason), asked_by)

    async def _claim(
        self, session_id: str, reason: Reason, orphan: SessionRecord | None = None
    ) -> Claim:
        return await self._state.cleanups.claim(
            session_id,
            owner=self._owner,
            reason=reason.value,
            lease_s=self._lease_s,
            orphan=orphan,
        )

    async def _wait_for_other(self, session_id: str, reason: Reason) -> Claim | EndReport | None:
        """Return another owner's report, or the claim where that owner is gone."""
        while True:
            pending = await self._state.cleanups.is_pending(session_id)
            report = await self._stored_report(session_id)
            if report is not None or not pending:
                return report
            if session_id in await self._state.cleanups.abandoned():
                claim = await self._claim(session_id, reason)
                if claim.result is ClaimResult.CLAIMED:
                    return claim
            await asyncio.sleep(_POLL_S)

    async def _stored_report(self, session_id: str) -> EndReport | None:
        stored = await self._state.cleanups.report(session_id)
        return EndReport.from_stored(stored) if stored is not None else None

    async def _carry_out(
        self, record: SessionRecord, reason: Reason, asked_by: str
    ) -> EndReport | None:
        extra = {"session_id": record.id, "reason": reason.value, "asked_by": asked_by}
        logger.info("[Cleanup] begins", extra=extra)
        renewing = asyncio.create_task(self._renew(record.id), name=f"lease of {record.id}")
        try:
            report = await self._sequence.carry_out(record, reason)
            self._webhooks.say(SessionEvent.ENDED, record, reason=reason.value, asked_by=asked_by)
            report = await self._finish(report, beside=left_behind(record, reason))
        finally:
            await end_tasks([renewing])
        logger.info("[Cleanup] done", extra={**extra, **report.as_dict()})
        CLEANUPS.labels("partial" if report.errors else "ok", asked_by).inc()
        CLEANUP_SECONDS.observe(report.seconds)
        if report.process_killed and record.agent_pid and not report.process_exited:
            FORCED_KILLS.inc()
        return report

    async def _finish(self, report: EndReport, *, beside: Mapping[str, Any]) -> EndReport:
        """Remove the session's keys, and return the report that everybody gets."""
        session_id = report.session_id
        with anyio.move_on_after(_FINISH_WITHIN_S):
            while True:
                try:
                    await self._state.cleanups.finish(
                        session_id, owner=self._owner, report={**report.as_dict(), **beside}
                    )
                    stored = await self._stored_report(session_id)
                    if stored or not await self._state.cleanups.is_pending(session_id):
                        return stored or report
                except StateUnreachableError:
                    pass  # tried again until the time is over
                await asyncio.sleep(_POLL_S)
        problem = "removing the keys: not done yet; it is tried again"
        return replace(report, redis_cleaned=False, errors=[*report.errors, problem])

    async def _renew(self, session_id: str) -> None:
        while True:
            await asyncio.sleep(self._lease_s / 3)
            try:
                await self._state.cleanups.renew(
                    session_id, owner=self._owner, lease_s=self._lease_s
                )
            except StateUnreachableError as error:
                logger.warning(
                    "[Cleanup] a lease could not be renewed",
                    extra={"session_id": session_id, "error": str(error)},
                )

    async def _sweep(self) -> None:
        while True:
            try:
                await self._take_over()
            except StateUnreachableError as error:
                WATCH_FAILURES.labels("cleanups", type(error).__name__).inc()
                logger.warning(
                    "[Cleanup] cannot look for abandoned clean-ups", extra={"error": str(error)}
                )
            await asyncio.sleep(self._sweep_every_s)

    async def _take_over(self) -> None:
        for owner in await self._state.cleanups.owners():
            if is_gone(owner):
                await self._state.cleanups.let_go(owner)
        for session_id in await self._state.cleanups.abandoned():
            self._run(session_id, Reason.SERVER_ERROR, "resumed")


def _reason(stored: str) -> Reason:
    try:
        return Reason(stored)
    except ValueError:
        return Reason.SERVER_ERROR
