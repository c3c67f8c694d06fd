"""What is said when a connection ends or comes back, as JSON on a channel.

Strict on what is sent; of what is heard, unknown fields are left alone, and a message that is
of no known kind is None.
"""

from __future__ import annotations

import json
import time
from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_LONGEST = 4096
_LATEST_MS = 2**53 - 1
"""JSON numbers beyond are read differently by different readers."""


class EventType(str, Enum):
    """What happened to a connection."""

    DISCONNECTED = "connection_disconnected"
    RECONNECTED = "connection_reconnected"


class Reason(str, Enum):
    """Why a connection ended."""

    CLIENT_DISCONNECT = "client_disconnect"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"


class ConnectionEvent(BaseModel):
    """A connection of a conversation ended or came back.

    Attributes:
        type: which of the two.
        conversation_id: the session's id.
        timestamp_ms: when, milliseconds since the epoch.
        reason: why it had ended.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["connection_disconnected", "connection_reconnected"]
    conversation_id: str = Field(min_length=1, max_length=200)
    timestamp_ms: int = Field(ge=0, le=_LATEST_MS, strict=True)
    reason: Reason

    def as_json(self) -> str:
        """Return the event as it goes over the channel."""
        return self.model_dump_json()


def disconnected(
    conversation_id: str, reason: Reason, *, at_ms: int | None = None
) -> ConnectionEvent:
    """Return the event that a conversation's connection ended.

    Args:
        conversation_id: the session's id.
        reason: why.
        at_ms: when, in milliseconds since the epoch; None for just now.
    """
    return _event(EventType.DISCONNECTED, conversation_id, reason, at_ms)


def reconnected(conversation_id: str, reason: Reason) -> ConnectionEvent:
    """Return the event that a connection has just come back, with why it had ended."""
    return _event(EventType.RECONNECTED, conversation_id, reason)


def read_event(text: str | bytes) -> ConnectionEvent | None:
    """Read an event as it was heard, or return None for what is none."""
    try:
        if len(text) > _LONGEST:
            return None
        return ConnectionEvent.model_validate(json.loads(text))
    except (ValidationError, ValueError, RecursionError):
        return None


def _event(
    kind: EventType, conversation_id: str, reason: Reason, at_ms: int | None = None
) -> ConnectionEvent:
    return ConnectionEvent.model_validate(
        {
            "type": kind.value,
            "conversation_id": conversation_id,
            "timestamp_ms": int(time.time() * 1000) if at_ms is None else at_ms,
            "reason": reason,
        }
    )
