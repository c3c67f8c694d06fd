"""The project's own worker, ``agent.py``, as a process that belongs to this one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from devstack.machine import PROJECT_ROOT, Machine
from devstack.process import Launch
from devstack.servers.livekit import LiveKitInfo
from devstack.servers.server import Server
from devstack.workspace import Workspace

AGENT = PROJECT_ROOT / "agent.py"
_REGISTERED = "registered worker"
_STOP_DEADLINE_S = 15.0


class Worker(Server):
    """An agent worker that is registered with a LiveKit server.

    Args:
        livekit: the server.
        settings: the worker's variables beside this machine's, such as DATA_DIR.
        dev: run it as in development, which needs no keys; else as in production.
        entrypoint: the file that defines the module-level ``server``.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name: ClassVar[str] = "worker"
    start_deadline_s: ClassVar[float] = 60.0

    def __init__(
        self,
        livekit: LiveKitInfo,
        settings: Mapping[str, str],
        *,
        dev: bool = True,
        entrypoint: Path = AGENT,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self._livekit = livekit
        self._settings = settings
        self._dev = dev
        self._entrypoint = entrypoint

    def log(self) -> str:
        """Return all that the worker has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def _launch(self, workspace: Workspace) -> Launch:
        del workspace  # a worker has no files of its own
        command = [sys.executable, "-m", "livekit.agents", "start", str(self._entrypoint)]
        return Launch(
            [*command, "--dev"] if self._dev else command,
            self.log_file,
            {
                **self.machine.environ,
                "PYTHONPATH": str(PROJECT_ROOT),
                "WORKER_PORT": "0",
                **self._settings,
                "LIVEKIT_URL": self._livekit.url,
                "LIVEKIT_API_KEY": self._livekit.api_key,
                "LIVEKIT_API_SECRET": self._livekit.api_secret,
            },
            folder=PROJECT_ROOT,
            stop_deadline_s=_STOP_DEADLINE_S,
            orphan_signal=signal.SIGTERM,
        )

    def _answers(self) -> bool:
        return _REGISTERED in self._running_process().last_log_lines()
