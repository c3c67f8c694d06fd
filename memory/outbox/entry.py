"""A row of the outbox: one write of one person, and how it is put into text and read again."""

from __future__ import annotations

import json
import uuid
import zlib
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum

from memory.model import Category, Memory, MemoryInputError, NewMemory
from memory.outbox.errors import UnreadableEntryError

_NEW_FIELDS = frozenset(each.name for each in fields(NewMemory))
_SHARED_FIELDS = _NEW_FIELDS & {each.name for each in fields(Memory)}
_TIMES = frozenset({"created_at", "expires_at"})


class Kind(str, Enum):
    """What a write does. A kind that a version does not know is set aside by it."""

    REMEMBER = "remember"
    FORGET = "forget"
    WITHDRAW = "withdraw"


@dataclass(frozen=True)
class Forgetting:
    """A write that deletes a key's values and their history.

    Attributes:
        category: in which category; None is in every one.
        key: the key.
        id: the write's id.
    """

    category: Category | None
    key: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def covers(self, category: Category, key: str) -> bool:
        """Tell whether it deletes the values of this key."""
        return self.key == key and self.category in (None, category)


@dataclass(frozen=True)
class Withdrawal:
    """A write that undoes another one.

    Attributes:
        key: the other write's id.
        id: its own.
    """

    key: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


Write = NewMemory | Forgetting | Withdrawal


@dataclass(frozen=True)
class Entry:
    """A row as it lies in the file.

    Attributes:
        ordinal: its place in the file; a person's rows are delivered in this order.
        user: the person's uuid.
        kind: a `Kind`, or one that this version does not know.
        write_id: the id of the write; delivering it twice changes nothing.
        key: the key that it is about.
        payload: the write as JSON.
        appended_at: microseconds since the epoch.
        checksum: over all of the above.
        attempts: how often the database was asked to take it and did not.
        problem: why it is set aside; None while it waits.
    """

    ordinal: int
    user: str
    kind: str
    write_id: str
    key: str
    payload: str
    appended_at: int
    checksum: int = 0
    attempts: int = 0
    problem: str | None = None

    @property
    def is_intact(self) -> bool:
        """Whether the row is as it was written."""
        try:
            return self.checksum == self.expected_checksum()
        except (TypeError, ValueError):  # what should be text is something else
            return False

    def expected_checksum(self) -> int:
        """Return the CRC-32 of the row; SQLite itself keeps none."""
        texts = (self.user, self.kind, self.write_id, self.key, self.payload)
        numbers = f"{self.ordinal} {self.appended_at}"
        return zlib.crc32("\x00".join((*texts, numbers)).encode("utf-8", "surrogatepass"))

    def read(self) -> Write:
        """Return the write.

        Raises:
            UnreadableEntryError: it is damaged, or of a kind that this version does not know.
        """
        if not self.is_intact:
            raise UnreadableEntryError("the row is damaged")
        try:
            content = json.loads(self.payload)
            if self.kind == Kind.REMEMBER.value:
                return _new_memory(content)
            if self.kind == Kind.FORGET.value:
                category = content["category"]
                wanted = None if category is None else Category.of(category)
                return Forgetting(wanted, content["key"], self.write_id)
            if self.kind == Kind.WITHDRAW.value:
                return Withdrawal(content["key"], self.write_id)
        except (ValueError, TypeError, KeyError) as error:
            raise UnreadableEntryError("the row cannot be read by this version") from error
        raise UnreadableEntryError("the row is of a kind that this version does not know")


def kind_of(write: Write) -> Kind:
    """Return the kind of a write."""
    if isinstance(write, Withdrawal):
        return Kind.WITHDRAW
    return Kind.FORGET if isinstance(write, Forgetting) else Kind.REMEMBER


def as_payload(write: Write) -> str:
    """Return the write as JSON.

    Raises:
        MemoryInputError: a value is none that can be stored.
    """
    content = {each.name: getattr(write, each.name) for each in fields(write)}
    if isinstance(write, NewMemory):
        NewMemory(**content)  # checks the values again, as they may have been tampered with
    try:
        return json.dumps(content, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise MemoryInputError("a value of the memory is none that can be stored") from error


def as_stored(user: str, write: NewMemory) -> Memory:
    """Return what a write will be once it is delivered, as far as this host knows."""
    return Memory(user=user, **{name: getattr(write, name) for name in _SHARED_FIELDS})


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"cannot be put into JSON: {type(value).__name__}")


def _new_memory(content: dict[str, object]) -> NewMemory:
    known = {name: value for name, value in content.items() if name in _NEW_FIELDS}
    for name in _TIMES & known.keys():
        if isinstance(text := known[name], str):
            known[name] = datetime.fromisoformat(text)
    return NewMemory(**known)  # type: ignore[arg-type]
