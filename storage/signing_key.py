"""The key that signs users' tokens, read from the settings and found usable, or refused.

Hosted Supabase takes tokens signed with its legacy secret (HS256) or with an imported key
(ES256), made by ``supabase gen signing-key --algorithm ES256``: a private JWK with its
``kid`` (https://supabase.com/docs/guides/auth/signing-keys).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config import ConfigError, StoreSettings

_KEY = "SUPABASE_JWT_SIGNING_KEY"


@dataclass(frozen=True)
class SigningKey:
    """What tokens are signed with.

    Attributes:
        variable: the setting that it came from, for complaints.
        algorithm: HS256 or ES256 (RFC 7518, section 3.1).
        secret: the shared secret, or the private key; in no repr and no log.
        key_id: the ``kid`` by which the project finds the key that verifies.
    """

    variable: str
    algorithm: str
    secret: str | EllipticCurvePrivateKey = field(repr=False)
    key_id: str | None = None


def signing_key(settings: StoreSettings) -> SigningKey | None:
    """Return the key that the settings give, or None where they give none.

    SUPABASE_JWT_SIGNING_KEY goes before SUPABASE_JWT_SECRET: a project that moves to
    signing keys has both for a while.

    Raises:
        ConfigError: the key cannot be used; the text says why and never what it was.
    """
    if settings.supabase_signing_key is not None:
        key, key_id = _private_key(settings.supabase_signing_key)
        key_id = settings.supabase_signing_key_id or key_id
        if not key_id:
            raise _unusable(f"has no key id; set {_KEY}_ID to the kid that the project shows")
        return SigningKey(_KEY, "ES256", key, key_id)
    if settings.supabase_jwt_secret is not None:
        return SigningKey("SUPABASE_JWT_SECRET", "HS256", settings.supabase_jwt_secret)
    return None


def _private_key(text: str) -> tuple[EllipticCurvePrivateKey, str | None]:
    if text.lstrip().startswith("-----BEGIN"):
        return _from_pem(text), None
    jwk = _only_private_jwk(text)
    try:
        key = jwt.PyJWK.from_dict(jwk, algorithm="ES256").key
    except (jwt.PyJWTError, ValueError, TypeError):
        raise _unusable("is not a valid ES256 JWK (kty EC, crv P-256)") from None
    key_id = jwk.get("kid")
    return _checked(key), key_id if isinstance(key_id, str) else None


def _from_pem(text: str) -> EllipticCurvePrivateKey:
    # A variable of one line has its line breaks written as \n.
    pem = text.replace("\\n", "\n").encode()
    try:
        return _checked(load_pem_private_key(pem, password=None))
    except (ValueError, TypeError):
        raise _unusable("is not an unencrypted PEM private key") from None


def _only_private_jwk(text: str) -> dict[str, Any]:
    """Read one JWK, or the list that Supabase's own tools keep keys in."""
    try:
        given = json.loads(text)
    except ValueError:
        raise _unusable("is neither a private JWK (JSON) nor a PEM private key") from None
    keys = given.get("keys", [given]) if isinstance(given, dict) else given
    listed = keys if isinstance(keys, list) else []
    private = [key for key in listed if isinstance(key, dict) and "d" in key]
    if len(private) != 1:
        raise _unusable(f"must hold one private key (a JWK with d), and holds {len(private)}")
    return private[0]


def _checked(key: object) -> EllipticCurvePrivateKey:
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise _unusable("is not an ES256 key: a private key on the curve P-256")
    return key


def _unusable(why: str) -> ConfigError:
    return ConfigError(f"{_KEY}: {why}. See .env.example.")
