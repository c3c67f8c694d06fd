"""Everything held about a person as one JSON document (docs/export.schema.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from memory import Memory
from memory.transcript import TranscriptTurn
from people.model import Record
from people.store import PeopleStore

FORMAT = "voice-agent-memory/export/1"
"""Changes when a reader of the old format could no longer read the new one."""


def export_parts(
    store: PeopleStore, user: str, elsewhere: Mapping[str, Iterable[Record]]
) -> Iterator[str]:
    """Yield the document as pieces of JSON text, a memory at a time.

    Args:
        store: where most of it is held.
        user: the person.
        elsewhere: what other places hold, by their names.
    """
    standing = store.standing(user)
    head = {
        "format": FORMAT,
        "exported_at": datetime.now(timezone.utc).isoformat(),
        "user": user,
        "generation": standing.generation,
        "remembered": standing.remembered,
        **store.records(user),
    }
    yield json.dumps(head, ensure_ascii=False, indent=2).removesuffix("\n}")
    yield ',\n  "memories": '
    yield from _array(map(memory_record, store.memories(user)), "  ")
    yield ',\n  "turns": '
    yield from _array(map(turn_record, store.transcripts.turns(user)), "  ")
    yield ',\n  "elsewhere": {'
    for index, (name, records) in enumerate(elsewhere.items()):
        yield f"{',' if index else ''}\n    {json.dumps(name)}: "
        yield from _array(records, "    ")
    yield "\n  }\n}\n"


def memory_record(memory: Memory) -> Record:
    """Return a memory as the document, and the command's lines, have it."""
    return {
        "id": memory.id,
        "category": memory.category.value,
        "key": memory.key,
        "value": memory.value,
        "created_at": memory.created_at.isoformat(),
        "superseded_at": _iso(memory.superseded_at),
        "session_id": memory.session_id,
        "place": memory.place,
        "generation": memory.generation,
        "confidence": memory.confidence,
        "source_id": memory.source_id,
        "expires_at": _iso(memory.expires_at),
    }


def turn_record(turn: TranscriptTurn) -> Record:
    """Return a turn of a transcript as the document has it."""
    return {**asdict(turn), "said_at": turn.said_at.isoformat()}


def _array(records: Iterable[Mapping[str, Any]], indent: str) -> Iterator[str]:
    yield "["
    written = False
    for record in records:
        separator = "," if written else ""
        yield f"{separator}\n{indent}  {json.dumps(record, ensure_ascii=False)}"
        written = True
    yield f"\n{indent}]" if written else "]"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
