"""What happens once, what one process at a time does, and the namespaces, in Redis."""

from __future__ import annotations

from sessions import keys
from sessions.in_redis import scripts
from sessions.in_redis.connection import Connection


class RedisMarks:
    """See `Marks`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def first_time(self, event: str, *, for_s: int) -> bool:
        """See `Marks.first_time`."""
        async with self._connection.commands() as redis:
            return bool(await redis.set(keys.once(event), "1", nx=True, ex=for_s))

    async def forget(self, event: str) -> None:
        """See `Marks.forget`."""
        async with self._connection.commands() as redis:
            await redis.delete(keys.once(event))

    async def lease(self, name: str, *, owner: str, for_s: float) -> bool:
        """See `Marks.lease`."""
        arguments = [owner, int(for_s * 1000)]
        return bool(await self._connection.run(scripts.LEASE, [keys.lease(name)], arguments))

    async def holder(self, name: str) -> str | None:
        """See `Marks.holder`."""
        async with self._connection.commands() as redis:
            found: str | None = await redis.get(keys.lease(name))
        return found

    async def release(self, name: str, *, owner: str) -> None:
        """See `Marks.release`."""
        await self._connection.run(scripts.RELEASE, [keys.lease(name)], [owner])


class RedisNamespaces:
    """See `Namespaces`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, namespace_id: str, key_hash: str) -> None:
        """See `Namespaces.put`."""
        async with self._connection.commands() as redis:
            await redis.hset(keys.NAMESPACES, namespace_id, key_hash)

    async def key_hash(self, namespace_id: str) -> str | None:
        """See `Namespaces.key_hash`."""
        async with self._connection.commands() as redis:
            found: str | None = await redis.hget(keys.NAMESPACES, namespace_id)
        return found

    async def remove(self, namespace_id: str) -> bool:
        """See `Namespaces.remove`."""
        async with self._connection.commands() as redis:
            return bool(await redis.hdel(keys.NAMESPACES, namespace_id))

    async def all(self) -> list[str]:
        """See `Namespaces.all`."""
        async with self._connection.commands() as redis:
            return sorted(await redis.hkeys(keys.NAMESPACES))
