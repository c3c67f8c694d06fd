"""Who sent a webhook, and what it says.

LiveKit signs with a JWT in the header Authorization, whose claim ``sha256`` is the body's hash;
older senders put the hex HMAC-SHA256 of the body into X-LiveKit-Signature. A credential that is
wrong is refused also where none would be accepted.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from google.protobuf.json_format import Parse, ParseError
from livekit import api

from orchestrator.errors import BadRequestError, UnauthorizedError

_SCHEME = "bearer "
_DEEPEST = 20
_NOT_ITS_SENDERS = "the webhook's token is not valid for it"


class WebhookVerifier:
    """Reads webhooks that were signed with a LiveKit key.

    Args:
        api_key: the key's name.
        api_secret: the key's secret.
        allow_unsigned: whether a webhook without any signature is believed.
    """

    def __init__(
        self, api_key: str | None, api_secret: str | None, *, allow_unsigned: bool
    ) -> None:
        self._key = api_key or ""
        self._secret = api_secret or ""
        self._allow_unsigned = allow_unsigned

    def read(
        self, body: bytes, *, authorization: str | None, signature: str | None
    ) -> api.WebhookEvent:
        """Return the event of a webhook.

        Args:
            body: as it came.
            authorization: the header Authorization, or None.
            signature: the header X-LiveKit-Signature, or None.

        Raises:
            UnauthorizedError: wrong signature, or none.
            BadRequestError: not JSON, or not an event.
        """
        if authorization:
            self._check_token(body, authorization)
        if signature:
            self._check_hmac(body, signature)
        if not authorization and not signature and not self._allow_unsigned:
            raise UnauthorizedError("the webhook is not signed; sign it with the LiveKit key")
        return _event(body)

    def _check_token(self, body: bytes, authorization: str) -> None:
        token = authorization.strip()
        if token.lower().startswith(_SCHEME):
            token = token[len(_SCHEME) :].strip()
        if not self._key or not self._secret:
            raise UnauthorizedError("no LiveKit key is configured here")
        try:
            claims = api.TokenVerifier(self._key, self._secret).verify(token)
            signed = base64.b64decode(claims.sha256 or "")
        except Exception as error:  # of PyJWT, of base64, and plain ones of the verifier
            raise UnauthorizedError(_NOT_ITS_SENDERS) from error
        if not hmac.compare_digest(hashlib.sha256(body).digest(), signed):
            raise UnauthorizedError(_NOT_ITS_SENDERS)

    def _check_hmac(self, body: bytes, signature: str) -> None:
        right = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest().encode()
        given = signature.strip().lower().encode("utf-8", "replace")
        if not self._secret or not hmac.compare_digest(right, given):
            raise UnauthorizedError("the webhook's X-LiveKit-Signature is not valid for it")


def _event(body: bytes) -> api.WebhookEvent:
    try:
        event = Parse(
            body, api.WebhookEvent(), ignore_unknown_fields=True, max_recursion_depth=_DEEPEST
        )
    except (ParseError, UnicodeDecodeError, RecursionError):
        raise BadRequestError("the body is not a webhook event of LiveKit's, as JSON") from None
    if not event.event:
        raise BadRequestError("event: is missing")
    return event
