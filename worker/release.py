"""What works for a conversation stops and frees what it holds, stage by stage, and begins again.

Each stage goes on when another fails or hangs. Whoever asks says what is wanted, not what is
to be done: asking twice, or for the opposite before it was done, is harmless.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol

from prometheus_client import Counter, Histogram

from connection_events import Reason

logger = logging.getLogger("worker.release")

_RELEASES = Counter(
    "voice_agent_stage_releases",
    "Stages that freed what they held, or began again, by how it went",
    ["stage", "action", "reason", "result"],
)
_DURATION = Histogram(
    "voice_agent_stage_release_seconds",
    "How long a stage took for that",
    ["stage", "action"],
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)


class Stage(Protocol):
    """A part of what works for a conversation. Both calls may come at any time, and twice."""

    async def release(self) -> None:
        """Stop, and free what is held."""
        ...

    async def resume(self) -> None:
        """Work again."""
        ...


class Releases:
    """Brings the stages of one conversation to what is wanted of them.

    Args:
        conversation_id: for the log.
        timeout_s: seconds that one stage may take.
    """

    def __init__(self, conversation_id: str, *, timeout_s: float) -> None:
        self._conversation_id = conversation_id
        self._timeout_s = timeout_s
        self._stages: Mapping[str, Stage] = {}
        self._wanted: Reason | None = None
        self._is_released = False
        self._reason = Reason.TIMEOUT
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._task: asyncio.Task[None] | None = None

    def attach(self, stages: Mapping[str, Stage]) -> None:
        """Say which stages there are, once they work; what is wanted is done to them now."""
        self._stages = stages
        self._task = asyncio.create_task(self._follow(), name="releases")
        self._wake()

    def want_released(self, reason: Reason) -> None:
        """Have the stages free what they hold, and stay so until they are wanted again."""
        self._wanted = reason
        self._wake()

    def want_working(self) -> None:
        """Have the stages work."""
        self._wanted = None
        self._wake()

    @property
    def is_released(self) -> bool:
        """Whether the stages have nothing and do nothing, or are about to."""
        return self._wanted is not None

    async def settled(self) -> None:
        """Wait until the stages are as they are wanted."""
        await self._settled.wait()

    async def stop(self, stage: str, reason: Reason) -> None:
        """Have one stage free what it holds now; it may go on at once.

        Nothing where there is no such stage yet.
        """
        if (found := self._stages.get(stage)) is not None:
            await self._guarded(stage, "stop", reason, found.release)

    async def aclose(self) -> None:
        """Do what is wanted, if it is not done yet, and stop following."""
        if self._task is not None:
            # Two stages at most are waited for: what is being done, and what is wanted now.
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.settled(), self._most_s)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def _most_s(self) -> float:
        return 2 * self._timeout_s

    def _wake(self) -> None:
        if self._task is not None:
            self._settled.clear()
            self._changed.set()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._wanted is not None and not self._is_released:
                self._is_released, self._reason = True, self._wanted
                await self._all("release", self._reason)
            elif self._wanted is None and self._is_released:
                self._is_released = False
                await self._all("resume", self._reason)
            if not self._changed.is_set():
                self._settled.set()

    async def _all(self, action: str, reason: Reason) -> None:
        await asyncio.gather(
            *(
                self._guarded(name, action, reason, getattr(stage, action))
                for name, stage in self._stages.items()
            )
        )

    async def _guarded(
        self, stage: str, action: str, reason: Reason, do: Callable[[], Awaitable[None]]
    ) -> None:
        began = time.monotonic()
        result = "ok"
        try:
            await asyncio.wait_for(do(), self._timeout_s)
        except asyncio.TimeoutError:
            result = "timeout"
        except Exception:
            result = "failed"
            logger.exception("[Session] a stage failed", extra={"stage": stage, "action": action})
        took_s = time.monotonic() - began
        _RELEASES.labels(stage, action, reason.value, result).inc()
        _DURATION.labels(stage, action).observe(took_s)
        logger.log(
            logging.INFO if result == "ok" else logging.WARNING,
            "[Session] a stage of the conversation was told",
            extra={
                "conversation_id": self._conversation_id,
                "stage": stage,
                "action": action,
                "reason": reason.value,
                "result": result,
                "duration_ms": round(took_s * 1000, 1),
            },
        )
