"""What a clean-up did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

from connection_events import Reason


@dataclass(frozen=True)
class EndReport:
    """How the end of a session went; partial failures stand in ``errors``.

    Attributes:
        session_id: the session.
        celery_task_revoked: whether a Celery task was revoked.
        process_killed: whether the agent's process is verified gone, however it ended; also
            where there was never one.
        redis_cleaned: whether nothing of the session is left in Redis.
        room_deleted: whether the room is gone.
        process_exited: whether the process ended by itself.
        seconds: how long it took.
        errors: what did not work, as sentences.
    """

    session_id: str
    celery_task_revoked: bool = False
    process_killed: bool = False
    redis_cleaned: bool = False
    room_deleted: bool = False
    process_exited: bool = False
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> EndReport:
        """Return the report that was left, without what else was left beside it."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON would have it."""
        return asdict(self)


class Endings(Protocol):
    """Ends sessions, each once, whoever asks."""

    async def end(self, session_id: str, reason: Reason, *, asked_by: str) -> EndReport | None:
        """Clean up a session, or join its clean-up under way; return when it is done.

        Args:
            session_id: the session.
            reason: why it ends, for those who listen.
            asked_by: who ends it, for the log: end, delete, webhook, watchdog, expiry, ...

        Returns:
            The report, or None where no such session lives.

        Raises:
            UnavailableError: the state of sessions is out of reach.
        """
        ...

    async def begin(self, session_id: str, reason: Reason, *, asked_by: str) -> bool:
        """Fence a session and clean it up in the background; False where none lives."""
        ...
