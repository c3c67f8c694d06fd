"""Whether what the orchestrator needs is within reach."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

from prometheus_client import Gauge

from config import Settings
from orchestrator.ending.metrics import observe_sessions
from orchestrator.errors import OrchestratorError
from orchestrator.rooms import Rooms
from orchestrator.spawners.spawner import Spawner
from sessions import SessionState, StateUnreachableError

_FRESH_S = 1.0
_PROBE_ROOM = "session_0_health"

REDIS_UP = Gauge("voice_agent_redis_up", "Whether Redis answered; -1 where there is none")


@dataclass(frozen=True)
class Reach:
    """What is within reach; None where it is not configured."""

    redis: bool | None
    livekit: bool | None
    spawner: bool | None

    @property
    def is_healthy(self) -> bool:
        """Whether all that is configured answers, and LiveKit is configured."""
        return False not in (self.redis, self.livekit, self.spawner) and self.livekit is not None


class Health:
    """Looks at most once a second, however often it is asked.

    Args:
        settings: what is configured.
        state: the state of sessions.
        rooms: LiveKit's rooms.
        spawner: brings agents.
    """

    def __init__(
        self, settings: Settings, *, state: SessionState, rooms: Rooms, spawner: Spawner
    ) -> None:
        self._settings = settings
        self._state = state
        self._rooms = rooms
        self._spawner = spawner
        self._lock = asyncio.Lock()
        self._seen: Reach | None = None
        self._seen_at = 0.0

    async def look(self) -> Reach:
        """Return what is within reach."""
        async with self._lock:
            if self._seen is None or time.monotonic() - self._seen_at > _FRESH_S:
                redis, livekit, spawner = await asyncio.gather(
                    self._redis(), self._livekit(), self._agents()
                )
                self._seen, self._seen_at = Reach(redis, livekit, spawner), time.monotonic()
            return self._seen

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        reach = await self.look()
        REDIS_UP.set(-1 if reach.redis is None else int(reach.redis))
        if reach.redis is not False:  # else voice_agent_redis_up says so
            with suppress(StateUnreachableError):
                await observe_sessions(self._state)

    async def _redis(self) -> bool | None:
        if not self._state.shared:
            return None
        try:
            await self._state.ping()
        except StateUnreachableError:
            return False
        return True

    async def _livekit(self) -> bool | None:
        if not self._settings.worker.livekit_is_configured:
            return None
        try:
            await self._rooms.find(_PROBE_ROOM)
        except OrchestratorError:
            return False
        return True

    async def _agents(self) -> bool | None:
        try:
            return await self._spawner.is_available()
        except OrchestratorError:
            return False
