"""Looking at a process of this host and signalling it, and never another that got its pid."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from sessions.model import SAME_START_S

_STATE_TO_START_TIME = 19
"""From the field ``state`` to ``starttime`` in /proc/pid/stat (proc_pid_stat(5))."""


def start_of(pid: int) -> float:
    """Return when a process began, in seconds, so that it can be told from a later one.

    On Linux since the machine's boot, as the time of day may be set while the process runs;
    elsewhere since the epoch.

    Raises:
        psutil.NoSuchProcess: there is none.
    """
    if sys.platform != "linux":
        return psutil.Process(pid).create_time()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise psutil.NoSuchProcess(pid) from None
    after_name = stat.rpartition(")")[2].split()
    return int(after_name[_STATE_TO_START_TIME]) / os.sysconf("SC_CLK_TCK")


def this_boot() -> str:
    """Return what tells this run of the machine from the one before; empty where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def find(pid: int, started: float) -> psutil.Process | None:
    """Return the process that has this pid and began then, or None where it is gone."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        is_it = abs(start_of(pid) - started) <= SAME_START_S
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
