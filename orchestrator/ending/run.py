"""A clean-up in this process, which all who ask for it share."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from orchestrator.ending.report import EndReport
from orchestrator.errors import UnavailableError
from sessions import StateUnreachableError

logger = logging.getLogger("orchestrator.cleanup")


@dataclass
class Run:
    """A clean-up in this process; whether there is something to clean up is known early."""

    task: asyncio.Task[EndReport | None] = field(init=False)
    claimed: asyncio.Future[bool] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, task: asyncio.Task[EndReport | None]) -> None:
        """Take note of how the task ended, so that nothing waits for it in vain."""
        if not self.claimed.done():
            self.claimed.cancel()
        if not task.cancelled() and (error := task.exception()):
            logger.error(
                "[Cleanup] a clean-up broke off; it will be taken up again",
                extra={"error": f"{type(error).__name__}: {error}"},
            )


async def outcome(run: Run) -> EndReport | None:
    """Return how a run ended; a caller who gives up leaves it going.

    Raises:
        UnavailableError: the state of sessions is out of reach, or this process ends.
    """
    try:
        return await asyncio.shield(run.task)
    except asyncio.CancelledError:
        if run.task.cancelled():
            raise UnavailableError("the orchestrator is ending; try again") from None
        raise
    except StateUnreachableError as error:
        raise UnavailableError("the state of sessions is out of reach; try again") from error


async def is_claimed(run: Run) -> bool:
    """Return whether there is something to clean up, as soon as that is known.

    Raises:
        UnavailableError: as `outcome`.
    """
    try:
        return await asyncio.shield(run.claimed)
    except asyncio.CancelledError:
        if not run.claimed.cancelled():
            raise
    return await outcome(run) is not None
