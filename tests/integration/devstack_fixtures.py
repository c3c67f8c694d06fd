"""Fixtures for the tests of the local servers themselves.

A plugin of the modules that name it in ``pytest_plugins``. Servers that are only used, not
tested, come from `tests.services`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from devstack.for_pytest import skip_where_unavailable
from devstack.servers.server import Server

S = TypeVar("S", bound=Server)
StartServer = Callable[[S], S]


@pytest.fixture
def short_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that servers make theirs in: not ``tmp_path``, as sockets need it short."""
    assert tmp_path.exists()  # made where it belongs, before the change
    with tempfile.TemporaryDirectory(prefix="ds") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        if os.geteuid() == 0:
            Path(folder).chmod(0o755)  # Postgres may have to run as somebody else
        yield Path(folder)


@pytest.fixture
def start_server(short_tmp_path: Path) -> Iterator[StartServer[Server]]:
    """Start a server that is stopped at the end, whatever the test does with it."""
    servers: list[Server] = []

    def start(server: Server) -> Server:
        servers.append(server)
        with skip_where_unavailable():
            return server.start()

    yield start
    for server in servers:
        server.stop()
