"""Whether somebody listens, and what of the agent's words they can have heard."""

from __future__ import annotations

import math
import time
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents.llm import ChatContext, ChatMessage

from assistant.heard import cut


class Audience:
    """Keeps the history of a session to what was heard. Bind it when the session starts."""

    def __init__(self) -> None:
        self._agent: Agent | None = None
        self._session: AgentSession[Any] | None = None
        self._heard_until = math.inf
        self._spoke_at = 0.0
        self._was_cut = False
        self._unheard: set[str] = set()

    @property
    def is_here(self) -> bool:
        """Whether somebody listens."""
        return self._heard_until == math.inf

    def bind(self, agent: Agent, session: AgentSession[Any]) -> None:
        """Say which session it is."""
        self._agent, self._session = agent, session

    def speaks(self) -> None:
        """Note that the person says something: until now they were there."""
        self._spoke_at = time.time()

    def leaves(self, heard_until: float) -> None:
        """Note that nobody listens since then, in seconds since the epoch."""
        if not self.is_here:
            return
        self._heard_until = max(heard_until, self._spoke_at)
        if self._session is None:
            return
        if self._session.agent_state in ("speaking", "thinking"):
            self._was_cut = True
        for item in self._session.history.items:
            if isinstance(item, ChatMessage) and item.role == "assistant":
                self.hears(item)

    async def comes_back(self) -> bool:
        """Note that somebody listens again; returns whether the agent had been cut off."""
        was_cut = self._was_cut
        self._heard_until, self._was_cut = math.inf, False
        await self._tidy()
        return was_cut

    def hears(self, answer: ChatMessage) -> bool:
        """Leave of an answer what was heard of it; returns whether anything was."""
        if not cut(answer, self._heard_until):
            self._was_cut = True
        if not answer.text_content:
            self._unheard.add(answer.id)
            return False
        return True

    def heard(self, context: ChatContext) -> ChatContext:
        """Return a copy of a context without what nobody heard."""
        copy = context.copy()
        copy.items = [item for item in copy.items if item.id not in self._unheard]
        return copy

    async def _tidy(self) -> None:
        if not self._unheard or self._agent is None or self._session is None:
            return
        history = self._session.history.items
        history[:] = [item for item in history if item.id not in self._unheard]
        await self._agent.update_chat_ctx(self.heard(self._agent.chat_ctx))
        self._unheard.clear()
