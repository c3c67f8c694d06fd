"""What a test must give back: tasks, threads, child processes, sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

_GRACE_S = 3.0


def threads() -> set[str]:
    """Return the names of the living Python threads, each with its id."""
    return {f"{thread.name} ({thread.ident})" for thread in threading.enumerate()}


def processes() -> set[str]:
    """Return the living descendants of this process; a zombie counts as living."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            found.add(f"{child.pid} {child.name()}")
        except psutil.NoSuchProcess:
            continue
    return found


def sockets() -> set[str]:
    """Return the open sockets of this process, by inode."""
    links = set()
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            link = str(entry.readlink())
        except OSError:
            continue
        if link.startswith("socket:"):
            links.add(link)
    return links


def tasks() -> set[str]:
    """Return the unfinished tasks of the running loop, but for the current one."""
    current = asyncio.current_task()
    return {task.get_name() for task in asyncio.all_tasks() if task is not current}


def left_over(before: set[str], now: Callable[[], set[str]]) -> set[str]:
    """Return what is there now and was not before, once it had time to end."""
    deadline = time.monotonic() + _GRACE_S
    while (surplus := now() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    return surplus
