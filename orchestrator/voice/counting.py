"""What sessions did, counted in this process and written to their state in batches."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from sessions import SessionState, StateUnreachableError

logger = logging.getLogger("orchestrator.voice")

_EVERY_S = 1.0


class SessionCounts:
    """Batches counts.

    Args:
        state: where they are written.
        ttl_s: seconds for which they live there.
    """

    def __init__(self, state: SessionState, *, ttl_s: int) -> None:
        self._state = state
        self._ttl_s = ttl_s
        self._waiting: dict[str, Counter[str]] = {}

    def add(self, session_id: str, name: str) -> None:
        """Count one of something of a session."""
        self._waiting.setdefault(session_id, Counter())[name] += 1

    async def flush(self, session_id: str) -> None:
        """Write what was counted of a session; what cannot be written is lost, and logged."""
        counted = self._waiting.pop(session_id, None)
        if not counted:
            return
        try:
            await self._state.agents.add_counts(session_id, ttl_s=self._ttl_s, **counted)
        except StateUnreachableError:
            logger.warning(
                "[Session] counts could not be written", extra={"session_id": session_id}
            )

    async def keep_flushing(self) -> None:
        """Write every second, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            for session_id in list(self._waiting):
                await self.flush(session_id)
