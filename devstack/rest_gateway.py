"""What stands in front of PostgREST in a hosted Supabase project, as a small program.

    python -m devstack.rest_gateway --port PORT --upstream URL --keys FILE

The file holds a JSON object: every API key that is let in, with the token it stands for (a
file, as others may see a command line). A request needs one of them, in the header
``apikey`` or in the query. Below ``/rest/v1`` it goes on to PostgREST without that prefix.
An opaque key (``sb_secret_...``, ``sb_publishable_...``) in the Authorization header, or no
such header, becomes the token of the key's role; a token of the caller's own passes as it
is, and PostgREST judges it. Everything else is 404.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

PREFIX = "/rest/v1"

_LARGEST_BODY = 64 * 1024 * 1024
_UPSTREAM_TIMEOUT = ClientTimeout(total=120, connect=5)
# RFC 9110, section 7.6.1: these belong to one connection. The two of the body's length are
# made anew on either side.
_CONNECTION_HEADERS = frozenset(
    (
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_ADDED_BY_CLIENT = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
_OPAQUE_KEY = "sb_"

logger = logging.getLogger(__name__)


class Gateway:
    """The handler of every request.

    Args:
        upstream: where PostgREST is.
        tokens: the API keys, each with the token it stands for.
    """

    def __init__(self, upstream: str, tokens: Mapping[str, str]) -> None:
        self._upstream = upstream.rstrip("/")
        self._tokens = tokens
        self._session: ClientSession | None = None

    def application(self) -> web.Application:
        """Build the web application."""
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.cleanup_ctx.append(self._open_session)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _open_session(self, _: web.Application) -> AsyncIterator[None]:
        # What PostgREST answers is passed on as it is: still compressed, cookies unread.
        async with ClientSession(
            auto_decompress=False,
            skip_auto_headers=_ADDED_BY_CLIENT,
            connector=TCPConnector(limit=0),
            cookie_jar=DummyCookieJar(),
            timeout=_UPSTREAM_TIMEOUT,
        ) as self._session:
            yield

    async def _handle(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            return _refusal(404, "no Route matched with those values")
        api_key = request.headers.get("apikey") or request.query.get("apikey")
        if not api_key:
            hint = "No `apikey` request header or url param was found."
            return _refusal(401, "No API key found in request", hint)
        token = self._token(api_key, request.headers.get("Authorization", ""))
        if api_key not in self._tokens or token is None:
            return _refusal(401, "Invalid API key", "Double check your Supabase API key.")
        headers = _passed_on(request.headers)
        headers["Authorization"] = token
        return await self._forward(request, path.removeprefix(PREFIX) or "/", headers)

    def _token(self, api_key: str, authorization: str) -> str | None:
        scheme, _, credential = authorization.partition(" ")
        opaque = scheme.lower() == "bearer" and credential.startswith(_OPAQUE_KEY)
        if authorization and not opaque:
            return authorization
        token = self._tokens.get(credential if opaque else api_key)
        return f"Bearer {token}" if token else None

    async def _forward(
        self, request: web.Request, path: str, headers: CIMultiDict[str]
    ) -> web.Response:
        assert self._session is not None  # noqa: S101 - opened before the first request
        query = _without_api_key(request.rel_url.raw_query_string)
        url = URL(f"{self._upstream}{path}{'?' if query else ''}{query}", encoded=True)
        try:
            async with self._session.request(
                request.method,
                url,
                headers=headers,
                data=await request.read() or None,
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
                passed = _passed_on(answer.headers)
                return web.Response(status=answer.status, headers=passed, body=body)
        except (ClientError, asyncio.TimeoutError, OSError) as error:
            logger.warning("PostgREST did not answer", extra={"error": type(error).__name__})
            return _bad_gateway()


def _without_api_key(query: str) -> str:
    """PostgREST would take the parameter for a filter."""
    return "&".join(part for part in query.split("&") if not part.startswith("apikey="))


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = headers.get("Connection", "").lower().replace(" ", "").split(",")
    dropped = _CONNECTION_HEADERS.union(named)
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in dropped)


def _refusal(status: int, message: str, hint: str | None = None) -> web.Response:
    content = {"message": message} if hint is None else {"message": message, "hint": hint}
    return web.json_response(content, status=status)


def _bad_gateway() -> web.Response:
    # Not JSON: clients of a hosted project get a page of the proxy's in this case.
    page = "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
    return web.Response(status=502, text=page, content_type="text/html")


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="devstack.rest_gateway", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="PostgREST's URL")
    parser.add_argument("--keys", type=Path, required=True, help="the file of API keys")
    arguments = parser.parse_args()
    tokens = json.loads(arguments.keys.read_text(encoding="utf-8"))
    gateway = Gateway(arguments.upstream, tokens)
    logging.basicConfig(level=logging.WARNING)
    web.run_app(
        gateway.application(),
        host="127.0.0.1",
        port=arguments.port,
        access_log=None,
        print=None,
        shutdown_timeout=1.0,
        keepalive_timeout=75.0,
    )


if __name__ == "__main__":
    main()
