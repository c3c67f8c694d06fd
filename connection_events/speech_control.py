"""Orders to the speech of a conversation, on a channel of their own."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connection_events.broadcast import Broadcast
from connection_events.metrics import HANDLER_FAILURES, HEARD

logger = logging.getLogger("connection_events")

_LONGEST = 4096

StopHandler = Callable[[str], Awaitable[None]]
"""Is told the id of the conversation whose speech is to stop."""


class StopSpeech(BaseModel):
    """The order that a conversation's agent stops speaking.

    Attributes:
        type: which order it is.
        conversation_id: the session's id.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["stop"] = "stop"
    conversation_id: str = Field(min_length=1, max_length=200)


def read_stop(text: str | bytes) -> StopSpeech | None:
    """Read an order as it was heard, or return None for what is none."""
    try:
        if len(text) > _LONGEST:
            return None
        given = json.loads(text)
        if not isinstance(given, dict) or "type" not in given:
            return None
        return StopSpeech.model_validate(given)
    except (ValidationError, ValueError, RecursionError):
        return None


class SpeechControl:
    """Says and hears that a conversation's agent is to stop speaking.

    Args:
        broadcast: carries it, and is closed with this.
        name: the channel's name there.
    """

    def __init__(self, broadcast: Broadcast, name: str) -> None:
        self._broadcast = broadcast
        self._name = name

    async def stop(self, conversation_id: str) -> bool:
        """Order a stop; False where it could not be said, which is logged and counted."""
        order = StopSpeech(conversation_id=conversation_id)
        return await self._broadcast.publish(self._name, order.model_dump_json())

    def listening(self, handler: StopHandler) -> AbstractAsyncContextManager[None]:
        """Tell a handler every order from the beginning of the ``async with`` to its end."""

        async def told(text: str | bytes) -> None:
            await _tell(handler, text)

        return self._broadcast.listening(self._name, told)

    async def aclose(self) -> None:
        """Give back what is held."""
        await self._broadcast.aclose()


async def _tell(handler: StopHandler, text: str | bytes) -> None:
    order = read_stop(text)
    if order is None:
        HEARD.labels("unreadable").inc()
        logger.warning("a message on the channel for speech is none of ours and is ignored")
        return
    HEARD.labels("stop").inc()
    try:
        await handler(order.conversation_id)
    except Exception as error:
        HANDLER_FAILURES.labels(type(error).__name__).inc()
        logger.exception(
            "stopping a conversation's speech failed",
            extra={"conversation_id": order.conversation_id},
        )
