"""The parts of the state of sessions over one Redis."""

from __future__ import annotations

from sessions.contract import (
    AgentReports,
    CleanupLedger,
    Conversations,
    Marks,
    Namespaces,
    SessionRecords,
    Tickets,
)
from sessions.in_redis.agents import RedisAgents
from sessions.in_redis.cleanups import RedisCleanups
from sessions.in_redis.connection import Connection
from sessions.in_redis.conversations import RedisConversations
from sessions.in_redis.marks import RedisMarks, RedisNamespaces
from sessions.in_redis.records import RedisRecords
from sessions.in_redis.tickets import RedisTickets


class RedisSessionState:
    """See `SessionState`. Connects at the first call.

    Args:
        url: as REDIS_URL has it.
        fence_s: seconds for which a session that ended stays known as such.
    """

    def __init__(self, url: str, *, fence_s: float) -> None:
        self._connection = Connection(url)
        records = RedisRecords(self._connection, fence_s=fence_s)
        self.records: SessionRecords = records
        self.cleanups: CleanupLedger = RedisCleanups(self._connection, fence_s=fence_s)
        self.agents: AgentReports = RedisAgents(self._connection, records)
        self.marks: Marks = RedisMarks(self._connection)
        self.tickets: Tickets = RedisTickets(self._connection)
        self.namespaces: Namespaces = RedisNamespaces(self._connection)
        self.conversations: Conversations = RedisConversations(self._connection)

    @property
    def shared(self) -> bool:
        """See `SessionState.shared`."""
        return True

    async def ping(self) -> None:
        """See `SessionState.ping`."""
        async with self._connection.commands() as redis:
            await redis.ping()

    async def aclose(self) -> None:
        """See `SessionState.aclose`."""
        await self._connection.aclose()
