"""What the tests of the local servers ask about processes."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil


def descendants() -> list[str]:
    """Return the names of the processes that this one has started, directly or not."""
    return [process.name() for process in psutil.Process().children(recursive=True)]


def is_gone(pid: int) -> bool:
    """Say whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], object], within_s: float = 15.0) -> bool:
    """Say whether the condition comes true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
