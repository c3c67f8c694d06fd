"""A store call, made again while the store is away."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import TypeVar

from storage import StorageError, StorageRejectedError, StoreThreads

logger = logging.getLogger("memory.retry")

T = TypeVar("T")

_FIRST_RETRY_S = 0.25
_LONGEST_RETRY_S = 10.0


async def until_taken(
    threads: StoreThreads, call: Callable[[], T], on_retry: Callable[[], None]
) -> T:
    """Make a blocking store call until the store answers; cancel it to give up.

    Args:
        threads: where the call runs.
        call: may be made several times.
        on_retry: called each time the store was away.

    Raises:
        StorageRejectedError: the store will never take it.
    """
    pause = _FIRST_RETRY_S
    while True:
        try:
            return await threads.run(call)
        except StorageRejectedError:
            raise
        except StorageError as error:
            on_retry()
            logger.warning("the store is away; trying again", extra={"error": str(error)})
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        pause = min(pause * 2, _LONGEST_RETRY_S)
