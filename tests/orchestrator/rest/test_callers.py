"""Who is let in, and as whom."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from storage.signing_key import SigningKey
from storage.user_tokens import UserTokens as WorkerTokens
from tests.orchestrator.rest.world import (
    ALICE,
    API_KEY,
    DEVELOPMENT,
    ISSUER,
    JWT_SECRET,
    PRODUCTION,
    World,
    bearer,
    claims_of,
    orchestrating,
    user_token,
)

PATH = "/api/token"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)


async def status_with(world: World, credential: str) -> int:
    answer = await world.client.post(PATH, headers=bearer(credential))
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert credential not in answer.text
    return answer.status_code


async def test_an_api_key_is_taken_in_either_header(production: World):
    assert await status_with(production, API_KEY) == 201
    answer = await production.client.post(PATH, headers={"X-API-Key": API_KEY})
    assert answer.status_code == 201


@pytest.mark.parametrize("key", ["wrong", API_KEY[:-1], API_KEY.upper(), ""])
async def test_another_key_is_not(production: World, key):
    answer = await production.client.post(PATH, headers={"X-API-Key": key})
    assert answer.status_code == 401
    if key:
        assert await status_with(production, key) == 401


async def test_another_scheme_is_not(production: World):
    basic = base64.b64encode(f"x:{API_KEY}".encode()).decode()
    answer = await production.client.post(PATH, headers={"Authorization": f"Basic {basic}"})
    assert answer.status_code == 401


async def test_a_users_token_is_taken(production: World):
    assert await status_with(production, user_token()) == 201


WRONG_CLAIMS: list[dict[str, Any]] = [
    {"iss": "https://elsewhere.example/auth/v1"},
    {"iss": None},
    {"aud": "anon"},
    {"aud": None},
    {"exp": int(time.time()) - 60},
    {"exp": None},
    {"role": "anon"},
    {"role": "service_role"},
    {"role": None},
    {"sub": ""},
    {"sub": None},
    {"sub": "x" * 300},
    {"sub": "anon:1"},
    {"sub": "ns:acme"},
]


async def test_a_token_with_a_claim_that_is_wrong_or_missing_is_not(production: World):
    for claims in WRONG_CLAIMS:
        token = user_token(**{"sub": ALICE, **claims})
        assert await status_with(production, token) == 401, claims


async def test_a_token_of_another_secret_is_not(production: World):
    assert await status_with(production, user_token(secret="x" * 40)) == 401


async def test_a_token_without_a_signature_is_not(production: World):
    _, body, _ = user_token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    assert await status_with(production, f"{head}.{body}.") == 401


async def test_a_token_that_our_worker_mints_is_refused(quiet_livekit):
    minted = WorkerTokens(SigningKey("SUPABASE_JWT_SECRET", "HS256", JWT_SECRET)).token_for(ALICE)
    for issuer in (ISSUER, "voice-agent-memory"):
        environ = {**PRODUCTION, "SUPABASE_JWT_ISSUER": issuer}
        async with orchestrating(quiet_livekit, **environ) as world:
            assert await status_with(world, minted) == 401


async def test_a_token_to_join_a_room_is_no_credential(production: World):
    started = await production.start("alice")
    assert await status_with(production, started["token"]) == 401


def jwk_of(key, algorithm, kid: str) -> dict[str, str]:
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


@pytest.fixture
def jwks() -> Iterator[str]:
    """The URL of a project's published keys."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    keys = [jwk_of(EC_KEY, ECAlgorithm, "ec"), jwk_of(RSA_KEY, RSAAlgorithm, "rsa")]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": keys}).encode())

        def log_message(self, *_) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()
    thread.join()
    server.server_close()


def signed(key, algorithm: str, kid: str | None) -> str:
    claims = jwt.decode(user_token(), options={"verify_signature": False})
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


async def test_published_keys_verify_tokens_of_their_own_algorithm(quiet_livekit, jwks):
    environ = {**PRODUCTION, "SUPABASE_JWKS_URL": jwks, "SUPABASE_JWT_SECRET": ""}
    async with orchestrating(quiet_livekit, **environ) as world:
        assert await status_with(world, signed(EC_KEY, "ES256", "ec")) == 201
        assert await status_with(world, signed(RSA_KEY, "RS256", "rsa")) == 201
        assert await status_with(world, signed(RSA_KEY, "RS256", "ec")) == 401
        assert await status_with(world, signed(EC_KEY, "ES256", "unknown")) == 401
        stranger = ec.generate_private_key(ec.SECP256R1())
        assert await status_with(world, signed(stranger, "ES256", "ec")) == 401
        # HS256 is not configured here, so that a public key never serves as its secret.
        public = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert await status_with(world, signed(public.hex(), "HS256", "rsa")) == 401
        assert await status_with(world, user_token()) == 401


async def test_published_keys_out_of_reach_are_a_503(quiet_livekit):
    environ = {**PRODUCTION, "SUPABASE_JWKS_URL": "http://127.0.0.1:9/jwks"}
    async with orchestrating(quiet_livekit, **environ) as world:
        assert await status_with(world, signed(EC_KEY, "ES256", "ec")) == 503
        assert await status_with(world, API_KEY) == 201


async def test_in_development_an_anonymous_person_stays_the_same(development: World):
    async def subject() -> str:
        answer = await development.client.post(PATH, json={})
        token = answer.json()["participant_token"]
        return str(claims_of(token, development.livekit)["sub"])

    first = await development.client.post(PATH, json={})
    [cookie] = [first.headers["set-cookie"]]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    again = await subject()
    assert again.startswith("anon:")
    assert again == claims_of(first.json()["participant_token"], development.livekit)["sub"]
    name, value = cookie.partition(";")[0].split("=", 1)
    development.client.cookies.clear()
    development.client.cookies.set(name, "somebody-else." + value.rpartition(".")[2])
    assert await subject() not in (again, "anon:somebody-else")


async def test_in_development_callers_are_taken_at_their_word(development: World):
    answer = await development.token(participant_identity="anon:me", room_name="a room of mine")
    claims = claims_of(answer.json()["participant_token"], development.livekit)
    assert (claims["sub"], claims["video"]["room"]) == ("anon:me", "a room of mine")


async def test_in_development_a_wrong_credential_is_still_wrong(quiet_livekit):
    async with orchestrating(quiet_livekit, **DEVELOPMENT) as world:
        assert await status_with(world, "wrong") == 401


@pytest.mark.parametrize("name", ["", "n" * 129, "two words", "\xff", "a/b"])
async def test_a_back_end_acts_for_no_namespace_that_there_cannot_be(production: World, name):
    headers = [(b"X-API-Key", API_KEY.encode()), (b"X-Namespace-Id", name.encode("latin-1"))]
    answer = await production.client.post(PATH, headers=headers)
    assert answer.status_code == 401


async def test_a_host_that_looks_like_a_path_opens_nothing(quiet_livekit):
    environ = {**PRODUCTION, "ENCRYPTION_ENABLED": "false"}
    async with orchestrating(quiet_livekit, **environ) as world:
        for host in ("x/ws/", "x/api/v1/sessions?", "x/ws/#"):
            headers = {"Host": host, "X-Namespace-Id": "acme"}
            answer = await world.client.post(PATH, headers=headers)
            assert answer.status_code == 401, host
