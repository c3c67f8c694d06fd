"""Where a request came from and what it was sent to, behind reverse proxies or not.

X-Forwarded headers are believed only where a trusted proxy sent them. Of X-Forwarded-For the
address counts that the farthest trusted proxy saw: what stands before it, a client wrote.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from starlette.requests import HTTPConnection

FORWARDED_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_LOOPBACK_NAMES = frozenset({"localhost"})


@dataclass(frozen=True)
class Origin:
    """What a client sees of us, and we of it.

    Attributes:
        address: the client's, as text.
        secure: whether the client speaks TLS.
        host: the host that the client asked, with its port; empty where it is unusable.
    """

    address: str
    secure: bool
    host: str


class TrustedProxies:
    """Reads requests, believing some proxies.

    Args:
        networks: addresses and networks of the proxies.
    """

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = [ipaddress.ip_network(each) for each in networks]

    def origin_of(self, request: HTTPConnection) -> Origin:
        """Return where a request came from and what it was sent to."""
        peer = request.client.host if request.client else ""
        host = request.headers.get("host", "")
        secure = request.scope["scheme"] in ("https", "wss")
        if not self._trusts(peer):
            return Origin(peer, secure, _usable(host))
        headers = request.headers
        proto = _last(headers.getlist("x-forwarded-proto"))
        forwarded_host = _last(headers.getlist("x-forwarded-host"))
        return Origin(
            self._farthest(peer, headers.getlist("x-forwarded-for")),
            proto.lower() in ("https", "wss") if proto else secure,
            _usable(forwarded_host) or _usable(host),
        )

    def _farthest(self, peer: str, values: list[str]) -> str:
        address = peer
        for each in reversed(_parts(values)):
            if not self._trusts(address) or _address(each) is None:
                break
            address = each
        return address

    def _trusts(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine by a loopback name."""
    if not _usable(host):
        return False
    name = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    address = _address(name)
    return name.lower() in _LOOPBACK_NAMES or (address is not None and address.is_loopback)


def is_loopback_origin(origin: str) -> bool:
    """Return whether an Origin header names a page that this machine serves."""
    scheme, separator, host = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and is_loopback(host)


def _parts(values: list[str]) -> list[str]:
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _last(values: list[str]) -> str:
    parts = _parts(values)
    return parts[-1] if parts else ""


def _usable(host: str) -> str:
    return host if _HOST.fullmatch(host) else ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
