"""agent.py, with every address noted that Python code of the worker or a job looks up or reaches.

The notes are lines in the file that AUDIT_FILE names. Native code is not seen here.
"""

from __future__ import annotations

import os
import sys


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.getaddrinfo":
        where = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        where = address[0] if isinstance(address, tuple) else None  # None: a socket file
    else:
        return
    if where:
        line = f"{where.decode() if isinstance(where, bytes) else where}\n"
        notes = os.open(os.environ["AUDIT_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(notes, line.encode())
        os.close(notes)


sys.addaudithook(_note)

import agent  # noqa: E402 - what it does at import is noted, too
from worker.server import Worker  # noqa: E402

server = Worker(setup_fnc=agent.prewarm, preflight=agent._preflight, preload=[])
server.rtc_session(agent.entrypoint, on_request=server.admit)
