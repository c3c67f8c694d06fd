"""Tokens that act as one person: what they claim, how long they are kept, which keys sign them."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from config import ConfigError, Settings
from devstack.keys import new_signing_key
from storage import StorageRejectedError, decide_backend, open_storage
from storage.signing_key import SigningKey, signing_key
from storage.supabase_clients import MOST_CLIENTS, SupabaseClients
from storage.user_tokens import ISSUER, LIFETIME_S, MOST_CACHED, UserTokens

SECRET = "a secret of a project, longer than 32 bytes"
ALICE = "edabafbb-61ad-51d6-9fd8-e976c892a731"
BOB = "1bbc064c-d74a-56e6-a2b9-009139975e85"
NOON = 1_780_000_000.0


class Clock:
    """The wall clock, as a test sets it."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def shared_secret() -> SigningKey:
    return SigningKey("SUPABASE_JWT_SECRET", "HS256", SECRET)


def claims_of(token: str) -> dict[str, Any]:
    """The claims, signature checked; expiry is what the tests are about."""
    return jwt.decode(
        token,
        SECRET,
        algorithms=["HS256"],
        audience="authenticated",
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )


def given_key(**variables: str) -> SigningKey | None:
    return signing_key(Settings.from_environment(variables).store)


def pem_of(private_key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


# --- what a token claims


def test_a_token_names_its_person_its_role_its_audience_and_us_as_its_issuer():
    claims = claims_of(UserTokens(shared_secret(), clock=Clock()).token_for(ALICE))
    assert claims == {
        "iss": ISSUER,
        "aud": "authenticated",
        "role": "authenticated",
        "sub": ALICE,
        "iat": NOON - 60,
        "exp": NOON + LIFETIME_S,
    }


def test_the_person_is_named_as_the_database_writes_a_uuid():
    tokens = UserTokens(shared_secret())
    assert claims_of(tokens.token_for(ALICE.upper()))["sub"] == ALICE
    assert tokens.token_for(f"{{{ALICE}}}") == tokens.token_for(ALICE)


@pytest.mark.parametrize("no_uuid", ["", "alice@example.com", ALICE[:-1], "*", None])
def test_nobody_gets_a_token_who_is_no_uuid(no_uuid):
    with pytest.raises(StorageRejectedError, match="not a uuid"):
        UserTokens(shared_secret()).token_for(no_uuid)


# --- renewal


def test_a_token_is_kept_for_half_its_life_and_renewed_then():
    clock = Clock()
    tokens = UserTokens(shared_secret(), clock=clock)
    first = tokens.token_for(ALICE)
    clock.now += LIFETIME_S / 2 - 1
    assert tokens.token_for(ALICE) == first
    clock.now += 1
    second = tokens.token_for(ALICE)
    assert second != first
    assert claims_of(second)["exp"] == clock.now + LIFETIME_S


@given(st.lists(st.floats(-7_200, 7_200), max_size=30))
def test_however_the_clock_moves_a_token_handed_out_is_good_for_half_its_life(steps):
    clock = Clock()
    tokens = UserTokens(shared_secret(), clock=clock)
    for step in steps:
        clock.now += step
        claims = claims_of(tokens.token_for(ALICE))
        assert claims["exp"] >= clock.now + LIFETIME_S / 2 - 1
        assert claims["exp"] <= clock.now + LIFETIME_S
        assert claims["iat"] <= clock.now - 59


def test_over_an_hours_call_no_request_is_sent_with_an_old_token():
    clock = Clock()
    tokens = UserTokens(shared_secret(), clock=clock)
    used = set()
    for _ in range(360):
        clock.now += 10
        token = tokens.token_for(ALICE)
        assert claims_of(token)["exp"] - clock.now >= LIFETIME_S / 2 - 1
        used.add(token)
    assert len(used) == 3_600 / (LIFETIME_S / 2)


def test_a_bounded_number_of_people_is_kept_those_asked_for_last():
    clock = Clock()
    tokens = UserTokens(shared_secret(), clock=clock)
    first, second = tokens.token_for(ALICE), tokens.token_for(BOB)
    clock.now += 1  # what is minted anew differs
    for _ in range(MOST_CACHED - 1):
        tokens.token_for(str(uuid.uuid4()))
        assert tokens.token_for(ALICE) == first
    assert tokens.token_for(BOB) != second


def test_fifty_threads_that_ask_at_once_get_one_token_each_their_own():
    tokens = UserTokens(shared_secret())
    people = [str(uuid.uuid4()) for _ in range(10)]
    together = threading.Barrier(50)

    def ask(number: int) -> tuple[str, str]:
        together.wait()
        person = people[number % 10]
        return person, tokens.token_for(person)

    with ThreadPoolExecutor(50) as executor:
        answers = set(executor.map(ask, range(50)))
    assert len(answers) == 10
    assert all(claims_of(token)["sub"] == person for person, token in answers)


# --- clients


def clients(**settings: object) -> SupabaseClients:
    return SupabaseClients("http://127.0.0.1:9", "service-key", timeout_s=1, **settings)  # type: ignore[arg-type]


def sent(client: object) -> tuple[str, str]:
    headers = client.postgrest.headers  # type: ignore[attr-defined]
    return headers["apikey"], headers["Authorization"]


def test_a_persons_client_sends_the_gateways_key_and_the_persons_token():
    tokens = UserTokens(shared_secret())
    made = clients(tokens=tokens, api_key="sb_publishable_x")
    assert sent(made.client_for(ALICE)) == (
        "sb_publishable_x",
        f"Bearer {tokens.token_for(ALICE)}",
    )
    assert sent(made.service_client()) == ("service-key", "Bearer service-key")
    made.close()


def test_without_another_key_the_service_key_opens_the_gateway_and_the_token_decides():
    tokens = UserTokens(shared_secret())
    made = clients(tokens=tokens)
    assert sent(made.client_for(ALICE)) == ("service-key", f"Bearer {tokens.token_for(ALICE)}")
    made.close()


def test_without_tokens_everybody_is_served_by_the_service_role():
    made = clients()
    assert made.client_for(ALICE) is made.client_for(BOB) is made.service_client()
    made.close()


def test_a_client_is_kept_with_its_token_and_never_changed():
    clock = Clock()
    made = clients(tokens=UserTokens(shared_secret(), clock=clock))
    first = made.client_for(ALICE)
    before = sent(first)
    assert made.client_for(ALICE) is first
    clock.now += LIFETIME_S
    renewed = made.client_for(ALICE)
    assert renewed is not first
    assert sent(renewed) != sent(first) == before
    made.close()


def test_a_bounded_number_of_clients_is_kept():
    made = clients(tokens=UserTokens(shared_secret()))
    first = made.client_for(ALICE)
    for _ in range(MOST_CLIENTS):
        made.client_for(str(uuid.uuid4()))
    assert made.client_for(ALICE) is not first
    assert len(made._by_token) == MOST_CLIENTS
    made.close()


# --- keys


def test_without_a_key_no_tokens_are_minted():
    assert given_key() is None


def test_the_legacy_secret_signs_with_hs256():
    assert given_key(SUPABASE_JWT_SECRET=SECRET) == shared_secret()


def in_a_list(key: dict[str, object]) -> str:
    return json.dumps([key])


def in_a_key_set(key: dict[str, object]) -> str:
    return json.dumps({"keys": [{"kty": "oct", "k": "c2hhcmVk"}, key]})


@pytest.mark.parametrize("written", [json.dumps, in_a_list, in_a_key_set])
def test_a_jwk_as_supabases_tools_write_it_signs_with_es256_and_its_key_id(written):
    jwk = new_signing_key()
    key = given_key(SUPABASE_JWT_SIGNING_KEY=written(jwk))
    assert key is not None
    token = UserTokens(key).token_for(ALICE)
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": jwk["kid"], "typ": "JWT"}
    public = jwt.PyJWK.from_dict({name: jwk[name] for name in ("kty", "crv", "x", "y")}, "ES256")
    claims = jwt.decode(token, public, algorithms=["ES256"], audience="authenticated")
    assert claims["sub"] == ALICE


@pytest.mark.parametrize("line_break", ["\n", "\\n"])
def test_a_pem_key_signs_with_the_key_id_that_is_given_beside_it(line_break):
    private = ec.generate_private_key(ec.SECP256R1())
    pem = pem_of(private).replace("\n", line_break)
    key = given_key(SUPABASE_JWT_SIGNING_KEY=pem, SUPABASE_JWT_SIGNING_KEY_ID="key-1")
    assert key is not None
    token = UserTokens(key).token_for(ALICE)
    assert jwt.get_unverified_header(token)["kid"] == "key-1"
    assert jwt.decode(token, private.public_key(), ["ES256"], audience="authenticated")


def test_the_signing_key_goes_before_the_secret():
    variables = {"SUPABASE_JWT_SIGNING_KEY": json.dumps(new_signing_key())}
    key = given_key(SUPABASE_JWT_SECRET=SECRET, **variables)
    assert key is not None
    assert key.algorithm == "ES256"


def without(*names: str) -> str:
    return json.dumps({k: v for k, v in new_signing_key().items() if k not in names})


def with_values(**values: str) -> str:
    return json.dumps({**new_signing_key(), **values})


UNUSABLE = {
    "text": ("hunter2-hunter2", "neither"),
    "json that is no key": ("7", "one private key"),
    "an empty list": ("[]", "one private key"),
    "the public part": (without("d"), "one private key"),
    "two keys": (json.dumps([new_signing_key(), new_signing_key()]), "holds 2"),
    "no key id": (without("kid"), "no key id"),
    "half a key": (without("x"), "not a valid ES256"),
    "another curve": (with_values(crv="P-384"), "not a valid ES256"),
    "a point off the curve": (with_values(x="AAAA"), "not a valid ES256"),
    "another kind": (with_values(kty="RSA"), "not a valid ES256"),
    "broken pem": ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "PEM"),
    "pem without an id": (pem_of(ec.generate_private_key(ec.SECP256R1())), "no key id"),
    "pem of rsa": (pem_of(rsa.generate_private_key(65537, 2048)), "not an ES256 key"),
    "pem of another curve": (pem_of(ec.generate_private_key(ec.SECP384R1())), "P-256"),
}


