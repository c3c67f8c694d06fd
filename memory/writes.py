"""What every writer of a session's memories does alike: name the write, and log it."""

from __future__ import annotations

import logging
import uuid

from log_privacy import personal
from memory.model import TURN_KEY, Memory
from session_context import get_session_user_uuid

logger = logging.getLogger("memory.recorder")


def write_id(session_id: str, item_id: str, kind: str, ordinal: int = 0) -> str:
    """Return the id of a write: the same for the same item of the same person's session.

    Args:
        session_id: the session.
        item_id: the conversation item that causes the write.
        kind: what the item causes, where it causes several writes.
        ordinal: the write's place among those of its kind, from 0.
    """
    name = f"voice-agent:{get_session_user_uuid()}:{session_id}:{item_id}:{kind}:{ordinal}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def log_stored(memory: Memory) -> None:
    """Say that a memory was stored; its key only where personal data may be logged."""
    turn = memory.key.startswith(TURN_KEY)
    key = {"key": memory.key} if turn else personal(key=memory.key)
    extra = {"user_uuid": memory.user, "category": memory.category.value, **key}
    logger.info("[MEMORY STORED]", extra={**extra, **personal(text=memory.value)})
