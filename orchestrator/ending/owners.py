"""Names for those who hold claims and leases, by which the host that ran one sees it is gone."""

from __future__ import annotations

import os
import socket
import uuid
from contextlib import suppress
from pathlib import Path

from worker import processes

_SEPARATOR = " "
_PARTS = 4


def new_owner() -> str:
    """Return a name for this process's claims and leases that no other has."""
    pid = os.getpid()
    return _SEPARATOR.join((_place(), str(pid), str(processes.start_of(pid)), uuid.uuid4().hex))


def is_gone(owner: str) -> bool:
    """Return whether an owner ran where this process runs, and does no more.

    False where nobody can tell from here: its lease says then when it is over.

    Args:
        owner: as `new_owner` made it, here or anywhere.
    """
    parts = owner.split(_SEPARATOR)
    if len(parts) != _PARTS or parts[0] != _place():
        return False
    try:
        return processes.find(int(parts[1]), float(parts[2])) is None
    except ValueError:
        return False


def _place() -> str:
    """Where a pid means one process: a host, from its boot on, and there a namespace of pids."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return "/".join((socket.gethostname(), processes.this_boot(), namespace))
