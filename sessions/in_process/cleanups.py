"""Which clean-ups are under way, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sessions.contract import Claim, ClaimResult
from sessions.in_process.memory import Claimed, Memory
from sessions.model import SessionRecord

_REPORT_KEPT_S = 60.0


class ProcessCleanups:
    """See `CleanupLedger`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def claim(
        self,
        session_id: str,
        *,
        owner: str,
        reason: str,
        lease_s: float,
        orphan: SessionRecord | None = None,
    ) -> Claim:
        """See `CleanupLedger.claim`."""
        memory = self._memory
        until = memory.clock() + lease_s
        known = memory.cleanups.get(session_id)
        if known is not None and known.owner != owner and known.until > memory.clock():
            return Claim(ClaimResult.JOINED, known.record, known.reason)
        if known is None:
            record = memory.records.get(session_id) or orphan
            if record is None:
                return Claim(ClaimResult.UNKNOWN)
            claimed = Claimed(owner, until, reason, record)
        else:
            claimed = Claimed(owner, until, known.reason, known.record)
        memory.cleanups[session_id] = claimed
        memory.ended.put(session_id, value=True, for_s=memory.fence_s)
        resumed = known is not None
        return Claim(ClaimResult.CLAIMED, claimed.record, claimed.reason, resumed)

    async def renew(self, session_id: str, *, owner: str, lease_s: float) -> bool:
        """See `CleanupLedger.renew`."""
        known = self._memory.cleanups.get(session_id)
        if known is None or known.owner != owner:
            return False
        known.until = self._memory.clock() + lease_s
        return True

    async def finish(self, session_id: str, *, owner: str, report: Mapping[str, Any]) -> int:
        """See `CleanupLedger.finish`."""
        known = self._memory.cleanups.get(session_id)
        if known is None or known.owner != owner:
            return 0
        removed = self._memory.drop(session_id)
        del self._memory.cleanups[session_id]
        self._memory.reports.put(session_id, dict(report), _REPORT_KEPT_S)
        return removed

    async def report(self, session_id: str) -> dict[str, Any] | None:
        """See `CleanupLedger.report`."""
        return self._memory.reports.get(session_id)

    async def is_pending(self, session_id: str) -> bool:
        """See `CleanupLedger.is_pending`."""
        return session_id in self._memory.cleanups

    async def owners(self) -> list[str]:
        """See `CleanupLedger.owners`."""
        return sorted({claim.owner for claim in self._memory.cleanups.values()})

    async def let_go(self, owner: str) -> None:
        """See `CleanupLedger.let_go`."""
        for claim in self._memory.cleanups.values():
            if claim.owner == owner:
                claim.until = self._memory.clock()

    async def abandoned(self) -> list[str]:
        """See `CleanupLedger.abandoned`."""
        now = self._memory.clock()
        return [each for each, claim in self._memory.cleanups.items() if claim.until <= now]
