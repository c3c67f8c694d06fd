"""The sessions that live, in Redis."""

from __future__ import annotations

import logging
from typing import Any

from sessions import keys
from sessions.errors import SessionEndedError, SessionExistsError, TooManySessionsError
from sessions.in_redis import scripts
from sessions.in_redis.connection import Connection
from sessions.model import SessionRecord, SessionStatus, as_fields

logger = logging.getLogger("sessions")

_STATUS_SETS = [keys.STARTING, keys.READY, keys.POOL_READY]


class RedisRecords:
    """See `SessionRecords`.

    Args:
        connection: to Redis.
        fence_s: seconds for which a session that ended stays known as such; longer than any
            token for it is valid.
    """

    def __init__(self, connection: Connection, *, fence_s: float) -> None:
        self._connection = connection
        self._fence_s = fence_s

    async def add(self, record: SessionRecord, *, ttl_s: int, most: int | None = None) -> None:
        """See `SessionRecords.add`."""
        result = await self._connection.run(
            scripts.ADD,
            [
                keys.session(record.id),
                keys.user(record.user_id),
                keys.STARTING,
                keys.INDEX,
                keys.ROOMS,
                keys.creator(record.creator),
                keys.ENDED,
            ],
            [
                record.id,
                ttl_s,
                most or 0,
                record.room,
                record.start_time,
                record.expires_at or record.start_time + ttl_s * 1000,
                *_flat(record.as_fields()),
            ],
        )
        if result == "exists":
            raise SessionExistsError("a session of this id is there already")
        if result == "ended":
            raise SessionEndedError("this session has ended; start a new one")
        if result == "too many":
            raise TooManySessionsError(f"there are {most} live sessions already; end one first")

    async def get(self, session_id: str) -> SessionRecord | None:
        """See `SessionRecords.get`."""
        async with self._connection.commands() as redis:
            stored = await redis.hgetall(keys.session(session_id))
        return _readable(stored)

    async def of_room(self, room: str) -> SessionRecord | None:
        """See `SessionRecords.of_room`."""
        async with self._connection.commands() as redis:
            session_id = await redis.hget(keys.ROOMS, room)
        return await self.get(session_id) if session_id else None

    async def update(self, session_id: str, **changes: Any) -> bool:
        """See `SessionRecords.update`."""
        status = changes.get("status")
        arguments = [
            session_id,
            SessionStatus(status).value if status else "",
            *_flat(as_fields(changes)),
        ]
        script_keys = [keys.session(session_id), *_STATUS_SETS, keys.ENDED]
        return bool(await self._connection.run(scripts.UPDATE, script_keys, arguments))

    async def renew(self, session_id: str, ttl_s: int) -> None:
        """See `SessionRecords.renew`."""
        health = keys.agent_health(session_id)
        own = [key for key in keys.of_session(session_id) if key != health]
        await self._connection.run(scripts.RENEW, [keys.user(""), *own], [session_id, ttl_s])

    async def newest_of(self, user_id: str) -> str | None:
        """See `SessionRecords.newest_of`."""
        async with self._connection.commands() as redis:
            found: str | None = await redis.get(keys.user(user_id))
        return found

    async def page(self, after: str | None, limit: int) -> list[SessionRecord]:
        """See `SessionRecords.page`."""
        async with self._connection.commands() as redis:
            rank = await redis.zrank(keys.INDEX, after) if after is not None else None
            first = 0 if rank is None else int(rank) + 1
            ids = await redis.zrange(keys.INDEX, first, first + limit - 1)
            pipeline = redis.pipeline(transaction=False)
            for session_id in ids:
                pipeline.hgetall(keys.session(session_id))
            stored = await pipeline.execute() if ids else []
        gone = [i for i, fields in zip(ids, stored, strict=True) if not fields]
        if gone:
            await self._forget(gone)
        return [record for fields in stored if (record := _readable(fields))]

    async def count(self) -> dict[SessionStatus, int]:
        """See `SessionRecords.count`."""
        async with self._connection.commands() as redis:
            starting = int(await redis.scard(keys.STARTING))
            ready = int(await redis.scard(keys.READY))
            total = int(await redis.zcard(keys.INDEX))
        return {
            SessionStatus.STARTING: starting,
            SessionStatus.READY: ready,
            SessionStatus.FAILED: max(0, total - starting - ready),
        }

    async def has_ended(self, session_id: str) -> bool:
        """See `SessionRecords.has_ended`."""
        async with self._connection.commands() as redis:
            return await redis.zscore(keys.ENDED, session_id) is not None

    async def fence(self, session_id: str) -> None:
        """See `SessionRecords.fence`."""
        async with self._connection.commands() as redis:
            seconds, _ = await redis.time()
            until = (int(seconds) + self._fence_s) * 1000
            await redis.zadd(keys.ENDED, {session_id: until})

    async def _forget(self, gone: list[str]) -> None:
        """Remove from the sets what has run out by itself."""
        async with self._connection.commands() as redis:
            pipeline = redis.pipeline()
            pipeline.zrem(keys.INDEX, *gone)
            for each in _STATUS_SETS:
                pipeline.srem(each, *gone)
            await pipeline.execute()


def _flat(fields: dict[str, str]) -> list[str]:
    return [part for pair in fields.items() for part in pair]


def _readable(stored: dict[str, str]) -> SessionRecord | None:
    if not stored:
        return None
    try:
        return SessionRecord.from_fields(stored)
    except ValueError as error:
        logger.error("[Session] a session's hash cannot be read", extra={"error": str(error)})
        return None
