"""The lasting identity of an anonymous person in development, in a signed cookie."""

from __future__ import annotations

import hmac
from hashlib import sha256

from starlette.requests import HTTPConnection
from starlette.responses import Response

from orchestrator.callers.caller import ANONYMOUS_PREFIX, new_anonymous_identity

COOKIE = "voice_agent_person"
_LASTS_S = 365 * 24 * 3600


class AnonymousCookie:
    """Writes and reads the cookie.

    Args:
        secret: signs it, so that nobody becomes somebody by writing one.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def identity_of(self, request: HTTPConnection, response: Response) -> str:
        """Return a browser's identity; a new one goes into the answer's cookie."""
        identity = self._read(request.cookies.get(COOKIE, ""))
        if identity is None:
            identity = new_anonymous_identity()
            self._write(response, identity)
        return identity

    def _read(self, value: str) -> str | None:
        name, _, signature = value.partition(".")
        expected = self._signature(name)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        return f"{ANONYMOUS_PREFIX}{name}"

    def _write(self, response: Response, identity: str) -> None:
        name = identity.removeprefix(ANONYMOUS_PREFIX)
        value = f"{name}.{self._signature(name)}"
        response.set_cookie(
            COOKIE, value, max_age=_LASTS_S, path="/", httponly=True, samesite="strict"
        )

    def _signature(self, name: str) -> str:
        return hmac.new(self._secret, b"cookie:" + name.encode(), sha256).hexdigest()
