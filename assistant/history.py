"""A conversation as it is kept for the person's next session, and read there.

What both sides said, as text; nothing of tools, and nothing of the instructions. It is tied to
the person's generation: after an erasure it is not used.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Literal

from livekit.agents.llm import ChatContext, ChatItem, ChatMessage
from pydantic import BaseModel, ConfigDict, Field, ValidationError

logger = logging.getLogger("assistant.history")

_MOST_MESSAGES = 40
_MOST_CHARACTERS = 24_000


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True)

    role: Literal["user", "assistant"]
    text: str
    at: float
    interrupted: bool = False


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)

    generation: int = Field(ge=0)
    said: list[_Said]


@dataclass(frozen=True)
class History:
    """What was said in a conversation that was cut off.

    Attributes:
        messages: what both sides said, oldest first.
    """

    messages: tuple[ChatMessage, ...] = ()

    def as_context(self) -> ChatContext:
        """Return what a session begins with that goes on with it."""
        return ChatContext([*self.messages])


def written(items: list[ChatItem], generation: int) -> str | None:
    """Return what is kept of a conversation, as JSON; None where nothing was said by the person.

    Args:
        items: the agent's context, oldest first.
        generation: the person's, as the session knows it.
    """
    said = [
        _Said(
            role="user" if item.role == "user" else "assistant",
            text=item.text_content or "",
            at=item.created_at,
            interrupted=item.interrupted,
        )
        for item in items
        if isinstance(item, ChatMessage) and item.role in ("user", "assistant")
    ]
    said = [each for each in said if each.text.strip()]
    if not any(each.role == "user" for each in said):
        return None
    return _Kept(generation=generation, said=_latest(said)).model_dump_json()


def read(text: str, generation: int | None) -> History | None:
    """Return what `written` wrote; None where it is not of the person's present generation."""
    try:
        kept = _Kept.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError):
        logger.warning("a kept conversation cannot be read, and is not used")
        return None
    if generation is None or kept.generation != generation:
        return None
    return History(
        tuple(
            ChatMessage(
                role=each.role,
                content=[each.text],
                created_at=each.at,
                interrupted=each.interrupted,
            )
            for each in kept.said
        )
    )


def _latest(said: list[_Said]) -> list[_Said]:
    kept: list[_Said] = []
    left = _MOST_CHARACTERS
    for each in reversed(said[-_MOST_MESSAGES:]):
        left -= len(each.text)
        if left < 0 and kept:
            break
        kept.append(each)
    return kept[::-1]
