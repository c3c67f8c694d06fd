"""The contract for the clean-ups that are under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from sessions.model import SessionRecord


class ClaimResult(str, Enum):
    """What became of the wish to clean up a session."""

    CLAIMED = "claimed"
    JOINED = "joined"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Claim:
    """An answer to the wish to clean up a session.

    Attributes:
        result: whether the asker does it, somebody else does, or there is no such session.
        record: the session as it was when its clean-up was first claimed.
        reason: why it was first claimed.
        resumed: whether somebody had begun before.
    """

    result: ClaimResult
    record: SessionRecord | None = None
    reason: str = ""
    resumed: bool = False


class CleanupLedger(Protocol):
    """Which clean-ups are under way, so that each is done once and none is forgotten."""

    async def claim(
        self,
        session_id: str,
        *,
        owner: str,
        reason: str,
        lease_s: float,
        orphan: SessionRecord | None = None,
    ) -> Claim:
        """Take a session's clean-up, unless another owner has it; and fence the session.

        Args:
            session_id: the session.
            owner: who asks.
            reason: why it ends.
            lease_s: seconds for which the claim holds unless it is renewed.
            orphan: what to clean up where no session of that id lives (a room or a
                process that nobody owns).
        """
        ...

    async def renew(self, session_id: str, *, owner: str, lease_s: float) -> bool:
        """Hold the claim for longer; False where it has gone to somebody else."""
        ...

    async def finish(self, session_id: str, *, owner: str, report: Mapping[str, Any]) -> int:
        """Remove all keys and memberships of the session, and leave its report for a minute.

        Returns:
            How many keys were removed. Nothing is done where the claim is somebody else's.
        """
        ...

    async def report(self, session_id: str) -> dict[str, Any] | None:
        """Return the report of a clean-up that ended within the last minute."""
        ...

    async def is_pending(self, session_id: str) -> bool:
        """Return whether a clean-up is claimed and has not ended."""
        ...

    async def owners(self) -> list[str]:
        """Return who has claimed the clean-ups under way, sorted."""
        ...

    async def let_go(self, owner: str) -> None:
        """Say that an owner is gone, so that its clean-ups under way count as abandoned."""
        ...

    async def abandoned(self) -> list[str]:
        """Return the sessions whose clean-up was claimed by somebody who is gone."""
        ...
