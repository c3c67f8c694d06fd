"""The contract for the sessions that live."""

from __future__ import annotations

from typing import Any, Protocol

from sessions.model import SessionRecord, SessionStatus


class SessionRecords(Protocol):
    """The sessions that live."""

    async def add(self, record: SessionRecord, *, ttl_s: int, most: int | None = None) -> None:
        """Note a new session, and that it is the newest of its person.

        Args:
            record: the session.
            ttl_s: seconds after which its keys go unless they are renewed.
            most: how many live sessions its creator may have, this one included.

        Raises:
            SessionExistsError: one of that id lives.
            SessionEndedError: one of that id has ended.
            TooManySessionsError: the creator has ``most`` live sessions.
        """
        ...

    async def get(self, session_id: str) -> SessionRecord | None:
        """Return a session, or None where none of that id lives."""
        ...

    async def of_room(self, room: str) -> SessionRecord | None:
        """Return the live session of a room, or None."""
        ...

    async def update(self, session_id: str, **changes: Any) -> bool:
        """Change attributes of a session; a new status moves it between the status sets.

        Returns:
            Whether it lives and has not ended; else nothing was changed.
        """
        ...

    async def renew(self, session_id: str, ttl_s: int) -> None:
        """Let a session's keys live for ``ttl_s`` seconds from now."""
        ...

    async def newest_of(self, user_id: str) -> str | None:
        """Return the id of a person's newest session that lives, or None."""
        ...

    async def page(self, after: str | None, limit: int) -> list[SessionRecord]:
        """Return sessions in the order in which they began.

        Args:
            after: the id of the last session of the page before, or None.
            limit: how many at most.
        """
        ...

    async def count(self) -> dict[SessionStatus, int]:
        """Return how many sessions there are in each status."""
        ...

    async def has_ended(self, session_id: str) -> bool:
        """Return whether a session has ended: the fence that no agent may pass."""
        ...

    async def fence(self, session_id: str) -> None:
        """Say that a session has ended, also where none of that id was ever noted."""
        ...
