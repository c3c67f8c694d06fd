"""What every request passes before it reaches a route, whichever that is."""

from __future__ import annotations

import logging
import secrets
import time

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.addresses import (
    FORWARDED_HEADERS,
    TrustedProxies,
    is_loopback,
    is_loopback_origin,
)
from orchestrator.answers import problem, unforeseen

logger = logging.getLogger("orchestrator.access")

_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FIRST_ERROR = 400
_NOT_SHARED = "this origin, method or header is not let in from web pages; see CORS_ORIGINS"
_TOO_SLOW = "the body did not come in time; send it again"
_TLS_ONLY = "max-age=31536000"


class Outermost:
    """Answers what nobody foresaw, sets security headers, and logs what was asked.

    The log line has the route's template, never the query or a header: both may hold secrets.

    Args:
        app: what is within.
        proxies: which proxies are believed.
    """

    def __init__(self, app: ASGIApp, *, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = _Answering(send, secure=self._proxies.origin_of(HTTPConnection(scope)).secure)
        began = time.monotonic()
        try:
            await self._app(scope, receive, answering.send)
        except Exception as error:
            error_id = secrets.token_hex(8)
            named = {"error_id": error_id, "error": type(error).__name__}
            logger.exception("a request failed", extra=named)
            if answering.status is None:
                await unforeseen(error_id)(scope, receive, answering.send)
        finally:
            _log(scope, answering.status, time.monotonic() - began)


class _Answering:
    """Passes an answer on with security headers, and notes its status."""

    def __init__(self, send: Send, *, secure: bool) -> None:
        self._send = send
        self._secure = secure
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if self._secure:
                headers.setdefault("Strict-Transport-Security", _TLS_ONLY)
        await self._send(message)


def _log(scope: Scope, status: int | None, seconds: float) -> None:
    route = scope.get("route")
    logger.info(
        "request",
        extra={
            "method": scope["method"],
            "route": getattr(route, "path", "unknown"),
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
        },
    )


class LoopbackOnly:
    """In development: refuses whom a browser or a proxy brings from elsewhere.

    A page elsewhere names its Origin, DNS rebinding its Host; a reverse proxy adds headers.

    Args:
        app: what is within.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] in ("http", "websocket") and (why := _from_elsewhere(scope)):
            await problem(403, why)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _from_elsewhere(scope: Scope) -> str | None:
    headers = Headers(scope=scope)
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if not hosts or not all(is_loopback(host) for host in hosts):
        return "development mode answers to loopback host names only"
    if not all(is_loopback_origin(origin) for origin in origins):
        return "development mode serves web pages of this machine only"
    if any(name in headers for name in FORWARDED_HEADERS):
        return "development mode is not for use behind a proxy; set ORCHESTRATOR_MODE=production"
    # A browser takes localhost and 127.0.0.1 for two sites; who says an Origin was looked at.
    cross_site = headers.get("sec-fetch-site") == "cross-site" and not origins
    if cross_site and headers.get("sec-fetch-mode") != "navigate":
        return "development mode serves web pages of this machine only"
    return None


class CrossOrigin(CORSMiddleware):
    """Starlette's, but for the shape of what it refuses."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return the answer to a preflight."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < _FIRST_ERROR:
            return answer
        kept = {"Vary": answer.headers.get("vary", "Origin")}
        return problem(answer.status_code, _NOT_SHARED, headers=kept)


class BodyLimit:
    """Refuses bodies that are too large, also those that do not say how large they are.

    Args:
        app: what is within.
        most: bytes.
        within_s: seconds in which the whole of it must come.
    """

    def __init__(self, app: ASGIApp, *, most: int, within_s: float = 10.0) -> None:
        self._app = app
        self._most = most
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > self._most:
            await self._refusal()(scope, receive, send)
            return
        try:
            with anyio.fail_after(self._within_s):
                body = await self._read(receive)
        except TimeoutError:
            await problem(400, _TOO_SLOW, headers={"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            await self._refusal()(scope, receive, send)
            return
        await self._app(scope, _replaying(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the whole body, or None where it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > self._most:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    def _refusal(self) -> Response:
        detail = f"the body is larger than {self._most} bytes"
        return problem(413, detail, headers={"Connection": "close"})


def _replaying(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
