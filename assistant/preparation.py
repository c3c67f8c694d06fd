"""What must be known before the first sentence: asked for side by side, each in time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from prometheus_client import Counter

from assistant.greeting import GreetingMaterial
from memory import MemoryManager
from memory.retry import until_taken
from profiles import BoundPerson, Person, ProfileManager
from session_context import (
    get_session_generation,
    get_session_user_uuid,
    set_session_remembered,
)
from storage import StorageError, StoreThreads

logger = logging.getLogger("assistant.preparation")

T = TypeVar("T")

_LATEST_MEMORIES = 20
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 10.0

_LATE_NOTES = Counter(
    "voice_agent_late_notes", "First conversations noted by a later session, by result", ["result"]
)


async def prepare(
    profiles: ProfileManager, memory: MemoryManager, threads: StoreThreads, *, deadline_s: float
) -> tuple[BoundPerson | None, GreetingMaterial]:
    """Make the person's profile and load what the greeting is made of.

    Whatever does not come within ``deadline_s`` seconds is left out; nothing is raised for a
    store that is slow or down. Nothing is written before the store itself knows whether the
    person wants to be remembered, and nothing is used of what was read before we know it.

    Returns:
        What is known of the person's standing, None where it did not come in time, and the
        material.
    """

    async def in_time(call: Callable[[], T], what: str) -> T | None:
        return await _in_time(threads, call, what, deadline_s)

    bound, person, memories = await asyncio.gather(
        in_time(profiles.bind, "profile"),
        in_time(profiles.get, "what is known of them"),
        in_time(lambda: memory.list_memories(limit=_LATEST_MEMORIES), "latest memories"),
    )
    logger.info(
        "[PROFILE CREATE]",
        extra={
            "user_uuid": get_session_user_uuid(),
            "ready": bound is not None,
            "is_new": bound is not None and bound.created,
        },
    )
    if get_session_user_uuid() is not None:
        set_session_remembered(bound.remembered if bound else None)
    if bound is None or not bound.remembered:
        return bound, GreetingMaterial()
    return bound, GreetingMaterial(person or Person(), memories or ())


async def bind_later(profiles: ProfileManager, threads: StoreThreads) -> None:
    """Learn what was not known in time, trying again until the store says it."""
    pause = _FIRST_RETRY_S
    while True:
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        pause = min(pause * 2, _LONGEST_RETRY_S)
        try:
            bound = await threads.run(profiles.bind)
        except StorageError as error:
            logger.warning("the person is not bound yet", extra={"error": str(error)})
            continue
        if get_session_user_uuid() is not None:
            set_session_remembered(bound.remembered)
        logger.info("the person is bound late", extra={"remembered": bound.remembered})
        return


async def note_late(profiles: ProfileManager, threads: StoreThreads) -> None:
    """Note that a first conversation has taken place, trying again until the store takes it.

    For the session after one that could not: what was told in it came later, by the outbox.
    Of somebody who is erased meanwhile nothing is noted: they are new again.
    """
    generation = get_session_generation()

    def note() -> str:
        if get_session_generation() != generation:
            return "erased"
        profiles.complete_first_login()
        return "noted"

    try:
        result = await until_taken(threads, note, _count_retry)
    except Exception as error:  # noqa: BLE001 - the conversation does not depend on it
        logger.error(
            "an earlier first conversation was not noted", extra={"error": type(error).__name__}
        )
        result = "failed"
    _LATE_NOTES.labels(result).inc()


def _count_retry() -> None:
    _LATE_NOTES.labels("retried").inc()


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
