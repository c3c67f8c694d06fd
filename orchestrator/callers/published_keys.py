"""The keys with which Supabase signs users' tokens, as its JWKS publishes them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt

from orchestrator.errors import UnavailableError

logger = logging.getLogger("orchestrator.callers")

_TIMEOUT_S = 3.0
_KEPT_S = 600.0
_LEAST_BETWEEN_S = 10.0
"""A token can name any key; unknown ones do not make us ask again and again."""


class PublishedKeys:
    """Keeps a project's keys for ten minutes, and asks anew when one is unknown.

    Args:
        url: of the JWKS.
        clock: seconds, only ever growing.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S)
        self._lock = asyncio.Lock()
        self._keys: dict[tuple[str | None, str], Any] = {}
        self._asked_at: float | None = None

    async def key(self, key_id: str | None, algorithm: str) -> Any | None:
        """Return the key of that id and algorithm, or None where there is none.

        Raises:
            UnavailableError: the keys are out of reach and none are known.
        """
        known = (key_id, algorithm)
        async with self._lock:
            age = None if self._asked_at is None else self._clock() - self._asked_at
            unknown = known not in self._keys
            if age is None or age > _KEPT_S or (unknown and age > _LEAST_BETWEEN_S):
                await self._ask()
        return self._keys.get(known)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _ask(self) -> None:
        try:
            answer = await self._client.get(self._url)
            answer.raise_for_status()
            keys = _usable(answer.json())
        except (httpx.HTTPError, ValueError) as error:
            logger.warning(
                "the keys of users' tokens are out of reach; look at SUPABASE_JWKS_URL",
                extra={"error": type(error).__name__},
            )
            if not self._keys:
                raise UnavailableError("users' tokens cannot be verified now") from error
        else:
            self._keys = keys
        self._asked_at = self._clock()


def _usable(given: Any) -> dict[tuple[str | None, str], Any]:
    """Return the public keys of the kinds that we take, by id and algorithm."""
    listed = given.get("keys", []) if isinstance(given, dict) else []
    found = {}
    for each in listed:
        algorithm = _ALGORITHMS.get(str(each.get("kty"))) if isinstance(each, dict) else None
        if algorithm is None or each.get("alg", algorithm) != algorithm:
            continue
        try:
            key = jwt.PyJWK.from_dict(each, algorithm=algorithm).key
        except jwt.PyJWTError:
            continue
        found[each.get("kid"), algorithm] = key
    return found


_ALGORITHMS = {"EC": "ES256", "RSA": "RS256"}
