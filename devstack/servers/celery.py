"""A Celery worker of the project's, as a process that belongs to this one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from devstack.machine import PROJECT_ROOT, Machine
from devstack.process import Launch
from devstack.servers.server import Server
from devstack.workspace import Workspace

_STOP_DEADLINE_S = 10.0


class CeleryWorker(Server):
    """A Celery worker with a pool of processes.

    Args:
        application: the module with the Celery application.
        settings: its variables beside this machine's.
        concurrency: how many tasks it runs at once.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name: ClassVar[str] = "celery"
    start_deadline_s: ClassVar[float] = 60.0

    def __init__(
        self,
        application: str,
        settings: Mapping[str, str],
        *,
        concurrency: int = 2,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self._application = application
        self._settings = settings
        self._concurrency = concurrency

    def log(self) -> str:
        """Return all that the worker has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Signal the worker's main process."""
        self._running_process().send_signal(number)

    def _launch(self, workspace: Workspace) -> Launch:
        del workspace  # a worker has no files of its own
        command = [sys.executable, "-m", "celery", "-A", self._application, "worker"]
        command += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
        command += ["--pool", "prefork", "--concurrency", str(self._concurrency)]
        return Launch(
            command,
            self.log_file,
            {**self.machine.environ, "PYTHONPATH": str(PROJECT_ROOT), **self._settings},
            folder=PROJECT_ROOT,
            stop_deadline_s=_STOP_DEADLINE_S,
            orphan_signal=signal.SIGTERM,
        )

    def _answers(self) -> bool:
        return " ready." in self._running_process().last_log_lines()
