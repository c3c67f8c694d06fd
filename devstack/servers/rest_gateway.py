"""The gateway in front of PostgREST, in a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from devstack.keys import SupabaseKeys
from devstack.machine import PROJECT_ROOT, Machine
from devstack.ports import LOOPBACK
from devstack.process import Launch
from devstack.servers.http_probe import http_status
from devstack.servers.server import Server
from devstack.workspace import Workspace


class RestGateway(Server):
    """The gateway of a hosted project, as far as ``/rest/v1`` goes: `devstack.rest_gateway`.

    Args:
        upstream: PostgREST's URL.
        keys: the keys it lets in.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name = "rest-gateway"

    def __init__(
        self,
        upstream: str,
        keys: SupabaseKeys,
        *,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self._upstream = upstream
        self._keys = keys

    @property
    def url(self) -> str:
        """The project's URL; clients append /rest/v1 themselves."""
        return f"http://{LOOPBACK}:{self._port('http')}"

    def _prepare(self, workspace: Workspace) -> None:
        keys = json.dumps(self._keys.tokens_by_api_key())
        (workspace.path / "keys.json").write_text(keys, encoding="utf-8")

    def _launch(self, workspace: Workspace) -> Launch:
        command = [sys.executable, "-m", "devstack.rest_gateway", "--upstream", self._upstream]
        command += ["--port", str(self._port("http"))]
        command += ["--keys", str(workspace.path / "keys.json")]
        environ = {**self._child_environ(), "PYTHONPATH": str(PROJECT_ROOT)}
        return Launch(command, self.log_file, environ, PROJECT_ROOT)

    def _answers(self) -> bool:
        return http_status(self._port("http"), "/") == 404
