"""Work that is done in rounds, by one process at a time, for as long as that process lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from orchestrator.ending.metrics import WATCH_FAILURES
from orchestrator.ending.owners import is_gone
from orchestrator.errors import OrchestratorError
from sessions import SessionsError, SessionState, StateUnreachableError
from worker.owned_tasks import end_tasks

logger = logging.getLogger("orchestrator.rounds")


@asynccontextmanager
async def rounds(
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    state: SessionState,
    owner: str,
    every_s: float,
    lease_s: float,
) -> AsyncIterator[None]:
    """Do work again and again while the lease is this process's.

    A round that fails is logged and counted, and the next one follows.

    Args:
        name: of the lease and the task.
        work: one round.
        state: has the lease.
        owner: names this process.
        every_s: seconds between two rounds.
        lease_s: seconds after which another process goes on where this one died.
    """

    async def turn() -> None:
        if await state.marks.lease(name, owner=owner, for_s=lease_s):
            await work()
            return
        holder = await state.marks.holder(name)
        if holder is not None and is_gone(holder):
            await state.marks.release(name, owner=holder)

    async def go_on() -> None:
        while True:
            await _without_fail(name, turn)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(go_on(), name=name)
    try:
        yield
    finally:
        await end_tasks([task])
        with suppress(StateUnreachableError):
            await state.marks.release(name, owner=owner)


async def _without_fail(name: str, turn: Callable[[], Awaitable[None]]) -> None:
    try:
        await turn()
    except (OrchestratorError, SessionsError) as error:
        WATCH_FAILURES.labels(name, type(error).__name__).inc()
        logger.warning("[Session] a round failed", extra={"who": name, "error": str(error)})
    except Exception as error:
        WATCH_FAILURES.labels(name, type(error).__name__).inc()
        logger.exception("[Session] a round failed unexpectedly", extra={"who": name})
