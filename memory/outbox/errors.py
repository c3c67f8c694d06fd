"""What can go wrong with the outbox itself.

OutboxError
├── OutboxUnwritableError   disk full, read-only, damaged: the write goes to the database itself
├── OutboxFullError         OUTBOX_MAX_MB is reached: the write is refused
├── OutboxBusyError         another process on this host delivers
└── UnreadableEntryError    a row that is damaged, or that a newer version wrote

The first base is also a `storage.StorageUnavailableError`, as the store's callers expect.
"""

from __future__ import annotations

from storage import StorageUnavailableError


class OutboxError(StorageUnavailableError):
    """Base of every failure of the outbox."""


class OutboxUnwritableError(OutboxError):
    """The outbox cannot take or give a row now; the text says why and what to do.

    Args:
        cause: a word for the cause, the same each time: it is logged once.
        mend: what an operator does about it.
    """

    def __init__(self, cause: str, mend: str) -> None:
        super().__init__(f"the outbox cannot be used ({cause}); {mend}")
        self.cause = cause


class OutboxFullError(OutboxError):
    """OUTBOX_MAX_MB is reached; bring Supabase back, or raise it."""


class OutboxBusyError(OutboxError):
    """Another process on this host delivers what waits; there is nothing to do but wait."""


class UnreadableEntryError(OutboxError):
    """A row whose content is damaged or unknown; it is set aside."""
