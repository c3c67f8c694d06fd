"""The project's own orchestrator, ``python -m orchestrator``, as a process of this one's."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from devstack.machine import PROJECT_ROOT, Machine
from devstack.ports import LOOPBACK
from devstack.process import Launch
from devstack.servers.http_probe import http_status
from devstack.servers.livekit import LiveKitInfo
from devstack.servers.server import Server
from devstack.workspace import Workspace

_STOP_DEADLINE_S = 10.0


def webhook_url(port: int) -> str:
    """Return where an orchestrator on this port of loopback takes LiveKit's webhooks.

    A LiveKit server is told at its start (`LiveKitOptions.webhook_urls`), so the port is
    chosen before: `devstack.ports.free_port`.
    """
    return f"http://{LOOPBACK}:{port}/webhook/livekit"


class Orchestrator(Server):
    """An orchestrator on loopback, ready when it says so at /readyz.

    Its port stays the same over `kill`, `start` and `restart`.

    Args:
        livekit: the LiveKit server whose rooms it makes.
        settings: its variables beside this machine's, such as REDIS_URL; they win over what
            this class sets, which is the address and ORCHESTRATOR_MODE=development.
        port: where it listens; a free one by default.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name: ClassVar[str] = "orchestrator"
    start_deadline_s: ClassVar[float] = 60.0

    def __init__(
        self,
        livekit: LiveKitInfo,
        settings: Mapping[str, str],
        *,
        port: int | None = None,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self._livekit = livekit
        self._settings = settings
        if port is not None:
            self._ports["http"] = port

    @property
    def port(self) -> int:
        """Its TCP port; known before it runs."""
        return self._port("http")

    @property
    def url(self) -> str:
        """http://HOST:PORT, without a path; known before it runs."""
        return f"http://{LOOPBACK}:{self.port}"

    def log(self) -> str:
        """Return all that the orchestrator has written so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def _launch(self, workspace: Workspace) -> Launch:
        del workspace  # it has no files of its own
        return Launch(
            [sys.executable, "-m", "orchestrator"],
            self.log_file,
            {
                **self.machine.environ,
                "PYTHONPATH": str(PROJECT_ROOT),
                "ORCHESTRATOR_MODE": "development",
                "ORCHESTRATOR_HOST": LOOPBACK,
                "LIVEKIT_URL": self._livekit.url,
                "LIVEKIT_API_KEY": self._livekit.api_key,
                "LIVEKIT_API_SECRET": self._livekit.api_secret,
                **self._settings,
                "ORCHESTRATOR_PORT": str(self.port),
            },
            folder=PROJECT_ROOT,
            stop_deadline_s=_STOP_DEADLINE_S,
        )

    def _answers(self) -> bool:
        return http_status(self.port, "/readyz") == 200
