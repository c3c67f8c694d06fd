"""Says in the state of sessions whether the agent speaks."""

from __future__ import annotations

import asyncio
import logging

from livekit.agents import AgentSession, AgentStateChangedEvent
from prometheus_client import Counter

from connection_events.backoff import Backoff
from sessions import SessionState, StateUnreachableError
from worker.owned_tasks import end_tasks
from worker.release import Stage

logger = logging.getLogger("worker.speaking_flag")

_FAILURES = Counter(
    "voice_agent_speaking_flag_failures", "Times when nobody could be told whether the agent speaks"
)


class SpeakingFlag:
    """Keeps the flag as the agent is: the latest word holds, and none waits for another.

    Args:
        state: the state of sessions.
        session_id: the session.
        ttl_s: seconds for which a word holds.
    """

    def __init__(self, state: SessionState, session_id: str, *, ttl_s: int) -> None:
        self._state = state
        self._session_id = session_id
        self._ttl_s = ttl_s
        self._wanted = False
        self._lock = asyncio.Lock()
        self._said: bool | None = None
        self._saying: asyncio.Task[None] | None = None

    def watch(self, session: AgentSession[None]) -> None:
        """Begin to follow a session."""
        session.on("agent_state_changed", self._on_state)

    async def lower(self) -> None:
        """Say that the agent does not speak, and return when that is said.

        Raises:
            StateUnreachableError: nobody could be told.
        """
        self._wanted = False
        try:
            await self._say()
        except StateUnreachableError:
            self._say_until_said()
            raise

    async def aclose(self) -> None:
        """Give up what was not said yet."""
        if self._saying is not None:
            await end_tasks([self._saying])

    def _on_state(self, event: AgentStateChangedEvent) -> None:
        speaks = event.new_state == "speaking"
        if speaks == self._wanted:
            return
        self._wanted = speaks
        self._say_until_said()

    def _say_until_said(self) -> None:
        if self._saying is None or self._saying.done():
            self._saying = asyncio.create_task(self._keep_saying(), name="speaking flag")

    async def _keep_saying(self) -> None:
        backoff = Backoff()
        while self._said != self._wanted:
            try:
                await self._say()
            except StateUnreachableError as error:
                _FAILURES.inc()
                logger.debug("nobody knows whether the agent speaks", extra={"error": str(error)})
                await asyncio.sleep(backoff.next_s())

    async def _say(self) -> None:
        async with self._lock:
            on = self._wanted
            if on == self._said:
                return
            self._said = None
            await self._state.conversations.set_speaking(self._session_id, on, ttl_s=self._ttl_s)
            self._said = on


class FlaggedStage:
    """A stage of speech whose release also lowers the flag that the agent speaks.

    Args:
        stage: of speech.
        flag: follows the same session.
    """

    def __init__(self, stage: Stage, flag: SpeakingFlag) -> None:
        self._stage = stage
        self._flag = flag

    async def release(self) -> None:
        """See `Stage.release`."""
        results = await asyncio.gather(
            self._stage.release(), self._flag.lower(), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def resume(self) -> None:
        """See `Stage.resume`."""
        await self._stage.resume()
