"""What the session says of its turns, passed on to whoever has to know."""

from __future__ import annotations

import logging

from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
)
from livekit.agents.llm import ChatMessage

from assistant.audience import Audience
from assistant.listening import Listening
from assistant.remembered_person import RememberedPerson
from log_privacy import personal
from session_context import get_session_user_uuid

logger = logging.getLogger("assistant.conversation")


class Attention:
    """Hears the events of one session: partial transcripts, and turns of both sides.

    Args:
        audience: knows whether anybody listens.
        listening: knows what came before a turn.

    Attributes:
        remembered: the person to remember for, or None.
    """

    def __init__(self, audience: Audience, listening: Listening) -> None:
        self._audience = audience
        self._listening = listening
        self.remembered: RememberedPerson | None = None

    def begin(self, session: AgentSession[None]) -> None:
        """Listen to a session's events."""
        session.on("conversation_item_added", self._on_item)
        session.on("user_input_transcribed", self._on_transcript)

    def end(self, session: AgentSession[None]) -> None:
        """Listen no more."""
        session.off("conversation_item_added", self._on_item)
        session.off("user_input_transcribed", self._on_transcript)

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        if self.remembered is not None:
            self.remembered.recall.hear(event.transcript, is_final=event.is_final)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage):
            return
        if item.role == "assistant":
            self._on_agent_item(item)
        elif item.role == "user":
            self._on_user_item(item)

    def _on_agent_item(self, item: ChatMessage) -> None:
        if not self._audience.hears(item):
            return
        self._listening.note_agent(item)
        if self.remembered is not None:
            self.remembered.hear_agent(item.id, item.text_content or "", item.created_at)

    def _on_user_item(self, item: ChatMessage) -> None:
        self._audience.speaks()
        if self.remembered is not None:
            self.remembered.recall.end_turn()
        text = item.text_content
        if text and text.strip():
            who = {"user_uuid": get_session_user_uuid()}
            logger.info("[USER INPUT]", extra={**who, **personal(text=text)})
            if self.remembered is not None:
                self.remembered.hear(self._listening.turn(item))
