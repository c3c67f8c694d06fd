"""A LiveKit server of our own, for rooms whose people are all on this machine."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devstack.install.livekit_server import livekit_server
from devstack.machine import Machine
from devstack.ports import LOOPBACK
from devstack.process import Launch
from devstack.servers.http_probe import http_status
from devstack.servers.server import Server
from devstack.workspace import Workspace

_INSIST_AFTER_S = 0.2
"""Asked once, the server first lets its rooms come to an end; asked again, it ends."""

_STOP_DEADLINE_S = 2.0


@dataclass(frozen=True)
class LiveKitOptions:
    """What may differ between LiveKit servers.

    Attributes:
        api_key: the name of the only key.
        api_secret: its secret, at least 32 characters.
        webhook_urls: are told about rooms and participants, signed with the key.
        target_load: the load of a worker, 0 to 1, from which on it is given no more jobs;
            None for the server's own default.
        log_level: debug, info, warn or error.
    """

    api_key: str = "devkey"
    api_secret: str = field(default_factory=lambda: secrets.token_urlsafe(36), repr=False)
    webhook_urls: Sequence[str] = ()
    target_load: float | None = None
    log_level: str = "info"


@dataclass(frozen=True)
class LiveKitInfo:
    """How to reach a LiveKit server.

    Attributes:
        url: ws://HOST:PORT, for clients and workers.
        http_url: the same for the server's HTTP API.
        api_key: the key's name.
        api_secret: the key's secret.
    """

    url: str
    http_url: str
    api_key: str
    api_secret: str = field(repr=False)


class LiveKitServer(Server):
    """LiveKit on loopback, a single node.

    Its media port for TCP listens on every address, whatever it is told; media is encrypted
    and needs a token.

    Args:
        options: see `LiveKitOptions`.
        machine: see `Server`.
        log_dir: see `Server`.
    """

    name = "livekit"

    def __init__(
        self,
        options: LiveKitOptions | None = None,
        *,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        super().__init__(machine=machine, log_dir=log_dir)
        self.options = options or LiveKitOptions()

    @property
    def info(self) -> LiveKitInfo:
        """How to reach it, and with which key."""
        address = f"{LOOPBACK}:{self._port('http')}"
        key, secret = self.options.api_key, self.options.api_secret
        return LiveKitInfo(f"ws://{address}", f"http://{address}", key, secret)

    def _prepare(self, workspace: Workspace) -> None:
        # JSON is YAML, which the server reads. A file, as others may see a command line.
        config = json.dumps(self._config(), indent=2)
        (workspace.path / "livekit.yaml").write_text(config, encoding="utf-8")

    def _config(self) -> dict[str, object]:
        options = self.options
        config: dict[str, object] = {
            "port": self._port("http"),
            "bind_addresses": [LOOPBACK],
            "rtc": {
                "tcp_port": self._port("rtc"),
                "udp_port": self._port("rtc"),
                "node_ip": LOOPBACK,
                # Named, as the server else sends its clients to public STUN servers.
                "stun_servers": [f"{LOOPBACK}:{self._port('rtc')}"],
                "use_external_ip": False,
                "enable_loopback_candidate": True,
                "interfaces": {"includes": ["lo0" if sys.platform == "darwin" else "lo"]},
            },
            "keys": {options.api_key: options.api_secret},
            "room": {"auto_create": True},
            "logging": {"level": options.log_level},
        }
        if options.webhook_urls:
            config["webhook"] = {"api_key": options.api_key, "urls": list(options.webhook_urls)}
        if options.target_load is not None:
            config["agents"] = {"target_load": options.target_load}
        return config

    def _launch(self, workspace: Workspace) -> Launch:
        command = [str(livekit_server(self.machine)), "--config"]
        command += [str(workspace.path / "livekit.yaml")]
        return Launch(
            command,
            self.log_file,
            self._child_environ(),
            insist_after_s=_INSIST_AFTER_S,
            stop_deadline_s=_STOP_DEADLINE_S,
        )

    def _answers(self) -> bool:
        return http_status(self._port("http"), "/") == 200
