"""What routes share: the app's parts, rate limits, credentials in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from orchestrator.callers import Caller
from orchestrator.callers.identification import API_KEY_HEADER, KEY_HASH_HEADER, NAMESPACE_HEADER
from orchestrator.parts import Parts

DOCUMENTED_CREDENTIALS: list[Any] = [
    Security(HTTPBearer(auto_error=False, description="an API key, or a user's access token")),
    Security(APIKeyHeader(name=API_KEY_HEADER, auto_error=False)),
]
DOCUMENTED_NAMESPACE: list[Any] = [
    Security(APIKeyHeader(name=NAMESPACE_HEADER, scheme_name="Namespace", auto_error=False)),
    Security(APIKeyHeader(name=KEY_HASH_HEADER, scheme_name="NamespaceKey", auto_error=False)),
]


def parts_of(request: Request) -> Parts:
    """Return the parts of the app that serves a request."""
    parts: Parts = request.app.state.parts
    return parts


AppParts = Annotated[Parts, Depends(parts_of)]


async def spend_address(request: Request, on: str) -> None:
    """Count a request against its address.

    Raises:
        TooManyError: the limit is reached.
    """
    parts = parts_of(request)
    address = parts.proxies.origin_of(request).address
    await parts.limits.spend(on, f"address:{address}")


def limited(on: str) -> Callable[[Request, Response], Awaitable[Caller]]:
    """Return a dependency that counts a request and gives its caller.

    The address is counted before the credential is looked at, so that guessing is slow.

    Args:
        on: what the request is for.
    """

    async def enter(request: Request, response: Response) -> Caller:
        parts = parts_of(request)
        await spend_address(request, on)
        caller = await parts.callers.identify(request, response)
        await parts.limits.spend(on, f"caller:{caller.creator}")
        return caller

    return enter
