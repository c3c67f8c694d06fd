"""Looking at a process of this host and signalling it, and never another that got its pid."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

import psutil

_CLOCK_JITTER_S = 1.5
"""A start time is read as uptime and boot time, which the kernel gives in whole seconds."""


def find(pid: int, started: float) -> psutil.Process | None:
    """Return the process that has this pid and began then, or None where it is gone."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        is_it = abs(process.create_time() - started) <= _CLOCK_JITTER_S
        if is_it and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def has_lost_its_parent(process: psutil.Process, parent: int) -> bool:
    """Tell whether the process that made it is gone."""
    try:
        return process.ppid() != parent
    except psutil.Error:
        return False  # it is gone itself


def send_signal(pid: int, started: float, number: signal.Signals) -> bool:
    """Signal the process that has this pid and began then; False where it is gone.

    On Linux the process is held by a file descriptor between the look and the signal, so
    that the pid cannot become another's in between.
    """
    if sys.platform != "linux":
        if find(pid, started) is None:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            return True
        return False
    handle = held(pid)
    if handle is None:
        return False
    try:
        if find(pid, started) is None:
            return False
        signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)
    return True


def held(pid: int) -> int | None:
    """Return a descriptor that becomes readable when the process ends; None where it cannot be."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
