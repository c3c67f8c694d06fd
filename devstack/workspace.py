"""A private temporary folder for one server, which does not outlive its owner for long.

A process that is killed cannot remove its folder. It does lose its lock on the file
``owner`` in it, so the next process that makes a folder finds the abandoned ones and
removes them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from devstack.errors import ServiceUnavailableError

_OWNER = "owner"
LONGEST_SOCKET_PATH = 103
"""In bytes: what every platform's sockaddr_un holds (macOS 104 with the end, Linux 108)."""


class Workspace:
    """A folder of mode 0700 under the system's temporary folder, with a short path.

    Attributes:
        path: the folder.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=_prefix()))
        self._lock = _lock_as_owner(self.path)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def checked_socket_path(path: Path) -> Path:
    """Return the path when a Unix socket can have it.

    Raises:
        ServiceUnavailableError: the system's temporary folder has too long a name.
    """
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ServiceUnavailableError(
            f"{path} is too long for a Unix socket; set TMPDIR to a folder with a shorter name"
        )
    return path


def _prefix() -> str:
    return f"devstack-{os.getuid()}-"


def _lock_as_owner(folder: Path) -> IO[bytes]:
    # Locked before it has its name: nobody ever sees an owner file that could be locked
    # while its owner lives.
    unnamed = folder / f".{_OWNER}"
    lock = unnamed.open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / _OWNER)
    return lock


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_prefix()}*"):
        try:
            with (folder / _OWNER).open("rb") as owner:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # it has an owner, or is just being made or removed
