"""What is under way in conversations, in this process."""

from __future__ import annotations

from sessions.in_process.memory import Memory


class ProcessConversations:
    """See `Conversations`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def set_speaking(self, session_id: str, on: bool, *, ttl_s: int) -> None:
        """See `Conversations.set_speaking`."""
        if self._memory.records.get(session_id) is not None:
            self._memory.speaking.put(session_id, on, ttl_s)

    async def is_speaking(self, session_id: str) -> bool:
        """See `Conversations.is_speaking`."""
        return bool(self._memory.speaking.get(session_id))

    async def keep_history(self, user_id: str, history: str, *, ttl_s: int) -> None:
        """See `Conversations.keep_history`."""
        self._memory.histories.put(user_id, history, ttl_s)

    async def take_history(self, user_id: str) -> str | None:
        """See `Conversations.take_history`."""
        return self._memory.histories.pop(user_id)
