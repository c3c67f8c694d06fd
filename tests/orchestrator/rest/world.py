"""An orchestrator within the test, over real Redis and a real LiveKit server, and its callers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt

from config import Settings
from devstack.servers.livekit import LiveKitInfo
from orchestrator.app import create_app
from orchestrator.parts import Parts, open_parts

API_KEY = "backend-key-0123456789"
OTHER_API_KEY = "other-backend-key-0123456789"
OPERATOR_KEY = "operator-key-0123456789"
JWT_SECRET = "a-secret-of-the-project-with-32-bytes-or-more"
ISSUER = "https://project.example/auth/v1"
ALICE = "7b1c3c0e-0000-4000-8000-00000000a11c"
BOB = "7b1c3c0e-0000-4000-8000-0000000000b0"

PRODUCTION = {
    "ORCHESTRATOR_API_KEYS": f"{API_KEY},{OTHER_API_KEY}",
    "ORCHESTRATOR_OPERATOR_KEYS": OPERATOR_KEY,
    "SUPABASE_JWT_SECRET": JWT_SECRET,
    "SUPABASE_JWT_ISSUER": ISSUER,
    "RATE_LIMIT": "100000/minute",
}
DEVELOPMENT = {"ORCHESTRATOR_MODE": "development", "RATE_LIMIT": "100000/minute"}


def bearer(credential: str) -> dict[str, str]:
    """Headers with a credential."""
    return {"Authorization": f"Bearer {credential}"}


def user_token(sub: str = ALICE, *, secret: str = JWT_SECRET, **claims: Any) -> str:
    """An access token as Supabase Auth makes them; a claim that is None is left out."""
    given = {
        "iss": ISSUER,
        "aud": "authenticated",
        "role": "authenticated",
        "sub": sub,
        "exp": int(time.time()) + 600,
        **claims,
    }
    return jwt.encode({k: v for k, v in given.items() if v is not None}, secret, "HS256")


def as_namespace(name: str, key_hash: str) -> dict[str, str]:
    """Headers of a namespace's client."""
    return {"X-Namespace-Id": name, "X-Key-Hash": key_hash}


BACKEND = bearer(API_KEY)
OTHER_BACKEND = bearer(OTHER_API_KEY)
OPERATOR = bearer(OPERATOR_KEY)


@dataclass
class World:
    """A running orchestrator.

    Attributes:
        client: speaks to it from loopback.
        parts: what it is made of.
        livekit: the server it works with.
    """

    client: httpx.AsyncClient
    parts: Parts
    livekit: LiveKitInfo
    headers: Mapping[str, str] = field(default_factory=dict)
    acme: str = "acme"
    other: str = "other"

    async def start(self, name: str = "Alice", **more: Any) -> dict[str, Any]:
        """Start a session in the first style."""
        headers = more.pop("headers", self.headers)
        body = {"userName": name, **more}
        answer = await self.client.post("/api/session/start", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def create(self, namespace: str = "acme", **more: Any) -> httpx.Response:
        """Create a session in the second style."""
        body = {"namespace_id": namespace, "key_hash": key_hash_of(namespace), **more}
        return await self.client.post("/api/v1/sessions", json=body)

    async def register(self, *namespaces: str) -> None:
        """Register namespaces."""
        for each in namespaces:
            await self.parts.state.namespaces.put(each, key_hash_of(each))

    async def token(self, **body: Any) -> httpx.Response:
        """Ask for a token."""
        headers = body.pop("headers", self.headers)
        return await self.client.post("/api/token", json=body, headers=headers)


def key_hash_of(namespace: str) -> str:
    """The key hash that tests register for a namespace."""
    return f"hash-of-{namespace}-0123456789"


@asynccontextmanager
async def orchestrating(
    livekit: LiveKitInfo,
    *,
    redis_url: str = "",
    address: str = "127.0.0.1",
    **environ: str,
) -> AsyncIterator[World]:
    """Run an orchestrator with these variables."""
    settings = Settings.from_environment(
        {
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
            "LIVEKIT_AGENT_NAME": "assistant",
            "MEMORY_ENABLED": "false",
            # Other tests' orchestrators have rooms on the same server.
            "RECONCILE_AGE_S": "3600",
            "RECONCILE_EVERY_S": "3600",
            "REDIS_URL": redis_url,
            **environ,
        }
    )
    async with open_parts(settings) as parts:
        app = create_app(settings, parts)
        app.state.parts = parts
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 4711))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000"
        ) as client:
            yield World(client, parts, livekit)


def claims_of(token: str, livekit: LiveKitInfo) -> dict[str, Any]:
    """What a token to join says, its signature checked."""
    return dict(jwt.decode(token, livekit.api_secret, algorithms=["HS256"]))
