"""The children of a server's process, for a crash that takes all of them at once."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_GONE_BY_NOW_S = 5.0
_POLL_S = 0.005


def kill_with_children(pid: int) -> None:
    """End a process and its children with SIGKILL, and wait until the children are gone.

    Only Linux says who the children are; elsewhere the process alone is killed.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # it makes no more children and reaps none
    children = [child for child in _processes() if _parent_of(child) == pid]
    for process in (*children, pid):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_BY_NOW_S
    while any(map(_is_alive, children)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def _parent_of(pid: int) -> int | None:
    status = _status(pid)
    return int(status[1]) if status else None


def _is_alive(pid: int) -> bool:
    status = _status(pid)
    return status is not None and status[0] not in ("Z", "X")


def _status(pid: int) -> list[str] | None:
    """State, parent and so on: proc(5), what follows the name in parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
