"""How the stages of a running session stop for somebody who is gone, and go on for them.

A stage that was released holds no stream to a provider and asks nothing of one. The session
itself stays, with its history.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from livekit.agents import Agent, AgentSession

from assistant.processors import HEARING, SPEAKING, THINKING, ActiveProcessors


class SessionStage(Protocol):
    """A part of a session. Both calls may come at any time, and twice."""

    async def release(self) -> None:
        """Stop, and free what is held."""
        ...

    async def resume(self) -> None:
        """Work again."""
        ...


class HearingStage:
    """Speech recognition and voice detection.

    Args:
        session: runs.
        agent: the session's.
        processors: where the session's open streams are noted.
    """

    def __init__(
        self, session: AgentSession[Any], agent: Agent, processors: ActiveProcessors
    ) -> None:
        self._session = session
        self._agent = agent
        self._processors = processors

    async def release(self) -> None:
        """Hear nothing, and close both streams; what was half said is not answered."""
        self._agent.update_options(stt=None, vad=None)
        self._session.input.set_audio_enabled(False)
        with suppress(RuntimeError):  # as the framework says that it has ended, or not begun
            self._session.clear_user_turn()
        await self._processors.until_closed(HEARING)

    async def resume(self) -> None:
        """Open both streams, and hear."""
        if self._session.stt is None or not _runs(self._agent):
            return
        self._session.input.set_audio_enabled(True)
        self._agent.update_options(stt=self._session.stt, vad=self._session.vad)


class ThinkingStage:
    """The language model. Args as of `HearingStage`."""

    def __init__(self, session: AgentSession[Any], processors: ActiveProcessors) -> None:
        self._session = session
        self._processors = processors

    async def release(self) -> None:
        """Cancel what is being generated, and what waits to be; the history stays."""
        await _interrupt(self._session)
        await self._processors.until_closed(THINKING)

    async def resume(self) -> None:
        """Nothing: the next turn is thought about."""


class SpeakingStage:
    """Speech synthesis.

    Args:
        session: runs.
        agent: the session's.
        processors: where the session's open streams are noted.
        on_resume: called when somebody listens again.
    """

    def __init__(
        self,
        session: AgentSession[Any],
        agent: Agent,
        processors: ActiveProcessors,
        *,
        on_resume: Callable[[], Awaitable[None]],
    ) -> None:
        self._session = session
        self._agent = agent
        self._processors = processors
        self._on_resume = on_resume

    async def release(self) -> None:
        """Fall silent, and drop what was to be said."""
        await _interrupt(self._session)
        await self._processors.until_closed(SPEAKING)

    async def resume(self) -> None:
        """Speak, beginning with whatever is due to somebody who was cut off."""
        if _runs(self._agent):
            await self._on_resume()


async def _interrupt(session: AgentSession[Any]) -> None:
    try:
        interrupted = session.interrupt(force=True)
    except RuntimeError:  # with force it says only that the session has ended, or not begun
        return
    await interrupted


def _runs(agent: Agent) -> bool:
    try:
        return agent.session is not None
    except RuntimeError:  # as the framework says that its session has ended, or not begun
        return False
