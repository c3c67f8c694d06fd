"""The contract of what carries texts to whoever listens now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

Listener = Callable[[str | bytes], Awaitable[None]]
"""Is told a text as it was heard; must not raise, and must return soon."""


class Broadcast(Protocol):
    """Carries texts on named channels; nothing is kept for later."""

    async def publish(self, channel: str, text: str) -> bool:
        """Say a text; False where it could not be said, which is logged and counted."""
        ...

    def listening(self, channel: str, listener: Listener) -> AbstractAsyncContextManager[None]:
        """Tell a listener every text from the beginning of the ``async with`` to its end."""
        ...

    async def aclose(self) -> None:
        """Give back what is held."""
        ...
