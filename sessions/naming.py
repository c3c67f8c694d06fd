"""How sessions and their rooms are named, and what a dispatch tells the job of them."""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid

from sessions.model import SessionRecord

ROOM_PREFIX = "session_"
ROOM_MARK = "voice-agent-memory"
"""What the metadata of our rooms say, so that nobody else's room is ever touched."""

_NAMESPACE_ROOM = re.compile(
    rf"{ROOM_PREFIX}([0-9a-f]{{8}}-[0-9a-f]{{4}}-4[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}})"
)


def now_ms() -> int:
    """Return the time, in milliseconds since the epoch."""
    return int(time.time() * 1000)


def new_session_id() -> str:
    """Return ``session_<ms>_<random>``, with 128 random bits; the room has the same name."""
    return f"{ROOM_PREFIX}{now_ms()}_{secrets.token_hex(16)}"


def new_namespace_session_id() -> str:
    """Return the id of a session in the second style: a uuid4."""
    return str(uuid.uuid4())


def namespace_room(session_id: str) -> str:
    """Return the room of a session in the second style."""
    return f"{ROOM_PREFIX}{session_id}"


def session_of_room(room: str) -> str | None:
    """Return the id of the session for which we made a room of this name.

    None where the name is not one that we make by ourselves: such a room's metadata, or the
    state of sessions, may still say whose it is.
    """
    if not room.startswith(ROOM_PREFIX):
        return None
    in_namespace = _NAMESPACE_ROOM.fullmatch(room)
    return in_namespace[1] if in_namespace else room


def room_metadata(record: SessionRecord) -> str:
    """Return the metadata that marks a room as ours, as JSON; participants can read it."""
    return json.dumps({"by": ROOM_MARK, "session": record.id, "creator": record.creator})


def read_room_metadata(text: str) -> dict[str, str] | None:
    """Return what `room_metadata` wrote, or None for a room that is not ours."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict) or given.get("by") != ROOM_MARK:
        return None
    return {name: str(value) for name, value in given.items()}


def dispatch_metadata(record: SessionRecord, *, attempt: int) -> str:
    """Return what the job is told of its session, as JSON.

    Args:
        record: the session.
        attempt: the number of this dispatch, from 1 on.
    """
    told = {
        "sessionId": record.id,
        "identity": record.identity,
        "voiceId": record.voice_id,
        "openingLine": record.opening_line,
        "userName": record.user_name,
        "creator": record.creator,
        "style": record.style.value,
        "attempt": attempt,
    }
    return json.dumps({name: value for name, value in told.items() if value != ""})
