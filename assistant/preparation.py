"""What must be known before the first sentence: asked for side by side, each in time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TypeVar

from assistant.greeting import GreetingMaterial
from memory import MemoryManager
from profiles import Person, ProfileManager
from session_context import get_session_user_uuid
from storage import StorageError, StoreThreads

logger = logging.getLogger("assistant.preparation")

T = TypeVar("T")

_LATEST_MEMORIES = 20


async def prepare(
    profiles: ProfileManager, memory: MemoryManager, threads: StoreThreads, *, deadline_s: float
) -> tuple[bool, GreetingMaterial]:
    """Make the person's profile and load what the greeting is made of.

    Whatever does not come within ``deadline_s`` seconds is left out; nothing is raised for a
    store that is slow or down.

    Returns:
        Whether the profile is known to exist, and the material.
    """

    async def in_time(call: Callable[[], T], what: str) -> T | None:
        return await _in_time(threads, call, what, deadline_s)

    created, person, memories = await asyncio.gather(
        in_time(profiles.ensure_exists, "profile"),
        in_time(profiles.get, "what is known of them"),
        in_time(lambda: memory.list_memories(limit=_LATEST_MEMORIES), "latest memories"),
    )
    logger.info(
        "[PROFILE CREATE]",
        extra={
            "user_uuid": get_session_user_uuid(),
            "ready": created is not None,
            "is_new": bool(created),
        },
    )
    return created is not None, GreetingMaterial(person or Person(), memories or ())


async def _in_time(
    threads: StoreThreads, call: Callable[[], T], what: str, deadline_s: float
) -> T | None:
    began = time.monotonic()
    try:
        return await asyncio.wait_for(threads.run(call), deadline_s)
    except asyncio.TimeoutError:
        reason = "deadline"
    except Exception as error:  # noqa: BLE001 - whatever fails, the conversation begins
        reason = str(error) if isinstance(error, StorageError) else type(error).__name__
    logger.warning(
        "starting without a part of what is known of the person",
        extra={
            "missing": what,
            "reason": reason,
            "waited_ms": round((time.monotonic() - began) * 1000),
        },
    )
    return None
