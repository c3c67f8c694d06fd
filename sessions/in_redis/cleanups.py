"""Which clean-ups are under way, in Redis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sessions import keys
from sessions.contract import Claim, ClaimResult
from sessions.in_redis import scripts
from sessions.in_redis.connection import Connection
from sessions.model import SessionRecord

_REPORT_KEPT_MS = 60_000


class RedisCleanups:
    """See `CleanupLedger`.

    Args:
        connection: to Redis.
        fence_s: see `RedisRecords`.
    """

    def __init__(self, connection: Connection, *, fence_s: float) -> None:
        self._connection = connection
        self._fence_ms = int(fence_s * 1000)

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
        fields = json.dumps(orphan.as_fields()) if orphan is not None else ""
        answer = await self._connection.run(
            scripts.CLAIM,
            [keys.session(session_id), keys.CLEANUPS, keys.ENDED],
            [session_id, owner, int(lease_s * 1000), reason, self._fence_ms, fields],
        )
        result = ClaimResult(answer[0])
        if result is ClaimResult.UNKNOWN:
            return Claim(result)
        claim = json.loads(answer[1])
        record = SessionRecord.from_fields(claim["record"])
        return Claim(result, record, claim["reason"], claim["resumed"])

    async def renew(self, session_id: str, *, owner: str, lease_s: float) -> bool:
        """See `CleanupLedger.renew`."""
        arguments = [session_id, owner, int(lease_s * 1000)]
        return bool(await self._connection.run(scripts.RENEW_CLAIM, [keys.CLEANUPS], arguments))

    async def finish(self, session_id: str, *, owner: str, report: Mapping[str, Any]) -> int:
        """See `CleanupLedger.finish`."""
        shared = [keys.CLEANUPS, keys.REPORTS, keys.STARTING, keys.READY, keys.POOL_READY]
        shared += [keys.INDEX, keys.ROOMS]
        removed = await self._connection.run(
            scripts.FINISH,
            [*shared, *keys.of_session(session_id)],
            [
                session_id,
                owner,
                json.dumps(report),
                _REPORT_KEPT_MS,
                keys.user(""),
                keys.creator(""),
            ],
        )
        return max(0, int(removed))

    async def report(self, session_id: str) -> dict[str, Any] | None:
        """See `CleanupLedger.report`."""
        async with self._connection.commands() as redis:
            stored = await redis.hget(keys.REPORTS, session_id)
        if stored is None:
            return None
        report: dict[str, Any] = json.loads(json.loads(stored)["report"])
        return report

    async def is_pending(self, session_id: str) -> bool:
        """See `CleanupLedger.is_pending`."""
        async with self._connection.commands() as redis:
            return bool(await redis.hexists(keys.CLEANUPS, session_id))

    async def owners(self) -> list[str]:
        """See `CleanupLedger.owners`."""
        async with self._connection.commands() as redis:
            claims = await redis.hvals(keys.CLEANUPS)
        return sorted({json.loads(claim)["owner"] for claim in claims})

    async def let_go(self, owner: str) -> None:
        """See `CleanupLedger.let_go`."""
        await self._connection.run(scripts.LET_GO, [keys.CLEANUPS], [owner])

    async def abandoned(self) -> list[str]:
        """See `CleanupLedger.abandoned`."""
        found: list[str] = await self._connection.run(scripts.ABANDONED, [keys.CLEANUPS], [])
        return found
