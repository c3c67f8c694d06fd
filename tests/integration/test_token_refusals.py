"""A token that is not one of ours, not any more or not for us reaches nothing."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import jwt
import pytest

from config import Settings
from devstack.keys import SupabaseKeys, new_signing_key
from devstack.servers.supabase import SupabaseProject
from memory import Category, NewMemory, SupabaseMemoryStore
from migrations.apply import apply
from storage import StorageRefusedError, open_storage
from storage.signing_key import SigningKey, signing_key
from storage.supabase_clients import SupabaseClients
from storage.user_tokens import UserTokens
from tests.services import started

SEARCH = "/rpc/search_memory?p_user=WHO&p_words={color}&p_limit=9&p_reach=1"
ANOTHER_SECRET = "another project's secret, longer than 32 bytes"


class Somebody(NamedTuple):
    """A person with one memory, and the project that keeps it."""

    project: SupabaseProject
    uuid: str


def keys_of(project: SupabaseProject, algorithm: str) -> SigningKey:
    keys = project.info.keys
    variables = (
        {"SUPABASE_JWT_SECRET": keys.jwt_secret}
        if algorithm == "HS256"
        else {"SUPABASE_JWT_SIGNING_KEY": keys.signing_key}
    )
    found = signing_key(Settings.from_environment(variables).store)
    assert found is not None
    return found


def clients_with(project: SupabaseProject, tokens: UserTokens) -> SupabaseClients:
    keys = project.info.keys
    return SupabaseClients(
        project.info.url,
        keys.service_role_key,
        timeout_s=5,
        tokens=tokens,
        api_key=keys.publishable_key,
    )


@pytest.fixture(scope="module")
def strict(postgres) -> Iterator[SupabaseProject]:
    """A project that takes tokens for its own audience only."""
    database = postgres.create_supabase_database()
    apply(database.url)
    project = started(lambda: SupabaseProject(database, audience="authenticated"))
    yield project
    project.stop()
    postgres.drop_database(database)


@pytest.fixture
def somebody(strict: SupabaseProject) -> Somebody:
    person = str(uuid.uuid4())
    clients = clients_with(strict, UserTokens(keys_of(strict, "HS256")))
    SupabaseMemoryStore(clients).store(person, [NewMemory(Category.FACT, "color", "indigo")])
    clients.close()
    return Somebody(strict, person)


def ask(somebody: Somebody, token: str, path: str = "/memory?select=value") -> httpx.Response:
    keys = somebody.project.info.keys
    headers = {"apikey": keys.publishable_key, "Authorization": f"Bearer {token}"}
    return httpx.get(f"{somebody.project.info.url}/rest/v1{path}", headers=headers)


def claims(person: str, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "aud": "authenticated",
        "role": "authenticated",
        "sub": person,
        "iat": now - 60,
        "exp": now + 600,
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def hs256(keys: SupabaseKeys, person: str, **changed: Any) -> str:
    return jwt.encode(claims(person, **changed), keys.jwt_secret, "HS256")


def es256(private: dict[str, Any], person: str, kid: str) -> str:
    key = jwt.PyJWK.from_dict(private, "ES256").key
    return jwt.encode(claims(person), key, "ES256", headers={"kid": kid})


def kid_of(keys: SupabaseKeys) -> str:
    return str(json.loads(keys.signing_key)["kid"])


def tampered(keys: SupabaseKeys, person: str) -> str:
    """A good token of somebody else's, its sub replaced and its signature kept."""
    header, _, signature = hs256(keys, str(uuid.uuid4())).split(".")
    return f"{header}.{base64url(json.dumps(claims(person)).encode())}.{signature}"


def confused(keys: SupabaseKeys, person: str) -> str:
    """HS256 with the public key, which everybody knows, as the secret."""
    public = json.dumps(json.loads(keys.verification_keys())["keys"][0])
    parts = ({"alg": "HS256", "typ": "JWT", "kid": kid_of(keys)}, claims(person))
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    signature = hmac.digest(public.encode(), signed.encode(), "sha256")
    return f"{signed}.{base64url(signature)}"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


REFUSED: dict[str, Callable[[SupabaseKeys, str], str]] = {
    "expired": lambda keys, who: hs256(keys, who, exp=int(time.time()) - 60),
    "not yet issued": lambda keys, who: hs256(keys, who, iat=int(time.time()) + 3600),
    "not yet valid": lambda keys, who: hs256(keys, who, nbf=int(time.time()) + 3600),
    "another project's secret": lambda _, who: jwt.encode(claims(who), ANOTHER_SECRET, "HS256"),
    "another key under our key id": lambda keys, who: es256(new_signing_key(), who, kid_of(keys)),
    "another key under its own id": lambda _, who: es256(new_signing_key(), who, "theirs"),
    "alg none": lambda _, who: jwt.encode(claims(who), "", "none"),
    "tampered with": tampered,
    "the public key as a secret": confused,
    "another audience": lambda keys, who: hs256(keys, who, aud="somebody-else"),
    "no role": lambda keys, who: hs256(keys, who, role=None),
    "the anonymous role": lambda keys, who: hs256(keys, who, role="anon"),
    "a superuser's role": lambda keys, who: hs256(keys, who, role="postgres"),
    "an unknown role": lambda keys, who: hs256(keys, who, role="nobody"),
    "a sub that is no uuid": lambda keys, who: hs256(keys, f"{who}' or true --"),
    "no token": lambda *_: "x",
    "no json": lambda *_: "a.b.c",
}


