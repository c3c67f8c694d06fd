"""What the gate must know of a turn: what the agent had just said, and what recall brought up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from livekit.agents.llm import ChatMessage

from memory import Memory
from memory.recorder import UserTurn

_MOST_AGENT_CHARACTERS = 2_000
_RECALLS_KEPT = 3
"""Turns back; later nobody says by chance word for word what was recalled."""


class Listening:
    """Follows one conversation from item to item."""

    def __init__(self) -> None:
        self._agent_said = ""
        self._agent_speaks = False
        self._recalled: deque[tuple[str, ...]] = deque(maxlen=_RECALLS_KEPT)

    def note_agent(self, message: ChatMessage) -> None:
        """Take what the agent said; messages without a turn between them are one."""
        text = message.text_content or ""
        before = f"{self._agent_said} " if self._agent_speaks else ""
        self._agent_said = (before + text)[-_MOST_AGENT_CHARACTERS:]
        self._agent_speaks = True

    def note_recalled(self, memories: Sequence[Memory]) -> None:
        """Take what recall gave the model for a reply."""
        values = tuple(memory.value for memory in memories)
        if values and values not in self._recalled:
            self._recalled.append(values)

    def forget(self) -> None:
        """Begin anew: what the person told is told for the first time, and nothing is an echo."""
        self._agent_said = ""
        self._agent_speaks = False
        self._recalled.clear()

    def turn(self, message: ChatMessage) -> UserTurn:
        """Return the person's message with what came before it."""
        self._agent_speaks = False
        return UserTurn(
            text=message.text_content or "",
            item_id=message.id,
            said_at=message.created_at,
            agent_said=self._agent_said,
            confidence=message.transcript_confidence,
            recalled=tuple(value for values in self._recalled for value in values),
        )
