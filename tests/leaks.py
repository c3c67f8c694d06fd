"""What a test must give back: tasks, threads, child processes, sockets.

What the whole run shares, its servers, is made within `shared()` and is nobody's leak.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_GRACE_S = 3.0

_shared_threads: set[str] = set()
_shared_pids: set[int] = set()
_shared_sockets: set[str] = set()


def threads() -> set[str]:
    """Return the names of the living Python threads, each with its id."""
    return {
        f"{thread.name} ({thread.ident})"
        for thread in threading.enumerate()
        if not isinstance(thread, threading._DummyThread)  # made and ended by native code
    } - _shared_threads


def processes() -> set[str]:
    """Return the living descendants of this process; a zombie counts as living."""
    found = set()
    for child in psutil.Process().children():
        if child.pid not in _shared_pids:
            found |= {
                description for each in _with_descendants(child) if (description := _of(each))
            }
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
    return links - _shared_sockets


def tasks() -> set[str]:
    """Return the unfinished tasks of the running loop, but for the current one."""
    current = asyncio.current_task()
    return {task.get_name() for task in asyncio.all_tasks() if task is not current}


@contextmanager
def shared() -> Iterator[None]:
    """What begins within belongs to the whole run, and so do its own children."""
    threads_before, sockets_before = threads(), sockets()
    pids_before = {child.pid for child in psutil.Process().children()}
    yield
    _shared_threads.update(threads() - threads_before)
    _shared_sockets.update(sockets() - sockets_before)
    _shared_pids.update({child.pid for child in psutil.Process().children()} - pids_before)


def share(made: socket.socket) -> None:
    """Say that a socket belongs to what several tests share, whenever it was made."""
    _shared_sockets.add(_link_of(made))


def left_over(before: set[str], now: Callable[[], set[str]]) -> set[str]:
    """Return what is there now and was not before, once it had time to end."""
    deadline = time.monotonic() + _GRACE_S
    while (surplus := now() - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    return surplus


def _link_of(made: socket.socket) -> str:
    return f"socket:[{os.fstat(made.fileno()).st_ino}]"


def _of(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.name()}"
    except psutil.NoSuchProcess:
        return ""


def _with_descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
