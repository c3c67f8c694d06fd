"""What a memory is, and what may be stored as one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import NamedTuple

from storage.text import check_storable

TURN_KEY = "user_input_"
"""What the keys of turns begin with; the millisecond in which they were said follows."""

MAX_KEY_LENGTH = 200
MAX_VALUE_LENGTH = 10_000
"""Characters. The database checks the same bounds (migrations/0002_memory.sql)."""


class MemoryInputError(ValueError):
    """Base of what a caller can get wrong about a memory; the text says what to change."""


class Category(str, Enum):
    """What a memory is about."""

    FACT = "FACT"
    GOAL = "GOAL"
    INTEREST = "INTEREST"
    PREFERENCE = "PREFERENCE"
    OPINION = "OPINION"
    EXPERIENCE = "EXPERIENCE"
    PLAN = "PLAN"
    RELATIONSHIP = "RELATIONSHIP"
    CAMPAIGNS = "CAMPAIGNS"
    LORE = "LORE"
    PRESENTATION = "PRESENTATION"

    @classmethod
    def of(cls, name: str) -> Category:
        """Return the category of that name in any case; an unknown name is a FACT."""
        if not isinstance(name, str):
            raise MemoryInputError("the category is not text; use FACT, GOAL, INTEREST, ...")
        try:
            return cls(name.strip().upper())
        except ValueError:
            return cls.FACT


class Position(NamedTuple):
    """A place in lists of memories, which are newest first; later positions are newer.

    Attributes:
        told_at: when the memory there was told, UTC.
        id: its write's id.
    """

    told_at: datetime
    id: str


@dataclass(frozen=True)
class Memory:
    """A value that a person's memory holds or held.

    Attributes:
        id: the id of the write that made it; the same write twice is one memory.
        user: the person's uuid.
        category: what it is about.
        key: its name within the category.
        value: what was told.
        created_at: when it was told, UTC.
        superseded_at: when a later value took its place; None while it is current.
        session_id: the session in which it was told, if in one.
        place: its position among the memories of that session, from 1.
        generation: how often the person had been erased when it was told.
        confidence: how sure we are of it, 0 to 1; None where nobody judged.
        source_id: the write that it was derived from, if from one.
        expires_at: when it stops to be true; None where it lasts.
    """

    id: str
    user: str
    category: Category
    key: str
    value: str
    created_at: datetime
    superseded_at: datetime | None = None
    session_id: str | None = None
    place: int | None = None
    generation: int = 0
    confidence: float | None = None
    source_id: str | None = None
    expires_at: datetime | None = None

    @property
    def position(self) -> Position:
        """Where it stands in lists."""
        return Position(self.created_at, self.id)


@dataclass(frozen=True)
class NewMemory:
    """A memory to be stored; checked when it is made.

    Attributes:
        category: what it is about; a name is looked up, an unknown one is a FACT.
        key: 1 to 200 characters.
        value: 1 to 10 000 characters.
        created_at: when it was told, with a time zone.
        id: a uuid; give the same one when the same write is sent again.
        session_id: the session in which it is told.
        next_free_key: the key ends in a number, which moves on while the key is taken, so
            that two things told in one millisecond are both kept.
        generation: the person's, as `session_context` knew it when they told this. The store
            drops what is older than the person's last erasure; None means told now.
        confidence: how sure we are of it, 0 to 1.
        source_id: the write that it was derived from.
        expires_at: when it stops to be true, with a time zone. From then on no read but
            history gives it.

    Raises:
        MemoryInputError: a value is empty, too long, or not storable text.
    """

    category: Category
    key: str
    value: str
    created_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    session_id: str | None = None
    next_free_key: bool = False
    generation: int | None = None
    confidence: float | None = None
    source_id: str | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "category", Category.of(self.category))
        _check_text("key", self.key, MAX_KEY_LENGTH)
        _check_text("value", self.value, MAX_VALUE_LENGTH)
        object.__setattr__(self, "id", check_write_id(self.id))
        if self.source_id is not None:
            object.__setattr__(self, "source_id", check_write_id(self.source_id))
        for name in ("created_at", "expires_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise MemoryInputError(f"{name} has no time zone; give it one")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise MemoryInputError("the confidence must be between 0 and 1")
        if self.next_free_key and self.key[-1:] not in "0123456789":
            raise MemoryInputError("a key that may move on must end in a number")


def check_key(key: str) -> str:
    """Return the key if it can name a memory.

    Raises:
        MemoryInputError: it is empty, too long, or not storable text.
    """
    return _check_text("key", key, MAX_KEY_LENGTH)


def check_write_id(text: str) -> str:
    """Return the id of a write in its usual form.

    Raises:
        MemoryInputError: it is not a uuid.
    """
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise MemoryInputError("the id of a write must be a uuid") from None


def _check_text(name: str, text: str, longest: int) -> str:
    check_storable(text, name, longest, MemoryInputError)
    if not text.strip():
        raise MemoryInputError(f"the {name} is empty; say something to remember")
    return text
