"""Agents as tasks of Celery workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from celery import Celery
from kombu.exceptions import OperationalError

from config import Settings
from orchestrator.errors import UnavailableError
from orchestrator.spawners.celery_app import TASK, build_app, configuration
from sessions import SessionRecord, SessionState, StateUnreachableError

logger = logging.getLogger("orchestrator.celery")

_REACHABLE_WITHIN_S = 3.0
_PING_S = 1.0

T = TypeVar("T")


class CelerySpawner:
    """See `Spawner`.

    Celery's calls block, so they are made in threads; its broker is asked once, with short
    time-outs, never again and again.

    Args:
        settings: with the broker, and with Redis.
        state: where a session's task is noted.

    Raises:
        ConfigError: there is no Redis to keep the sessions in.
    """

    dispatches = False

    def __init__(self, settings: Settings, state: SessionState) -> None:
        configured = configuration(settings)
        configured["broker_transport_options"] |= {
            "socket_timeout": _PING_S,
            "max_retries": 0,
            "retry_on_timeout": False,
        }
        self._app: Celery = build_app(lambda: configured)
        self._state = state

    async def spawn(self, record: SessionRecord, *, attempt: int) -> str:
        """See `Spawner.spawn`; the same attempt has the same task, however often it is sent."""
        task_id = f"{record.id}.{attempt}"
        try:
            # Before the task exists, so that whoever ends the session can always take it back.
            await self._state.records.update(record.id, celery_task_id=task_id)
        except StateUnreachableError as error:
            raise UnavailableError("Redis is out of reach; try again") from error
        await self._call(lambda: self._send(task_id, record.id, attempt))
        return task_id

    async def revoke(self, record: SessionRecord) -> bool:
        """See `Spawner.revoke`; a task that runs already ends its agent."""
        if not record.celery_task_id:
            return False
        task_id = record.celery_task_id
        await self._call(
            lambda: self._app.control.revoke(task_id, terminate=True, signal="SIGTERM")
        )
        return True

    async def is_available(self) -> bool:
        """Return whether a worker of ours answers within a second."""
        try:
            answers = await self._call(lambda: self._app.control.ping(timeout=_PING_S, limit=1))
        except UnavailableError:
            return False
        return bool(answers)

    async def aclose(self) -> None:
        """Close the connections to the broker."""
        await asyncio.to_thread(self._app.close)

    def _send(self, task_id: str, session_id: str, attempt: int) -> None:
        arguments = {"session_id": session_id, "attempt": attempt}
        self._app.send_task(TASK, kwargs=arguments, task_id=task_id, retry=False)

    async def _call(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.wait_for(asyncio.to_thread(call), _REACHABLE_WITHIN_S)
        except (OperationalError, OSError, asyncio.TimeoutError) as error:
            logger.warning("[Session] Celery's broker is out of reach", extra={"error": str(error)})
            raise UnavailableError("Celery's broker is out of reach; try again") from error
