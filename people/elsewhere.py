"""What is held of a person outside of the store: on this host's disk, and in Redis.

Other hosts have outboxes of their own; what they deliver after an erasure the store drops. In
Redis is, for HISTORY_TTL_S, a conversation that was cut off; after an erasure it is not used,
whether or not it could be deleted. There too, for as long as they last, are live sessions.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from prometheus_client import Counter

from config import Settings
from memory.outbox import Entry, OutboxFile, open_outbox
from memory.outbox.damaged import entries_of, erase_from_copies
from people.model import Record
from people.people import EraseElsewhere, ExportElsewhere
from sessions import KeptHistories, LiveSessions, StateUnreachableError
from storage import StorageUnavailableError

logger = logging.getLogger("people.elsewhere")

_P = TypeVar("_P", KeptHistories, LiveSessions)

_LEFT = Counter(
    "voice_agent_left_by_erasures", "Erasures that could not reach Redis, by place", ["place"]
)


def is_waiting(user: str) -> bool:
    """Return whether anything of the person waits to be delivered; what is set aside does not."""
    with _outbox() as outbox:
        return outbox is not None and outbox.is_waiting(user)


def erase_waiting(user: str, generation: int) -> int:
    """Delete what waits of the person, and return how many writes that were."""
    with _outbox() as outbox:
        return 0 if outbox is None else outbox.erase(user, generation=generation)


def export_waiting(user: str) -> list[Record]:
    """Return what waits of the person, what was set aside too."""
    with _outbox() as outbox:
        if outbox is None:
            return []
        return [_record(entry) for entry in outbox.entries() if entry.user == user]


def erase_damaged(user: str, generation: int) -> int:
    """Delete what damaged outbox files hold of the person, and return how many writes that were."""
    del generation
    return erase_from_copies(_data_dir(), user)


def export_damaged(user: str) -> list[Record]:
    """Return what can be read of the person in damaged outbox files."""
    return [_record(entry) for entry in entries_of(_data_dir(), user)]


def erase_history(user: str, generation: int) -> int:
    """Delete a conversation that was kept for the person's next session."""
    del generation
    return _erased(
        KeptHistories,
        user,
        "Redis is out of reach: what is kept of the last conversation stays there until its time "
        "is over, and is not used",
    )


def export_history(user: str) -> list[Record]:
    """Return a conversation that is kept for the person's next session.

    Raises:
        StorageUnavailableError: nobody can say what is kept.
    """
    with _held(KeptHistories) as histories:
        text = None if histories is None else histories.read(user)
    if text is None:
        return []
    try:
        said = json.loads(text)["said"]
    except (ValueError, KeyError, TypeError):
        return [{"unreadable": text}]
    return [each for each in said if isinstance(each, dict)]


def erase_sessions(user: str, generation: int) -> int:
    """Delete what is noted of the person's live sessions, but for what those need to go on."""
    del generation
    return _erased(
        LiveSessions,
        user,
        "Redis is out of reach: what is noted of live sessions stays there until they end",
    )


def export_sessions(user: str) -> list[Record]:
    """Return what is noted of the person's live sessions.

    Raises:
        StorageUnavailableError: nobody can say what is noted.
    """
    with _held(LiveSessions) as sessions:
        return [] if sessions is None else sessions.read(user)


def _record(entry: Entry) -> Record:
    try:
        content = json.loads(entry.payload)
    except (TypeError, ValueError):
        content = None
    # Of a damaged row, what is left of it.
    said = content if isinstance(content, dict) else {"unreadable": str(entry.payload)}
    return {"kind": entry.kind, "write_id": entry.write_id, **said}


ALSO_ERASED: Mapping[str, EraseElsewhere] = {
    "outbox": erase_waiting,
    "conversation": erase_history,
    "sessions": erase_sessions,
    "damaged_outbox": erase_damaged,
}
ALSO_EXPORTED: Mapping[str, ExportElsewhere] = {
    "outbox": export_waiting,
    "damaged_outbox": export_damaged,
    "conversation": export_history,
    "sessions": export_sessions,
}


def _data_dir() -> Path:
    return Settings.from_environment().store.data_dir


@contextmanager
def _outbox() -> Iterator[OutboxFile | None]:
    settings = Settings.from_environment().store
    if not (settings.data_dir / "outbox.db").exists():
        yield None
        return
    outbox = open_outbox(settings)
    try:
        yield outbox
    finally:
        outbox.close()


@contextmanager
def _held(place: type[_P]) -> Iterator[_P | None]:
    url = Settings.from_environment().sessions.redis_url
    if url is None:
        yield None
        return
    with place(url) as held:
        try:
            yield held
        except StateUnreachableError as error:
            raise StorageUnavailableError(str(error)) from error


def _erased(place: type[_P], user: str, where_not: str) -> int:
    try:
        with _held(place) as held:
            return 0 if held is None else held.erase(user)
    except StorageUnavailableError as error:
        _LEFT.labels(place.__name__).inc()
        logger.warning(where_not, extra={"error": str(error)})
        return 0
