"""How long a conversation may last, and for how long both sides may be silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserStateChangedEvent,
)
from prometheus_client import Counter

from worker.owned_tasks import end_tasks
from worker.whereabouts import Sign

logger = logging.getLogger("worker.limits")

_FAREWELL_DEADLINE_S = 15.0

_ENDED = Counter("voice_agent_sessions_over", "Sessions whose time was over, by limit", ["limit"])


class Limit(str, Enum):
    """Why a conversation's time is over."""

    LENGTH = "length"
    SILENCE = "silence"


class Limits:
    """Tells the person that their time is over, and ends the session.

    Args:
        left_s: seconds that the session may last from now on.
        silence_s: seconds of silence on both sides after which it ends; None for ever. The
            time for which the person is away is none, and it begins anew when they are back.
        tell: tells the person; done when they have heard it.
        end: ends the session.
    """

    def __init__(
        self,
        *,
        left_s: float,
        silence_s: float | None,
        tell: Callable[[Limit], Awaitable[object]],
        end: Callable[[Limit], Awaitable[None]],
    ) -> None:
        self._left_s = left_s
        self._silence_s = silence_s
        self._tell = tell
        self._end = end
        self._busy: set[str] = set()
        self._quiet_since = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self, session: AgentSession[None]) -> None:
        """Begin to watch a session that runs."""
        self._quiet_since = asyncio.get_running_loop().time()
        session.on("user_state_changed", self._on_user)
        session.on("agent_state_changed", self._on_agent)
        session.on("conversation_item_added", self._on_item)
        self._task = asyncio.create_task(self._run(), name="limits")

    def follow(self, sign: Sign) -> None:
        """Take where the person is: while they are away nobody is silent."""
        self._note("absence", is_busy=not sign.is_here)

    async def aclose(self) -> None:
        """Stop watching."""
        if self._task is not None and self._task is not asyncio.current_task():
            await end_tasks([self._task])

    async def _run(self) -> None:
        limit = await self._wait_for_a_limit()
        _ENDED.labels(limit.value).inc()
        logger.info("[Session] its time is over; it ends", extra={"reason": limit.value})
        try:
            await asyncio.wait_for(self._tell(limit), _FAREWELL_DEADLINE_S)
        except (asyncio.TimeoutError, RuntimeError) as error:  # it hangs, or is closing already
            logger.warning(
                "[Session] the person was not told that it ends",
                extra={"error": type(error).__name__},
            )
        await self._end(limit)

    async def _wait_for_a_limit(self) -> Limit:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + max(0.0, self._left_s)
        while True:
            now = loop.time()
            if now >= ends_at:
                return Limit.LENGTH
            wait_s = ends_at - now
            if self._silence_s is not None:
                quiet_s = 0.0 if self._busy else now - self._quiet_since
                if quiet_s >= self._silence_s:
                    return Limit.SILENCE
                wait_s = min(wait_s, self._silence_s - quiet_s)
            await asyncio.sleep(wait_s)

    def _on_user(self, event: UserStateChangedEvent) -> None:
        self._note("user", is_busy=event.new_state == "speaking")

    def _on_agent(self, event: AgentStateChangedEvent) -> None:
        self._note("agent", is_busy=event.new_state in ("speaking", "thinking"))

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        del event
        self._quiet_since = asyncio.get_running_loop().time()

    def _note(self, who: str, *, is_busy: bool) -> None:
        was_busy = who in self._busy
        if is_busy:
            self._busy.add(who)
        else:
            self._busy.discard(who)
        if is_busy or was_busy:  # from idle to away is no sound
            self._quiet_since = asyncio.get_running_loop().time()
