"""Memories as lines of JSON, one a line: ``{"category", "key", "value", "created_at", ...}``."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from pydantic import TypeAdapter, ValidationError

from memory import Memory, MemoryInputError, NewMemory
from storage.text import check_storable

MAX_SESSION_ID_LENGTH = 200

_NEEDED = ("category", "key", "value")
_OPTIONAL = ("created_at", "session_id", "id", "confidence", "source_id", "expires_at")
_FOLLOW = ("superseded_at", "place", "generation")
"""What an export says as well, and what follows from the rest."""

_TIME = TypeAdapter(datetime)
_DATE_FIRST = re.compile(r"\d{4}-\d\d-\d\d([T ]|\Z)")


@dataclass
class Lines:
    """What was read.

    Attributes:
        memories: of the good lines, in their order.
        bad: the number of each bad line, from 1, and what is wrong with it.
    """

    memories: list[NewMemory] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)


def read_lines(lines: Iterable[bytes], user: str, now: datetime) -> Lines:
    """Read memories; a blank line is none.

    A line without an id gets one made from the person and what it says, so that the same
    file once more changes nothing. Lines that say the same are told apart by their count. A
    time without a zone is in UTC, and a date alone is its midnight.

    Args:
        lines: UTF-8, with or without line ends.
        user: whose memories they are.
        now: when lines without created_at are told, one microsecond after the other.
    """
    read = Lines()
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if not text:
                continue
            record = _record(text)
            content = json.dumps(record, sort_keys=True)
            seen[content] += 1
            told_at = now + timedelta(microseconds=number)
            name = f"voice-agent:{user}:import:{content}:{seen[content]}"
            read.memories.append(
                _memory(record, told_at, str(uuid.uuid5(uuid.NAMESPACE_URL, name)))
            )
        except UnicodeDecodeError:
            read.bad.append((number, "it is not UTF-8"))
        except MemoryInputError as error:
            read.bad.append((number, str(error)))
    return read


def line_of(memory: Memory, *, history: bool = False) -> dict[str, Any]:
    """Return a memory as a line; of a history, with the end of each value."""
    end = memory.superseded_at
    line = {
        "category": memory.category.value,
        "key": memory.key,
        "value": memory.value,
        "created_at": memory.created_at.isoformat(),
        "session_id": memory.session_id,
    }
    return {**line, "superseded_at": end and end.isoformat()} if history else line


def _record(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise MemoryInputError("it is not JSON") from None
    if not isinstance(record, dict):
        raise MemoryInputError("it is not a JSON object")
    for name in _NEEDED:
        if name not in record:
            raise MemoryInputError(f"{name} is missing")
    unknown = sorted(set(record) - {*_NEEDED, *_OPTIONAL, *_FOLLOW})
    if unknown:
        raise MemoryInputError(f"unknown field {json.dumps(unknown[0])}")
    return record


def _memory(record: dict[str, Any], told_at: datetime, write_id: str) -> NewMemory:
    confidence, session_id = record.get("confidence"), record.get("session_id")
    if confidence is not None and (
        isinstance(confidence, bool) or not isinstance(confidence, (int, float))
    ):
        raise MemoryInputError("the confidence must be between 0 and 1")
    if session_id is not None:
        check_storable(session_id, "session_id", MAX_SESSION_ID_LENGTH, MemoryInputError)
    return NewMemory(
        category=record["category"],
        key=record["key"],
        value=record["value"],
        created_at=_time(record, "created_at") or told_at,
        id=write_id if record.get("id") is None else record["id"],
        session_id=session_id,
        confidence=confidence,
        source_id=record.get("source_id"),
        expires_at=_time(record, "expires_at"),
    )


def _time(record: dict[str, Any], name: str) -> datetime | None:
    text = record.get(name)
    if text is None:
        return None
    try:
        if isinstance(text, str) and _DATE_FIRST.match(text):
            read = _TIME.validate_strings(text)
            if read.tzinfo is None:
                return read.replace(tzinfo=timezone.utc)
            return read.astimezone(timezone.utc)
    except (ValidationError, OverflowError):
        pass
    raise MemoryInputError(f"{name} must be an ISO 8601 time, such as 2026-05-08T12:00:00+00:00")
