"""The keys of a Supabase project: minted here, as nobody issues any for a local one."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

TEN_YEARS_S = 10 * 365 * 24 * 3600


@dataclass(frozen=True)
class SupabaseKeys:
    """Every key that a project hands out.

    Attributes:
        jwt_secret: signs tokens, HS256.
        anon_key: the legacy key of browsers, a token of role anon.
        service_role_key: the legacy key of servers, a token of role service_role.
        publishable_key: the opaque key that replaces ``anon_key``.
        secret_key: the opaque key that replaces ``service_role_key``.
        signing_key: signs tokens, ES256: a private JWK, as its owner imported it.
    """

    jwt_secret: str = field(repr=False)
    anon_key: str = field(repr=False)
    service_role_key: str = field(repr=False)
    publishable_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    signing_key: str = field(repr=False)

    @classmethod
    def generate(cls) -> SupabaseKeys:
        """Make the keys of a new project."""
        jwt_secret = secrets.token_urlsafe(36)
        return cls(
            jwt_secret=jwt_secret,
            anon_key=mint_token(jwt_secret, "anon", {"iss": "supabase"}, TEN_YEARS_S),
            service_role_key=mint_token(
                jwt_secret, "service_role", {"iss": "supabase"}, TEN_YEARS_S
            ),
            publishable_key=f"sb_publishable_{secrets.token_urlsafe(24)}",
            secret_key=f"sb_secret_{secrets.token_urlsafe(24)}",
            signing_key=json.dumps(new_signing_key()),
        )

    def verification_keys(self) -> str:
        """Return the JWK set (RFC 7517) by which PostgREST verifies tokens of either kind."""
        private = json.loads(self.signing_key)
        public = {name: value for name, value in private.items() if name not in ("d", "key_ops")}
        k = base64.urlsafe_b64encode(self.jwt_secret.encode()).rstrip(b"=").decode()
        shared = {"kty": "oct", "alg": "HS256", "k": k}
        return json.dumps({"keys": [{**public, "key_ops": ["verify"]}, shared]})

    def tokens_by_api_key(self) -> dict[str, str]:
        """Return every key that the gateway takes, with the token it stands for."""
        return {
            self.anon_key: self.anon_key,
            self.service_role_key: self.service_role_key,
            self.publishable_key: self.anon_key,
            self.secret_key: self.service_role_key,
        }


def new_signing_key() -> dict[str, Any]:
    """Make a private JWK in the form of ``supabase gen signing-key --algorithm ES256``."""
    private = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(private, as_dict=True)
    return {**jwk, "kid": str(uuid.uuid4()), "use": "sig", "alg": "ES256", "key_ops": ["sign"]}


def mint_token(
    jwt_secret: str,
    role: str,
    claims: Mapping[str, object] | None = None,
    lifetime_s: float = 3600.0,
) -> str:
    """Sign a token that PostgREST takes.

    Args:
        jwt_secret: the project's secret.
        role: the database role that the request runs as.
        claims: further claims, such as ``sub`` for a user's id; they win over ours.
        lifetime_s: seconds from now until it expires; negative for one that has.

    Returns:
        The token.
    """
    now = int(time.time())
    payload = {"role": role, "iat": now, "exp": now + int(lifetime_s), **(claims or {})}
    return jwt.encode(payload, jwt_secret, algorithm="HS256")
