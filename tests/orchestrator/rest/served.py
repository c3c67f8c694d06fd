"""``python -m orchestrator`` as a process of the test's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile

import httpx

from devstack.machine import PROJECT_ROOT
from devstack.ports import free_port
from devstack.servers.livekit import LiveKitInfo


class Served:
    """A running orchestrator, whose log goes to a file."""

    def __init__(self, livekit: LiveKitInfo, **environ: str) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in stop()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator"],
            cwd=PROJECT_ROOT,
            stdout=self._log,
            stderr=self._log,
            env={
                **os.environ,
                "LIVEKIT_URL": livekit.url,
                "LIVEKIT_API_KEY": livekit.api_key,
                "LIVEKIT_API_SECRET": livekit.api_secret,
                "ORCHESTRATOR_PORT": str(port),
                **environ,
            },
        )

    @property
    def returncode(self) -> int | None:
        """How it ended."""
        return self._process.returncode

    def status(self, path: str) -> int | None:
        """What a path answers, or None while nobody does."""
        try:
            return httpx.get(f"{self.url}{path}").status_code
        except httpx.TransportError:
            return None

    def stop(self) -> str:
        """Ask it to end, wait until it has, and return its log."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.seek(0)
        log = self._log.read()
        self._log.close()
        return log
