"""The look-alike of a hosted Supabase project behaves as one, seen through its REST API."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest

from devstack.for_pytest import skip_where_unavailable
from devstack.keys import SupabaseKeys, mint_token
from devstack.servers.postgres import Postgres
from devstack.servers.supabase import SupabaseProject
from tests import leaks
from tests.integration.devstack_rest import Answer, as_key, request

pytestmark = pytest.mark.timeout(300)  # the first run on a machine downloads the servers

NOTES = """
    create table notes (owner uuid, body text);
    insert into notes values (null, 'everybody''s'), ('{owner}', 'hers');
"""
OWN_ROWS_ONLY = """
    alter table notes enable row level security;
    alter table notes force row level security;
    create policy own on notes using (owner = (select auth.uid()));
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    with leaks.shared(), skip_where_unavailable():
        server.start()
    yield server
    server.stop()


@contextmanager
def running_project(postgres: Postgres, migration: str = "") -> Iterator[SupabaseProject]:
    database = postgres.create_supabase_database()
    database.execute(migration)
    with skip_where_unavailable(), SupabaseProject(database) as running:
        yield running
    postgres.drop_database(database)


@pytest.fixture
def project(postgres: Postgres) -> Iterator[SupabaseProject]:
    with running_project(postgres) as running:
        yield running


@pytest.fixture
def user_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def notes(postgres: Postgres, user_id: str) -> Iterator[SupabaseProject]:
    """A project with a table that belongs to nobody in particular yet."""
    with running_project(postgres, NOTES.format(owner=user_id)) as running:
        yield running


def as_user(keys: SupabaseKeys, user_id: str, **claims: object) -> dict[str, str]:
    token = mint_token(keys.jwt_secret, "authenticated", {"sub": user_id, **claims})
    return {"apikey": keys.anon_key, "Authorization": f"Bearer {token}"}


def bodies(answer: Answer) -> list[str]:
    assert isinstance(answer.content, list), answer
    return sorted(row["body"] for row in answer.content)


# --- roles and privileges


def test_a_fresh_table_is_open_to_anon_until_a_migration_closes_it(notes):
    """As hosted: otherwise a test that anon reaches nothing would prove nothing."""
    anon = as_key(notes.info.keys.anon_key)
    assert bodies(request(notes.info.url, "/rest/v1/notes", anon)) == ["everybody's", "hers"]
    written = request(notes.info.url, "/rest/v1/notes", anon, "POST", {"body": "anon's"})
    assert written.status == 201


def test_anon_may_call_a_fresh_function_and_use_a_fresh_sequence(project):
    project.info.database.execute(
        "create function add(a int, b int) returns int language sql as 'select a + b';"
        "create table counted (id bigserial, body text);"
    )
    project.reload_schema()
    anon = as_key(project.info.keys.anon_key)
    url = project.info.url
    assert request(url, "/rest/v1/rpc/add", anon, "POST", {"a": 2, "b": 3}).content == 5
    assert request(url, "/rest/v1/counted", anon, "POST", {"body": "x"}).status == 201


def test_row_level_security_holds_for_anon_and_not_for_the_service_role(notes):
    notes.info.database.execute(OWN_ROWS_ONLY)
    keys, url = notes.info.keys, notes.info.url
    assert bodies(request(url, "/rest/v1/notes", as_key(keys.anon_key))) == []
    service = as_key(keys.service_role_key)
    assert bodies(request(url, "/rest/v1/notes", service)) == ["everybody's", "hers"]


def test_a_user_sees_their_own_rows_by_the_sub_of_their_token(notes, user_id):
    notes.info.database.execute(OWN_ROWS_ONLY)
    keys, url = notes.info.keys, notes.info.url
    assert bodies(request(url, "/rest/v1/notes", as_user(keys, user_id))) == ["hers"]
    stranger = as_user(keys, str(uuid.uuid4()))
    assert bodies(request(url, "/rest/v1/notes", stranger)) == []


def test_the_auth_functions_read_the_callers_token(project, user_id):
    project.info.database.execute(
        "create function whoami() returns jsonb language sql as $$ select jsonb_build_object("
        "'uid', auth.uid(), 'role', auth.role(), 'shoe', auth.jwt() ->> 'shoe') $$"
    )
    project.reload_schema()
    keys, url = project.info.keys, project.info.url
    user = as_user(keys, user_id, shoe="44")
    said = request(url, "/rest/v1/rpc/whoami", user, "POST", {}).content
    assert said == {"uid": user_id, "role": "authenticated", "shoe": "44"}
    said = request(url, "/rest/v1/rpc/whoami", as_key(keys.anon_key), "POST", {}).content
    assert said == {"uid": None, "role": "anon", "shoe": None}


