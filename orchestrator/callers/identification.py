"""Finds out who calls, from the credential of a request."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from pydantic import TypeAdapter, ValidationError
from starlette.requests import HTTPConnection
from starlette.responses import Response

from config import Settings
from orchestrator.callers.anonymous import AnonymousCookie
from orchestrator.callers.caller import NAMESPACE_PREFIX, Caller, CallerKind, creator_id
from orchestrator.callers.keys import KeyRing, hash_of
from orchestrator.callers.user_token import UserTokens
from orchestrator.errors import ForbiddenError, UnauthorizedError
from orchestrator.wire import NamespaceId
from sessions import SessionState

NAMESPACE_HEADER = "X-Namespace-Id"
KEY_HASH_HEADER = "X-Key-Hash"
API_KEY_HEADER = "X-API-Key"

_NAMESPACE_ID = TypeAdapter(NamespaceId)
_WRONG_NAMESPACE = "the namespace or its key hash is wrong"

_UNCHECKED_REACH = ("/api/v1/sessions", "/ws/")
"""Where a namespace is taken at its word with ENCRYPTION_ENABLED=false: not where memories are."""

_MISSING = "a credential is needed: Authorization: Bearer with an API key or a user's token"


class Callers:
    """Checks credentials: API keys, operator keys, users' tokens, namespaces' key hashes.

    Args:
        settings: which of them there are.
        state: the registered namespaces.
    """

    def __init__(self, settings: Settings, state: SessionState) -> None:
        given = settings.orchestrator
        self._development = given.mode == "development"
        self._checks_namespaces = given.encryption_enabled
        self._api_keys = KeyRing(given.api_keys)
        self._operator_keys = KeyRing(given.operator_keys)
        self._user_tokens = UserTokens.from_settings(settings)
        self._state = state
        livekit_secret = settings.worker.livekit_api_secret or secrets.token_hex(32)
        self._secret = hmac.new(livekit_secret.encode(), b"callers", sha256).digest()
        self._cookie = AnonymousCookie(self._secret)

    async def identify(self, request: HTTPConnection, response: Response) -> Caller:
        """Return who calls.

        Args:
            request: the request, or a WebSocket's handshake.
            response: the answer, which in development may get a cookie.

        Raises:
            UnauthorizedError: there is no credential, or none that is valid.
            UnavailableError: the credential cannot be checked now.
        """
        namespace = request.headers.get(NAMESPACE_HEADER)
        caller = await self.with_credential(request)
        if namespace is not None:
            self._refuse_unchecked(request, caller)
            key_hash = request.headers.get(KEY_HASH_HEADER, "")
            return await self.namespace(namespace, key_hash, vouched_by=caller)
        if caller is not None:
            return caller
        if self._development:
            identity = self._cookie.identity_of(request, response)
            return Caller(CallerKind.DEVELOPMENT, self._creator("dev:"), identity)
        raise UnauthorizedError(_MISSING)

    async def with_credential(self, request: HTTPConnection) -> Caller | None:
        """Return whose API key, operator key or token a request has; None where it has none.

        Raises:
            UnauthorizedError: it is not valid.
            UnavailableError: it cannot be checked now.
        """
        credential = _credential(request)
        return await self._by_credential(credential) if credential else None

    async def namespace(
        self, namespace_id: str, key_hash: str, *, vouched_by: Caller | None = None
    ) -> Caller:
        """Return a namespace as a caller.

        Args:
            namespace_id: which.
            key_hash: what it says its registered key hash is.
            vouched_by: a back end, which acts for any namespace.

        Raises:
            UnauthorizedError: the hash is not the registered one, or no namespace has such a name.
            ForbiddenError: the one who vouches may not.
        """
        try:
            _NAMESPACE_ID.validate_python(namespace_id)
        except ValidationError:
            raise UnauthorizedError(_WRONG_NAMESPACE) from None
        if vouched_by is not None and vouched_by.kind is not CallerKind.BACKEND:
            raise ForbiddenError(f"{NAMESPACE_HEADER}: this credential acts for no namespace")
        if vouched_by is None and self._checks_namespaces:
            registered = await self._state.namespaces.key_hash(namespace_id)
            # Compared also where there is none, so that time does not tell which there are.
            right = hmac.compare_digest(hash_of(key_hash), hash_of(registered or ""))
            if not registered or not right:
                raise UnauthorizedError(_WRONG_NAMESPACE)
        identity = f"{NAMESPACE_PREFIX}{namespace_id}"
        return Caller(CallerKind.NAMESPACE, self._creator(identity), identity)

    def _refuse_unchecked(self, request: HTTPConnection, caller: Caller | None) -> None:
        """Let a namespace whose key hash nobody checks reach its sessions, and nothing else."""
        checked = caller is not None or self._checks_namespaces
        if not checked and not request.scope["path"].startswith(_UNCHECKED_REACH):
            raise UnauthorizedError(_MISSING)

    def private_name(self, caller: Caller, name: str) -> str:
        """Return a name that a caller alone has, derived from one that they chose."""
        return creator_id(self._secret, f"name:{caller.creator}:{name}")

    async def aclose(self) -> None:
        """Give back what is held."""
        if self._user_tokens is not None:
            await self._user_tokens.aclose()

    async def _by_credential(self, credential: str) -> Caller:
        known = self._api_keys.hash_of_known(credential)
        if known is not None:
            return Caller(CallerKind.BACKEND, self._creator(f"key:{known}"))
        known = self._operator_keys.hash_of_known(credential)
        if known is not None:
            return Caller(CallerKind.OPERATOR, self._creator(f"operator:{known}"))
        if self._user_tokens is None:
            raise UnauthorizedError("the credential is not valid")
        subject = await self._user_tokens.subject(credential)
        return Caller(CallerKind.USER, self._creator(f"user:{subject}"), subject)

    def _creator(self, name: str) -> str:
        return creator_id(self._secret, name)


def _credential(request: HTTPConnection) -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme:
        raise UnauthorizedError(_MISSING)
    return request.headers.get(API_KEY_HEADER) or None
