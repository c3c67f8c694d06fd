"""The contract for marks, leases, tickets and namespaces."""

from __future__ import annotations

from typing import Protocol


class Marks(Protocol):
    """What happens once, and what one process at a time does."""

    async def first_time(self, event: str, *, for_s: int) -> bool:
        """Note an event; False where it was noted within the last ``for_s`` seconds."""
        ...

    async def forget(self, event: str) -> None:
        """Unsay `first_time`, so that the event may be handled again."""
        ...

    async def lease(self, name: str, *, owner: str, for_s: float) -> bool:
        """Take or hold a lease; False while another owner has it."""
        ...

    async def holder(self, name: str) -> str | None:
        """Return who has a lease, or None."""
        ...

    async def release(self, name: str, *, owner: str) -> None:
        """Give a lease back, where this owner has it."""
        ...


class Tickets(Protocol):
    """What lets somebody into one session once; only hashes of them are kept."""

    async def put(self, session_id: str, ticket_hash: str, *, for_s: float) -> bool:
        """Keep a ticket's hash.

        Args:
            session_id: the session into which it lets.
            ticket_hash: of the ticket.
            for_s: seconds for which it is good.

        Returns:
            False where the session does not live, so that nothing was kept.
        """
        ...

    async def take(self, session_id: str, ticket_hash: str) -> bool:
        """Use a ticket up; of many who try at once, one does.

        Returns:
            Whether it was good for this session. One for another session stays good there.
        """
        ...


class Namespaces(Protocol):
    """The namespaces that may create sessions, each with its registered key hash."""

    async def put(self, namespace_id: str, key_hash: str) -> None:
        """Register a namespace, or give it another key hash."""
        ...

    async def key_hash(self, namespace_id: str) -> str | None:
        """Return a namespace's registered key hash, or None."""
        ...

    async def remove(self, namespace_id: str) -> bool:
        """Unregister a namespace; False where there is none."""
        ...

    async def all(self) -> list[str]:
        """Return the ids of all namespaces, sorted."""
        ...
