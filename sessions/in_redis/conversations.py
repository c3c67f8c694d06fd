"""What is under way in conversations, in Redis."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from sessions import keys
from sessions.errors import StateUnreachableError
from sessions.in_redis import scripts
from sessions.in_redis.connection import Connection

_TIMEOUT_S = 2.0
_SPEAKS = "true"
_IS_SILENT = "false"


class RedisConversations:
    """See `Conversations`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def set_speaking(self, session_id: str, on: bool, *, ttl_s: int) -> None:
        """See `Conversations.set_speaking`."""
        script_keys = [keys.session(session_id), keys.tts_active(session_id)]
        value = _SPEAKS if on else _IS_SILENT
        await self._connection.run(scripts.SPEAKING, script_keys, [value, ttl_s])

    async def is_speaking(self, session_id: str) -> bool:
        """See `Conversations.is_speaking`."""
        async with self._connection.commands() as commands:
            return bool(await commands.get(keys.tts_active(session_id)) == _SPEAKS)

    async def keep_history(self, user_id: str, history: str, *, ttl_s: int) -> None:
        """See `Conversations.keep_history`."""
        async with self._connection.commands() as commands:
            await commands.set(keys.history(user_id), history, ex=ttl_s)

    async def take_history(self, user_id: str) -> str | None:
        """See `Conversations.take_history`."""
        async with self._connection.commands() as commands:
            kept: str | None = await commands.getdel(keys.history(user_id))
        return kept


class KeptHistories:
    """The same histories, for whoever erases or exports a person: calls block.

    Args:
        url: as REDIS_URL has it.
    """

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )

    def read(self, user_id: str) -> str | None:
        """Return what is kept of a person, and leave it.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        try:
            kept = self._client.get(keys.history(user_id))
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error
        return kept if isinstance(kept, str) else None

    def erase(self, user_id: str) -> int:
        """Delete what is kept of a person, and return how many things that were.

        Raises:
            StateUnreachableError: Redis did not answer, or refused.
        """
        try:
            return 1 if self._client.delete(keys.history(user_id)) else 0
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _unreachable(error: Exception) -> StateUnreachableError:
    return StateUnreachableError(
        f"Redis is out of reach ({type(error).__name__}); look at REDIS_URL"
    )
