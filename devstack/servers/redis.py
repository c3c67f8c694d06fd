"""A Redis server of our own."""

from __future__ import annotations

import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from devstack.install.redis_server import redis_server
from devstack.machine import Machine
from devstack.ports import LOOPBACK
from devstack.process import Launch
from devstack.servers.server import Server
from devstack.workspace import Workspace

_PING = b"*1\r\n$4\r\nPING\r\n"
_PONG = b"+PONG\r\n"


@dataclass(frozen=True)
class RedisInfo:
    """How to reach a Redis server.

    Attributes:
        url: redis://HOST:PORT/0, with no password: loopback only.
        port: its TCP port.
    """

    url: str
    port: int


class RedisServer(Server):
    """Redis on loopback.

    Args:
        persistent: write every change to a file, so that `kill` and `start` lose nothing.
            The file goes with the server's other files at `stop`.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name = "redis"

    def __init__(
        self,
        *,
        persistent: bool = False,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self._persistent = persistent

    @property
    def info(self) -> RedisInfo:
        """How to reach it."""
        port = self._port("redis")
        return RedisInfo(f"redis://{LOOPBACK}:{port}/0", port)

    def _launch(self, workspace: Workspace) -> Launch:
        command = [str(redis_server(self.machine)), "--port", str(self._port("redis"))]
        command += ["--bind", LOOPBACK, "--dir", str(workspace.path), "--daemonize", "no"]
        command += ["--save", "", "--appendonly", "yes" if self._persistent else "no"]
        command += ["--appendfsync", "always" if self._persistent else "no"]
        return Launch(command, self.log_file, self._child_environ(), orphan_signal=signal.SIGTERM)

    def _answers(self) -> bool:
        with socket.create_connection((LOOPBACK, self._port("redis")), timeout=2.0) as connection:
            connection.sendall(_PING)
            return connection.recv(len(_PONG)) == _PONG
