"""What is held of a person outside of the store: in this host's outbox, and in Redis.

Other hosts have outboxes of their own; what they deliver after an erasure the store drops. In
Redis is, for HISTORY_TTL_S, a conversation that was cut off; after an erasure it is not used,
whether or not it could be deleted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import Counter

from config import Settings
from memory.outbox import Entry, OutboxFile, open_outbox
from people.model import Record
from people.people import EraseElsewhere, ExportElsewhere
from sessions import KeptHistories, StateUnreachableError
from storage import StorageUnavailableError

logger = logging.getLogger("people.elsewhere")

_LEFT = Counter("voice_agent_histories_left_by_erasures", "Erasures that could not reach Redis")


def erase_waiting(user: str, generation: int) -> int:
    """Delete what waits of the person, and return how many writes that were."""
    with _outbox() as outbox:
        return 0 if outbox is None else outbox.erase(user, generation=generation)


def export_waiting(user: str) -> list[Record]:
    """Return what waits of the person, what was set aside too."""
    with _outbox() as outbox:
        if outbox is None:
            return []
        return [
            {"kind": entry.kind, "write_id": entry.write_id, **_content(entry)}
            for entry in outbox.entries()
            if entry.user == user
        ]


def erase_history(user: str, generation: int) -> int:
    """Delete a conversation that was kept for the person's next session."""
    del generation
    with _histories() as histories:
        if histories is None:
            return 0
        try:
            return histories.erase(user)
        except StateUnreachableError as error:
            _LEFT.inc()
            logger.warning(
                "Redis is out of reach: what is kept of the last conversation stays there until "
                "its time is over, and is not used",
                extra={"error": str(error)},
            )
            return 0


def export_history(user: str) -> list[Record]:
    """Return a conversation that is kept for the person's next session.

    Raises:
        StorageUnavailableError: nobody can say what is kept.
    """
    with _histories() as histories:
        if histories is None:
            return []
        try:
            text = histories.read(user)
        except StateUnreachableError as error:
            raise StorageUnavailableError(str(error)) from error
    if text is None:
        return []
    try:
        said = json.loads(text)["said"]
    except (ValueError, KeyError, TypeError):
        return [{"unreadable": text}]
    return [each for each in said if isinstance(each, dict)]


def _content(entry: Entry) -> Record:
    try:
        content = json.loads(entry.payload)
    except ValueError:
        content = None
    # Of a damaged row, what is left of it.
    return content if isinstance(content, dict) else {"unreadable": entry.payload}


ALSO_ERASED: Mapping[str, EraseElsewhere] = {
    "outbox": erase_waiting,
    "conversation": erase_history,
}
ALSO_EXPORTED: Mapping[str, ExportElsewhere] = {
    "outbox": export_waiting,
    "conversation": export_history,
}


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
def _histories() -> Iterator[KeptHistories | None]:
    url = Settings.from_environment().sessions.redis_url
    if url is None:
        yield None
        return
    histories = KeptHistories(url)
    try:
        yield histories
    finally:
        histories.close()
