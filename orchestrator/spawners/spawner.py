"""The contract of what brings a session its agent."""

from __future__ import annotations

from typing import Protocol

from sessions.model import SessionRecord


class Spawner(Protocol):
    """Brings agents to rooms, and takes back what has not arrived."""

    @property
    def dispatches(self) -> bool:
        """Whether LiveKit's dispatch brings the agent, so that the room is made with it."""
        ...

    async def spawn(self, record: SessionRecord, *, attempt: int) -> str:
        """Bring the agent to a session's room, which is there.

        Args:
            record: the session.
            attempt: the number of this dispatch; the first is 1.

        Returns:
            What names it: a dispatch's id, or a Celery task's.

        Raises:
            UnavailableError: it is out of reach.
        """
        ...

    async def revoke(self, record: SessionRecord) -> bool:
        """Take back what was spawned for a session; True where there was something.

        Raises:
            UnavailableError: it is out of reach.
        """
        ...

    async def is_available(self) -> bool | None:
        """Return whether somebody is there who would do it; None where nobody can say."""
        ...
