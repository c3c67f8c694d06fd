"""What can be done with everything that is held about a person, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from memory import Memory, NewMemory
from storage import StorageRejectedError, StorageUnavailableError

Record = dict[str, Any]
"""A row as JSON has it: times are ISO 8601 texts in UTC."""


@dataclass(frozen=True)
class Standing:
    """What is known of a person even when nothing is held about them.

    Attributes:
        generation: starts at 0; each erasure raises it, and so does no longer wanting to be
            remembered. A write that carries an older one is dropped.
        remembered: whether they want to be remembered.
    """

    generation: int
    remembered: bool


@dataclass(frozen=True)
class Erasure:
    """What was erased.

    Attributes:
        generation: the person's from now on.
        memories: how many are gone, superseded ones counted.
        profile: whether they had a row.
        user_profile: whether anything was known at a glance.
        onboarding_details: whether they had told any.
        elsewhere: what else is gone, by the name of the place.
    """

    generation: int
    memories: int
    profile: bool
    user_profile: bool
    onboarding_details: bool
    elsewhere: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Move:
    """What a move did.

    Attributes:
        moved: whether there was anything to move.
        memories: how many are the target's now, superseded ones counted.
        merged_keys: how many keys both had; of each the newer value is current.
        generation: the source's, raised where anything was moved.
    """

    moved: bool
    memories: int
    merged_keys: int
    generation: int


class ErasureUnfinishedError(StorageUnavailableError):
    """The person is erased, but deleted bytes are still in their file.

    Somebody was reading the file all the time. The bytes stay until the file's free pages
    are written over, or until the person is erased again.

    Attributes:
        erasure: what was erased; nothing of it can be read through the store any more.
    """

    def __init__(self, erasure: Erasure) -> None:
        super().__init__(
            "the person is erased, but another program kept reading their file, so that "
            "deleted bytes are still in it; end that program and erase once more"
        )
        self.erasure = erasure


class StillWaitingError(StorageRejectedError):
    """Somebody cannot be moved while something of them waits to be delivered."""

    def __init__(self) -> None:
        super().__init__(
            "something of the source still waits in this host's outbox; nothing was changed: "
            "deliver it first (python -m memory outbox drain)"
        )


def as_write(memory: Memory) -> NewMemory:
    """Return the write that makes a memory, as it was when it was told."""
    return NewMemory(
        category=memory.category,
        key=memory.key,
        value=memory.value,
        created_at=memory.created_at,
        id=memory.id,
        session_id=memory.session_id,
        generation=memory.generation,
        confidence=memory.confidence,
        source_id=memory.source_id,
        expires_at=memory.expires_at,
    )
