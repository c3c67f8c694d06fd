"""Joining a room that may be deleted meanwhile.

The SDK then tries for fifteen seconds, and the framework waits for that before it shuts a job
down: a session that ended while its agent was on the way would end by force only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from livekit.agents import JobContext

_ASK_EVERY_S = 0.2
_BREAK_OFF_WITHIN_S = 0.5


async def connect(ctx: JobContext, *, has_ended: Callable[[], Awaitable[bool]]) -> bool:
    """Join the room of a job.

    Args:
        ctx: the job.
        has_ended: tells whether the session has ended; asked while it takes its time.

    Returns:
        False where the session ended before the room was joined.
    """
    connecting = asyncio.create_task(ctx.connect(), name="connect")
    try:
        while not connecting.done():
            await asyncio.wait({connecting}, timeout=_ASK_EVERY_S)
            if not connecting.done() and await has_ended():
                return False
        await connecting
    finally:
        if not connecting.done():
            connecting.cancel()
            await asyncio.wait({connecting}, timeout=_BREAK_OFF_WITHIN_S)
    return True
