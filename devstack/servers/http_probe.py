"""One HTTP request to a server of ours, to see whether it answers."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

from devstack.ports import LOOPBACK

_TIMEOUT_S = 2.0


def http_status(port: int, path: str) -> int | None:
    """GET the path on loopback; returns the status, or None where nobody answers."""
    connection = HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
