"""Access tokens of Supabase users: who the user is, where the token is genuine.

The algorithm is pinned by what is configured, never by the token: HS256 with the project's
secret, ES256 and RS256 with the project's published keys.
"""

from __future__ import annotations

from typing import Any

import jwt

from config import Settings
from orchestrator.callers.caller import RESERVED_PREFIXES
from orchestrator.callers.published_keys import PublishedKeys
from orchestrator.errors import UnauthorizedError
from storage.user_tokens import ISSUER as WORKER_ISSUER

_REQUIRED = ["iss", "aud", "exp", "sub", "role"]
_PUBLISHED_ALGORITHMS = ("ES256", "RS256")
_LEEWAY_S = 10
_LONGEST_SUBJECT = 256
_REFUSED = "the token is not valid; sign in again"


class UserTokens:
    """Verifies users' tokens.

    Args:
        secret: the project's JWT secret, or None.
        published: the project's published keys, or None.
        issuer: whose tokens are taken.
        audience: for whom they must be made.
    """

    def __init__(
        self,
        *,
        secret: str | None,
        published: PublishedKeys | None,
        issuer: str,
        audience: str,
    ) -> None:
        self._secret = secret
        self._published = published
        self._issuer = issuer
        self._audience = audience

    @classmethod
    def from_settings(cls, settings: Settings) -> UserTokens | None:
        """Return what verifies tokens, or None where Supabase's users are not configured."""
        secret, keys_url, issuer = _configured(settings)
        if issuer is None or (secret is None and keys_url is None):
            return None
        return cls(
            secret=secret,
            published=PublishedKeys(keys_url) if keys_url else None,
            issuer=issuer,
            audience=settings.orchestrator.jwt_audience,
        )

    @staticmethod
    def are_configured(settings: Settings) -> bool:
        """Return whether Supabase's users are."""
        secret, keys_url, issuer = _configured(settings)
        return issuer is not None and (secret is not None or keys_url is not None)

    async def subject(self, token: str) -> str:
        """Return the user's ``sub``.

        Raises:
            UnauthorizedError: the token is not a valid one of a signed-in user.
            UnavailableError: the project's published keys are out of reach.
        """
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header)
            claims = self._claims(token, key, str(header["alg"]))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            raise UnauthorizedError(_REFUSED) from None
        return _checked_subject(claims)

    async def aclose(self) -> None:
        """Close the connection to the project's keys."""
        if self._published is not None:
            await self._published.aclose()

    async def _key(self, header: dict[str, Any]) -> Any:
        algorithm = header.get("alg")
        if algorithm == "HS256" and self._secret is not None:
            return self._secret
        if algorithm in _PUBLISHED_ALGORITHMS and self._published is not None:
            key = await self._published.key(header.get("kid"), algorithm)
            if key is not None:
                return key
        raise UnauthorizedError(_REFUSED)

    def _claims(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=self._issuer,
            audience=self._audience,
            leeway=_LEEWAY_S,
            options={"require": _REQUIRED},
        )


def _configured(settings: Settings) -> tuple[str | None, str | None, str | None]:
    """Return the secret, the URL of the published keys, and the issuer."""
    given, store = settings.orchestrator, settings.store
    auth = f"{store.supabase_url}/auth/v1" if store.supabase_url else None
    keys_url = given.jwks_url or (auth and f"{auth}/.well-known/jwks.json")
    return store.supabase_jwt_secret, keys_url, given.jwt_issuer or auth


def _checked_subject(claims: dict[str, Any]) -> str:
    subject = claims["sub"]
    # The worker's own tokens name a person by uuid5, and anybody of whom it knows.
    if claims["iss"] == WORKER_ISSUER or claims["role"] != "authenticated":
        raise UnauthorizedError(_REFUSED)
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise UnauthorizedError(_REFUSED)
    if subject.startswith(RESERVED_PREFIXES):
        raise UnauthorizedError(_REFUSED)
    return subject
