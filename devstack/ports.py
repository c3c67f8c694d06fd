"""Free ports on loopback for servers that are about to start.

Between choosing a port and a server's binding it another process may choose it too. So
every process takes from its own block first, at random, and never hands one out twice;
processes that start together, such as test workers, have neighbouring pids and therefore
different blocks. The range ends below 32768, where Linux begins to take ports for outgoing
connections.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator

from devstack.errors import ServiceUnavailableError

FIRST_PORT = 20_000
LAST_PORT = 31_999
BLOCK_SIZE = 100
LOOPBACK = "127.0.0.1"

_BLOCKS = (LAST_PORT + 1 - FIRST_PORT) // BLOCK_SIZE
_lock = threading.Lock()
_handed_out: set[int] = set()


def free_port() -> int:
    """Choose a port that nothing uses on loopback, neither for TCP nor for UDP.

    Returns:
        The port; this process will not be given it again.

    Raises:
        ServiceUnavailableError: no port between 20000 and 31999 is free.
    """
    with _lock:
        for port in _candidates():
            if port not in _handed_out and is_free(port):
                _handed_out.add(port)
                return port
    raise ServiceUnavailableError(
        f"no port from {FIRST_PORT} to {LAST_PORT} is free on {LOOPBACK}; end what uses them"
    )


def is_free(port: int) -> bool:
    """Say whether both protocols could be bound on this port now."""
    return _can_bind(socket.SOCK_STREAM, port) and _can_bind(socket.SOCK_DGRAM, port)


def _candidates() -> Iterator[int]:
    start = FIRST_PORT + os.getpid() % _BLOCKS * BLOCK_SIZE
    own = range(start, start + BLOCK_SIZE)
    shuffle = random.SystemRandom().sample
    yield from shuffle(own, len(own))
    others = [port for port in range(FIRST_PORT, LAST_PORT + 1) if port not in own]
    yield from shuffle(others, len(others))


def _can_bind(kind: socket.SocketKind, port: int) -> bool:
    # Any address: a server that listens on all of them is in the way as well.
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - bound for a moment, never listening
        except OSError:
            return False
    return True
