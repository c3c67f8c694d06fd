"""The contract for what is kept of a conversation while it goes on, and after it broke."""

from __future__ import annotations

from typing import Protocol


class Conversations(Protocol):
    """What is under way in a conversation, and what is left of one that was lost."""

    async def set_speaking(self, session_id: str, on: bool, *, ttl_s: int) -> None:
        """Note whether a session's agent speaks; nothing where its record is not there."""
        ...

    async def is_speaking(self, session_id: str) -> bool:
        """Return whether a session's agent was last said to speak."""
        ...

    async def keep_history(self, user_id: str, history: str, *, ttl_s: int) -> None:
        """Keep what a person's next session may begin with, instead of what was kept.

        Args:
            user_id: the person's uuid.
            history: as the worker writes it. It holds what people said: it is in no log.
            ttl_s: seconds after which it is gone.
        """
        ...

    async def take_history(self, user_id: str) -> str | None:
        """Return what was kept and keep it no longer, so that one session alone has it."""
        ...
