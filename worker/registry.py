"""The job processes of this host that serve a session, each in a file of its own.

Whoever ends processes on this host finds them here and nowhere else: a pid that stands in a
database may be somebody else's by now, or on another machine.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from sessions import AgentProcess
from worker.processes import this_boot

logger = logging.getLogger("worker.registry")

_FOLDER = "agents"


@dataclass(frozen=True)
class Entry:
    """A job process that serves a session.

    Attributes:
        session_id: the session.
        pid: the process.
        started: when it began, as `worker.processes.start_of` has it; with the pid it names
            the process.
        host: where it runs.
        parent: the process that made it, which it does not outlive while it is well.
        attempt: the number of the dispatch that it answers; 0 until that is known.
        ending: whether it ends in order.
        boot: the run of the machine in which it began.
    """

    session_id: str
    pid: int
    started: float
    host: str
    parent: int
    attempt: int
    ending: bool = False
    boot: str = field(default_factory=this_boot)

    @property
    def process(self) -> AgentProcess:
        """The process as the state of sessions knows it."""
        return AgentProcess(self.pid, self.host, self.started)

    @property
    def file_name(self) -> str:
        """The name of its file, which no other process has had."""
        return f"{self.pid}-{self.started}.json"


def this_host() -> str:
    """Return the name by which this host is told from others."""
    return socket.gethostname()


class Registry:
    """The folder ``DATA_DIR/agents``, private to its user.

    Args:
        data_dir: a folder on a disk of this host.
    """

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER
        self._host = this_host()
        self._unreadable: set[str] = set()

    def put(self, entry: Entry) -> None:
        """Register a process, or what has changed of it.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / entry.file_name
        written = path.with_suffix(".new")
        handle = os.open(written, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)))
        written.replace(path)

    def note_ending(self, entry: Entry) -> None:
        """Say that a process that is registered ends in order.

        Raises:
            OSError: the folder cannot be written.
        """
        if (self._folder / entry.file_name).exists():
            self.put(replace(entry, ending=True))

    def remove(self, entry: Entry) -> None:
        """Forget a process."""
        (self._folder / entry.file_name).unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """Return the processes of this host; those of another that shares the folder are not."""
        found = [self._read(path) for path in sorted(self._folder.glob("*.json"))]
        return [entry for entry in found if entry is not None and entry.host == self._host]

    def _read(self, path: Path) -> Entry | None:
        try:
            entry = Entry(**json.loads(path.read_text(encoding="utf-8")))
            if entry.file_name == path.name and entry.pid > 1:
                return entry
        except FileNotFoundError:
            return None  # it has just been removed
        except (OSError, ValueError, TypeError):
            pass
        if path.name not in self._unreadable:
            self._unreadable.add(path.name)
            logger.warning("a file in the folder of agents is none of ours and is left alone")
        return None
