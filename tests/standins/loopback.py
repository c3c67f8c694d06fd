"""Opens and breaks connections on the loopback address."""

from __future__ import annotations

import asyncio
import math
import random
import socket

from aiohttp import web

from tests.standins.errors import NoFreePortError

HOST = "127.0.0.1"
PORTS = range(20000, 32768)
"""Below Linux's ephemeral range, so that no outgoing connection ever takes one."""


def listen(port: int) -> socket.socket:
    """Open a listening socket on the loopback address.

    Args:
        port: the port, or 0 for any free one of `PORTS`.

    Returns:
        The socket, already listening; whoever asked closes it.

    Raises:
        NoFreePortError: the port, or every port tried, is taken.
    """
    candidates = [port] if port else random.sample(PORTS, 100)
    for candidate in candidates:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # Listening at once closes the gap in which two sockets may hold the same port.
            listening.bind((HOST, candidate))
            listening.listen(128)
        except OSError:
            listening.close()
        else:
            return listening
    raise NoFreePortError(f"none of {len(candidates)} ports tried is free")


async def break_connection(request: web.Request) -> None:
    """Break a request's connection without a farewell; does not return."""
    if request.transport is not None:
        request.transport.abort()
    # The lost connection cancels this handler.
    await asyncio.sleep(math.inf)