@pytest.mark.parametrize("token_of", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(
    "path",
    [
        "/memory?select=value",
        "/profiles",
        "/rpc/search_memory?p_user=WHO&p_words={color}&p_limit=9&p_reach=1",
    ],
)
def test_a_token_that_is_not_good_reaches_nothing(somebody, path, token_of):
    token = token_of(somebody.project.info.keys, somebody.uuid)
    answer = ask(somebody, token, path.replace("WHO", somebody.uuid))
    assert answer.status_code in (400, 401, 403), answer.text
    assert "indigo" not in answer.text


@pytest.mark.parametrize("sub", [None, "", str(uuid.uuid4())], ids=["none", "empty", "a stranger"])
def test_a_token_without_a_person_reaches_no_row(somebody, sub):
    token = hs256(somebody.project.info.keys, somebody.uuid, sub=sub)
    path = f"/rpc/search_memory?p_user={somebody.uuid}&p_words={{color}}&p_limit=9&p_reach=1"
    for answer in (
        ask(somebody, token),
        ask(somebody, token, "/profiles"),
        ask(somebody, token, path),
    ):
        assert answer.status_code in (400, 403) or answer.json() == [], answer.text


@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
def test_a_minted_token_reaches_its_persons_rows(somebody, algorithm):
    """Else the tests above would prove nothing."""
    token = UserTokens(keys_of(somebody.project, algorithm)).token_for(somebody.uuid)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert ask(somebody, token).json() == [{"value": "indigo"}]


@pytest.mark.parametrize("fast_s", [-300, -60, 60])
def test_a_worker_whose_clock_is_a_little_off_is_understood(somebody, fast_s):
    tokens = UserTokens(keys_of(somebody.project, "HS256"), clock=lambda: time.time() + fast_s)
    assert ask(somebody, tokens.token_for(somebody.uuid)).json() == [{"value": "indigo"}]


@pytest.mark.parametrize(
    ("signing", "variable"),
    [
        (SigningKey("SUPABASE_JWT_SECRET", "HS256", ANOTHER_SECRET), "SUPABASE_JWT_SECRET"),
        (None, "SUPABASE_JWT_SIGNING_KEY"),
    ],
)
def test_a_key_of_another_project_is_named_by_its_variable(somebody, signing, variable):
    if signing is None:
        given = {"SUPABASE_JWT_SIGNING_KEY": json.dumps(new_signing_key())}
        signing = signing_key(Settings.from_environment(given).store)
    clients = clients_with(somebody.project, UserTokens(signing))
    with pytest.raises(StorageRefusedError, match=f"set {variable} to the key of this project"):
        SupabaseMemoryStore(clients).list_memories(somebody.uuid, None, 10)
    clients.close()


def test_before_the_rights_are_granted_the_error_says_to_migrate(postgres):
    database = postgres.create_supabase_database()
    apply(database.url)
    database.execute("revoke all on table public.memory from authenticated")
    with started(lambda: SupabaseProject(database)) as project:
        clients = clients_with(project, UserTokens(keys_of(project, "HS256")))
        with pytest.raises(StorageRefusedError, match="make migrate"):
            SupabaseMemoryStore(clients).list_memories(str(uuid.uuid4()), None, 10)
        clients.close()
    postgres.drop_database(database)


def test_the_opaque_keys_open_the_gateway_for_minted_tokens(somebody):
    keys = somebody.project.info.keys
    for api_key in (keys.publishable_key, keys.secret_key, keys.anon_key, keys.service_role_key):
        storage = open_storage(
            Settings.from_environment(
                {
                    "SUPABASE_URL": somebody.project.info.url,
                    "SUPABASE_SECRET_KEY": keys.secret_key,
                    "SUPABASE_PUBLISHABLE_KEY": api_key,
                    "SUPABASE_JWT_SIGNING_KEY": keys.signing_key,
                }
            ).store
        )
        assert storage.supabase is not None
        # No filter: with the service role's rights it would be everybody's.
        rows = storage.supabase.client_for(somebody.uuid).table("memory").select("value").execute()
        assert rows.data == [{"value": "indigo"}]
        storage.close()
