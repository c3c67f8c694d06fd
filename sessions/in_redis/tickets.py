"""What lets somebody into a session once, in Redis."""

from __future__ import annotations

from sessions import keys
from sessions.in_redis.connection import Connection

_MOST_TICKETS = 20

_PUT = """
local hash, ended, tickets = unpack(KEYS)
local id, ticket, lives, most = unpack(ARGV)
if redis.call('EXISTS', hash) == 0 or redis.call('ZSCORE', ended, id) then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', tickets, now + tonumber(lives), ticket)
redis.call('ZREMRANGEBYSCORE', tickets, '-inf', now)
redis.call('ZREMRANGEBYRANK', tickets, 0, -tonumber(most) - 1)
redis.call('PEXPIRE', tickets, lives)
return 1
"""

_TAKE = """
local hash, ended, tickets = unpack(KEYS)
local id, ticket = unpack(ARGV)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expires = redis.call('ZSCORE', tickets, ticket)
if not expires then return 0 end
redis.call('ZREM', tickets, ticket)
if tonumber(expires) <= now then return 0 end
if redis.call('EXISTS', hash) == 0 or redis.call('ZSCORE', ended, id) then return 0 end
return 1
"""


class RedisTickets:
    """See `Tickets`. All tickets are good for equally long, as the newest one's time is the key's.

    A ticket whose answer was lost on the way from Redis is used up.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, session_id: str, ticket_hash: str, *, for_s: float) -> bool:
        """See `Tickets.put`."""
        arguments = [session_id, ticket_hash, int(for_s * 1000), _MOST_TICKETS]
        return bool(await self._connection.run(_PUT, _keys(session_id), arguments))

    async def take(self, session_id: str, ticket_hash: str) -> bool:
        """See `Tickets.take`."""
        arguments = [session_id, ticket_hash]
        return bool(await self._connection.run(_TAKE, _keys(session_id), arguments))


def _keys(session_id: str) -> list[str]:
    return [keys.session(session_id), keys.ENDED, keys.tickets(session_id)]
