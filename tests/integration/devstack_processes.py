"""What the tests of the local servers ask about processes."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from tests import leaks


def descendants() -> list[str]:
    """Return the names of this process's descendants, but for what the whole run shares."""
    return sorted(entry.split(maxsplit=1)[1] for entry in leaks.processes())


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
