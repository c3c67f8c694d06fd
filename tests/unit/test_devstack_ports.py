"""Ports are free on loopback when they are handed out, and handed out once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devstack import ports

PROJECT_ROOT = Path(ports.__file__).parent.parent


def test_a_port_lies_below_those_of_outgoing_connections():
    assert 20_000 <= ports.free_port() < 32_768


def test_no_port_is_handed_out_twice():
    handed_out = [ports.free_port() for _ in range(ports.BLOCK_SIZE + 20)]
    assert len(set(handed_out)) == len(handed_out)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_by_either_protocol_is_not_free(kind, address):
    with socket.socket(socket.AF_INET, kind) as user:
        port = ports.free_port()
        user.bind((address, port))
        if kind is socket.SOCK_STREAM:
            user.listen()
        assert not ports.is_free(port)
    assert ports.is_free(port)


def test_processes_that_start_together_take_from_different_blocks():
    program = "import os; from devstack.ports import free_port; print(os.getpid(), free_port())"
    command = [sys.executable, "-c", program]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)
        for _ in range(3)
    ]
    said = [child.communicate()[0].split() for child in children]
    blocks = {(int(port) - ports.FIRST_PORT) // ports.BLOCK_SIZE for _, port in said}
    assert blocks == {int(pid) % 120 for pid, _ in said}
    assert os.getpid() not in {int(pid) for pid, _ in said}
