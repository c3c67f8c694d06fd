"""The processes that become agents: children of a Celery worker's process, one kept warm.

A runner needs seconds to load what an agent is made of, and has a person waiting meanwhile. So
the next one is started when there is time, and waits to be told whom to serve.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys

from config import PROJECT_ROOT

COMMAND = ("-m", "worker.runner")


class Runners:
    """The runners of one process; it may be used from several threads."""

    def __init__(self) -> None:
        self._spare: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()

    def take(self) -> subprocess.Popen[bytes]:
        """Return a runner that serves nobody yet; its standard input waits for an assignment."""
        while not self._spare.empty():
            try:
                spare = self._spare.get_nowait()
            except queue.Empty:
                break
            if spare.poll() is None:
                return spare
        return _start()

    def prepare(self) -> None:
        """Have a runner ready for the next session."""
        if self._spare.empty():
            self._spare.put(_start())


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the command is ours, without a word from outside
        [sys.executable, *COMMAND, "--parent", str(os.getpid())],
        stdin=subprocess.PIPE,
        cwd=PROJECT_ROOT,
        start_new_session=True,  # a terminal's Ctrl-C is for the Celery worker
    )