@pytest.mark.parametrize(
    "setting", ['request.jwt.claims = \'{"sub": "%s"}\'', "request.jwt.claim.sub = '%s'"]
)
def test_the_users_id_is_read_from_either_form_of_the_claims(setting, postgres, user_id):
    database = postgres.create_supabase_database()
    with psycopg.connect(database.socket_url()) as connection:
        assert connection.execute("select auth.uid()").fetchone() == (None,)
        connection.execute(f"set {setting % user_id}".encode())
        assert connection.execute("select auth.uid()").fetchone() == (uuid.UUID(user_id),)
    postgres.drop_database(database)


def test_the_authenticator_can_do_nothing_but_become_the_three_roles(postgres):
    database = postgres.create_supabase_database()
    database.execute("create table notes (body text)")
    with psycopg.connect(database.socket_url("authenticator"), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from notes")
        for role in (b"anon", b"authenticated", b"service_role"):
            connection.execute(b"set role " + role)
            connection.execute("select * from notes")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("set role postgres")
    postgres.drop_database(database)


def test_the_roles_can_be_given_to_a_database_twice(postgres):
    database = postgres.create_supabase_database()
    postgres.make_supabase(database)
    postgres.drop_database(database)


@pytest.mark.parametrize(
    ("token_of", "status"),
    [
        (lambda keys: mint_token(keys.jwt_secret, "service_role", lifetime_s=-60), 401),
        (lambda keys: mint_token("another secret, also of 32 characters", "service_role"), 401),
        (lambda keys: mint_token(keys.jwt_secret, "service_role"), 200),
    ],
    ids=["expired", "forged", "good"],
)
def test_a_token_of_the_callers_own_is_judged_by_postgrest(token_of, status, notes):
    headers = as_key(notes.info.keys.anon_key)
    headers["Authorization"] = f"Bearer {token_of(notes.info.keys)}"
    assert request(notes.info.url, "/rest/v1/notes", headers).status == status


def test_anon_is_cut_off_after_three_seconds_as_hosted(project):
    project.info.database.execute(
        "create function limits() returns text language sql as "
        "$$ select current_setting('statement_timeout') $$"
    )
    project.reload_schema()
    keys, url = project.info.keys, project.info.url
    answer = request(url, "/rest/v1/rpc/limits", as_key(keys.anon_key), "POST", {})
    assert answer.content == "3s"


# --- schema


@pytest.mark.parametrize("pause_s", [0.0, 0.05, 0.1, 0.15])
def test_reload_schema_returns_once_the_newest_table_is_served(pause_s, project):
    """Even when PostgREST is in the middle of a reload that began before the table."""
    for number in range(2):
        project.info.database.execute(f"create table first{number} (id int)")
        time.sleep(pause_s)
        project.info.database.execute(f"create table last{number} (id int)")
        project.reload_schema()
        served = request(project.postgrest.info.url, "/", {}).content
        assert isinstance(served, dict)
        assert f"last{number}" in served["definitions"]


# --- keys


def test_the_opaque_keys_stand_for_their_roles(notes):
    notes.info.database.execute(OWN_ROWS_ONLY)
    keys, url = notes.info.keys, notes.info.url
    everything = ["everybody's", "hers"]
    assert bodies(request(url, "/rest/v1/notes", as_key(keys.secret_key))) == everything
    assert bodies(request(url, "/rest/v1/notes", as_key(keys.publishable_key))) == []


def test_postgrest_itself_refuses_an_opaque_key(notes):
    """Which is why the gateway has to know them."""
    headers = {"Authorization": f"Bearer {notes.info.keys.secret_key}"}
    assert request(notes.postgrest.info.url, "/notes", headers).status == 401


def test_the_gateway_answers_502_with_a_page_while_postgrest_is_down(notes):
    headers = as_key(notes.info.keys.anon_key)
    notes.postgrest.kill()
    answer = request(notes.info.url, "/rest/v1/notes", headers)
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    notes.postgrest.start()
    assert request(notes.info.url, "/rest/v1/notes", headers).status == 200


def test_no_key_is_readable_on_a_command_line(project):
    keys = project.info.keys
    for server in (project.gateway, project.postgrest):
        command = " ".join(psutil.Process(server.pid).cmdline())
        assert not [key for key in (keys.jwt_secret, *keys.tokens_by_api_key()) if key in command]
