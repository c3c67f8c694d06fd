"""Tells everybody in the room that the agent was cut off."""

from __future__ import annotations

import asyncio
import logging

from livekit import rtc
from livekit.agents import AgentSession, AgentStateChangedEvent
from livekit.agents.voice import SpeechHandle
from prometheus_client import Counter

from connection_events.interruptions import INTERRUPTIONS
from worker.owned_tasks import end_tasks

logger = logging.getLogger("worker.interruptions")

_FAILURES = Counter(
    "voice_agent_interruption_failures", "Interruptions of which nobody could be told"
)


class Interruptions:
    """Counts speech that was cut off, whoever did it, in an attribute of the agent.

    Speech that nobody has heard any of yet does not count.

    Args:
        room: in which the agent speaks.
    """

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._session: AgentSession[None] | None = None
        self._count = 0
        self._telling: asyncio.Task[None] | None = None

    def watch(self, session: AgentSession[None]) -> None:
        """Begin to follow a session."""
        self._session = session
        session.on("agent_state_changed", self._on_state)

    async def aclose(self) -> None:
        """Stop following, and give up what was not told yet."""
        if self._session is not None:
            self._session.off("agent_state_changed", self._on_state)
            self._session = None
        if self._telling is not None:
            await end_tasks([self._telling])

    def _on_state(self, event: AgentStateChangedEvent) -> None:
        if event.new_state != "speaking" or self._session is None:
            return
        if (speech := self._session.current_speech) is not None:
            speech.add_done_callback(self._on_done)  # once, also where it was held back before

    def _on_done(self, speech: SpeechHandle) -> None:
        if self._session is None or not speech.interrupted:
            return
        self._count += 1
        if self._telling is not None:
            self._telling.cancel()  # the newest count says it all
        self._telling = asyncio.create_task(self._tell(), name="interruptions")

    async def _tell(self) -> None:
        if not self._room.isconnected():
            return
        try:
            await self._room.local_participant.set_attributes({INTERRUPTIONS: str(self._count)})
        except Exception:
            _FAILURES.inc()
            logger.exception("[Session] nobody could be told that the agent was cut off")
