"""What is under way in conversations, in Redis."""

from __future__ import annotations

from sessions import keys
from sessions.in_redis import scripts
from sessions.in_redis.connection import Connection

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
