"""What is held of a person outside of the store: what waits for it in this host's outbox.

Other hosts have outboxes of their own; what they deliver after an erasure the store drops.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from config import Settings
from memory.outbox import Entry, OutboxFile, open_outbox
from people.model import Record
from people.people import EraseElsewhere, ExportElsewhere


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


def _content(entry: Entry) -> Record:
    try:
        content = json.loads(entry.payload)
    except ValueError:
        content = None
    # Of a damaged row, what is left of it.
    return content if isinstance(content, dict) else {"unreadable": entry.payload}


ALSO_ERASED: Mapping[str, EraseElsewhere] = {"outbox": erase_waiting}
ALSO_EXPORTED: Mapping[str, ExportElsewhere] = {"outbox": export_waiting}


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