@pytest.mark.parametrize(("text", "complaint"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_sign_is_refused_by_its_variable_and_not_repeated(text, complaint):
    with pytest.raises(
        ConfigError, match=rf"^SUPABASE_JWT_SIGNING_KEY: .*{complaint}.*See .env"
    ) as refused:
        given_key(SUPABASE_JWT_SIGNING_KEY=text)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("too short", "32 bytes"),
        ("sb_secret_abcdefghijklmnopqrstuvwxyz", "not an API key"),
        (jwt.encode({"role": "anon"}, SECRET, "HS256"), "not an API key"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_by_its_variable(secret, complaint):
    with pytest.raises(ConfigError, match=rf"^SUPABASE_JWT_SECRET: .*{complaint}"):
        given_key(SUPABASE_JWT_SECRET=secret)


def project(**variables: str) -> dict[str, str]:
    return {"SUPABASE_URL": "http://127.0.0.1:9", **variables}


def test_a_signing_key_without_a_service_role_key_is_refused_as_nobody_makes_profiles():
    with pytest.raises(ConfigError, match=r"^SUPABASE_SERVICE_ROLE_KEY: "):
        Settings.from_environment(project(SUPABASE_ANON_KEY="a", SUPABASE_JWT_SECRET=SECRET))


def test_an_unusable_signing_key_is_found_before_any_job_starts():
    settings = Settings.from_environment(
        project(SUPABASE_SERVICE_ROLE_KEY="s", SUPABASE_JWT_SIGNING_KEY="nonsense")
    )
    with pytest.raises(ConfigError, match=r"^SUPABASE_JWT_SIGNING_KEY: "):
        decide_backend(settings.store)


# --- secrecy


def test_neither_the_key_nor_a_token_is_in_a_repr_or_a_log(caplog):
    caplog.set_level(logging.DEBUG)
    jwk = new_signing_key()
    for variables in (
        {"SUPABASE_JWT_SECRET": SECRET},
        {"SUPABASE_JWT_SIGNING_KEY": json.dumps(jwk)},
    ):
        settings = Settings.from_environment(project(SUPABASE_SERVICE_ROLE_KEY="s", **variables))
        storage = open_storage(settings.store)
        assert storage.supabase is not None
        client = storage.supabase.client_for(ALICE)
        tokens = storage.supabase._tokens
        assert tokens is not None
        token = tokens.token_for(ALICE)
        shown = " ".join(
            map(repr, (settings, storage, client, tokens, tokens.key, tokens._kept[ALICE]))
        )
        for secret in (SECRET, jwk["d"], token):
            assert secret not in shown
            assert secret not in caplog.text
        storage.close()
