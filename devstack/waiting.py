"""Waiting for a condition that another process brings about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.02


async def eventually(condition: Callable[[], T], timeout_s: float = 10.0) -> T:
    """Return the condition's first truthy value, asked off the loop.

    Raises:
        AssertionError: it stayed falsy for ``timeout_s`` seconds; carries its last value.
    """
    deadline = time.monotonic() + timeout_s
    while not (value := await asyncio.to_thread(condition)):
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {timeout_s} s: {value!r}")
        await asyncio.sleep(_POLL_S)
    return value
