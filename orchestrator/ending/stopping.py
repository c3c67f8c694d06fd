"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_AFTER_S = 0.05


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and return when they are done.

    A cancellation can be lost: `asyncio.wait_for` before Python 3.12 drops one that comes
    just as what it waits for is done, and libraries wait that way. So it is said again.
    """
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=_AGAIN_AFTER_S)
