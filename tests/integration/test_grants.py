"""Which role may touch what, read from the catalog, and tried over the API as anon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from devstack.servers.database import Database
from devstack.servers.supabase import SupabaseProject
from migrations.apply import apply

BOB = "1bbc064c-d74a-56e6-a2b9-009139975e85"
ALICE = "edabafbb-61ad-51d6-9fd8-e976c892a731"
OURS = "('public'::regnamespace, 'voice_agent'::regnamespace)"

USERS_RIGHTS = {
    "memory": {"SELECT", "INSERT", "DELETE", "UPDATE (superseded_at)"},
    "profiles": {
        "SELECT",
        "INSERT (id)",
        "INSERT (is_first_login)",
        "UPDATE (id)",
        "UPDATE (is_first_login)",
    },
    "user_profiles": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "onboarding_details": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "person_fences": {"SELECT"},
    "turns": {"SELECT", "INSERT", "DELETE"},
}
USERS_FUNCTIONS = {
    "erase_person",
    "set_remembering",
    "withdraw_memory",
    "generation_of",
    "keep_turns",
    "person_words",
    "remember",
    "search_memory",
    "update_onboarding_details",
    "update_user_profile",
}
TRIGGER_FUNCTIONS = {"drop_write_of_older_generation", "drop_write_of_unremembered"}
"""Definers that answer nobody: a trigger's function returns a row to the statement only."""


@pytest.fixture
def catalog(database: Database) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """The catalog of a migrated database in which everything was granted before."""
    database.execute("create table public.left_as_it_comes (x int)")
    apply(database.url)
    with psycopg.connect(database.url) as connection:
        may = connection.execute(
            "select has_table_privilege('anon', 'public.left_as_it_comes', 'select')"
        )
        assert may.fetchone() == (True,), "the database must grant by default as Supabase does"
        connection.execute("drop table public.left_as_it_comes")
        yield connection


def rights(catalog: psycopg.Connection[tuple[Any, ...]], role: str) -> dict[str, set[str]]:
    """What a role was granted on our tables, whole or by column."""
    query = """
        select class.relname, acl.privilege_type, null
        from pg_class as class, aclexplode(class.relacl) as acl
        where class.relnamespace in {ours} and acl.grantee = {role}
        union all
        select class.relname, acl.privilege_type, columns.attname
        from pg_class as class
        join pg_attribute as columns on columns.attrelid = class.oid,
            aclexplode(columns.attacl) as acl
        where class.relnamespace in {ours} and acl.grantee = {role}
    """
    grantee = "0" if role == "public" else f"'{role}'::regrole"
    found: dict[str, set[str]] = {}
    for table, right, column in catalog.execute(
        query.format(ours=OURS, role=grantee).encode()
    ).fetchall():
        found.setdefault(table, set()).add(f"{right} ({column})" if column else right)
    return found


def functions(catalog: psycopg.Connection[tuple[Any, ...]], where: str) -> set[str]:
    query = f"select proname from pg_proc where pronamespace in {OURS} and ({where})"
    return {row[0] for row in catalog.execute(query.encode()).fetchall()}


# --- tables


def test_row_level_security_is_forced_on_every_table_that_the_api_serves(catalog):
    tables = catalog.execute(
        "select relname, relrowsecurity and relforcerowsecurity from pg_class "
        "where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
    ).fetchall()
    assert set(USERS_RIGHTS) <= {name for name, _ in tables}
    assert all(forced for _, forced in tables), tables


def test_every_policy_is_for_users_alone_and_names_the_caller(catalog):
    policies = catalog.execute(
        "select policyname, roles, qual, coalesce(with_check, qual) from pg_policies "
        "where schemaname = 'public'"
    ).fetchall()
    assert len(policies) >= len(USERS_RIGHTS)
    for name, roles, using, check in policies:
        assert roles == ["authenticated"], name
        assert "auth.uid()" in using, name
        assert using == check, name


def test_users_are_granted_what_the_stores_need_and_no_more(catalog):
    assert rights(catalog, "authenticated") == USERS_RIGHTS


@pytest.mark.parametrize("role", ["anon", "public"])
def test_anon_is_granted_nothing(catalog, role):
    assert rights(catalog, role) == {}
    assert functions(catalog, "has_function_privilege('anon', oid, 'execute')") == set()


def test_the_schema_of_our_own_is_closed_to_anon(catalog):
    may = "select has_schema_privilege('anon', 'voice_agent', 'usage')"
    assert catalog.execute(may).fetchone() == (False,)


# --- functions


def test_users_may_call_what_the_stores_call_and_no_more(catalog):
    may_call = functions(catalog, "has_function_privilege('authenticated', oid, 'execute')")
    assert may_call == USERS_FUNCTIONS


def test_every_function_has_an_empty_search_path(catalog):
    assert functions(catalog, "'search_path=\"\"' = any(proconfig)") == functions(catalog, "true")


def test_every_function_with_its_owners_rights_asks_whether_the_caller_may_act(catalog):
    definers = functions(catalog, "prosecdef")
    assert definers >= TRIGGER_FUNCTIONS
    assert functions(catalog, "prosecdef and prosrc like '%voice_agent.may_act_for(%'") == definers
    assert functions(catalog, "prosecdef and proacl is null") == set(), "open to everybody"


def test_a_function_with_its_owners_rights_gives_nothing_to_a_caller_without_a_name(catalog):
    """Called with nulls, by a user without a sub: nothing, or an error."""
    query = f"""
        select oid::regprocedure::text, pronargs, oid::regproc::text from pg_proc
        where prosecdef and pronamespace in {OURS} and prorettype <> 'trigger'::regtype
    """
    callable_definers = catalog.execute(query.encode()).fetchall()
    for signature, arguments, name in callable_definers:
        types = signature[signature.index("(") + 1 : -1].split(",")
        nulls = ", ".join(f"null::{type_}" for type_ in types[:arguments])
        with catalog.transaction(force_rollback=True):
            catalog.execute("set local role authenticated")
            try:
                answer = catalog.execute(f"select * from {name}({nulls})".encode()).fetchall()
            except psycopg.Error:
                continue
            assert answer in ([], [(None,)], [(False,)]), signature


# --- anon over the API

REQUESTS = [
    *(("GET", f"/{table}", None) for table in USERS_RIGHTS),
    *(("DELETE", f"/{table}?created_at=gte.2000-01-01", None) for table in ("profiles", "memory")),
    ("POST", "/profiles", {"id": ALICE}),
    ("PATCH", f"/profiles?id=eq.{ALICE}", {"email": "mallory@example.com"}),
    ("POST", "/rpc/ensure_profile", {"p_user": ALICE, "p_email": None}),
    ("POST", "/rpc/bind_person", {"p_user": ALICE, "p_email": None}),
    ("POST", "/rpc/remember", {"p_user": ALICE, "p_memories": []}),
    ("POST", "/rpc/search_memory", {"p_user": ALICE, "p_words": ["x"], "p_limit": 5, "p_reach": 1}),
    ("POST", "/rpc/update_user_profile", {"p_user": ALICE, "p_changes": {}}),
    ("POST", "/rpc/update_onboarding_details", {"p_user": ALICE, "p_changes": {}}),
    ("POST", "/rpc/erase_person", {"p_user": ALICE}),
    ("POST", "/rpc/set_remembering", {"p_user": ALICE, "p_on": True}),
    ("POST", "/rpc/withdraw_memory", {"p_user": ALICE, "p_id": ALICE}),
    (
        "POST",
        "/rpc/move_person",
        {"p_source": ALICE, "p_target": BOB, "p_email": None, "p_limit": 1},
    ),
    ("POST", "/rpc/restore_memories", {"p_user": ALICE, "p_memories": []}),
    ("POST", "/rpc/restore_person", {"p_user": ALICE, "p_person": {}, "p_generation": 0}),
    ("POST", "/rpc/raise_fence", {"p_user": ALICE, "p_generation": 0, "p_remembered": True}),
    ("POST", "/rpc/list_people", {"p_after": None, "p_limit": 1}),
    ("POST", "/rpc/list_idle_people", {"p_since": "2000-01-01", "p_after": None, "p_limit": 1}),
    ("POST", "/rpc/delete_expired_memories", {"p_limit": 0}),
    ("POST", "/rpc/keep_turns", {"p_user": ALICE, "p_turns": []}),
    ("POST", "/rpc/delete_turns_before", {"p_before": "1970-01-01", "p_limit": 0}),
    ("GET", "/schema_migrations", None),
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
@pytest.mark.parametrize("key", ["anon_key", "publishable_key"])
def test_over_the_api_anon_reaches_nothing(supabase: SupabaseProject, key, method, path, body):
    keys, url = supabase.info.keys, f"{supabase.info.url}/rest/v1{path}"
    sent = getattr(keys, key)
    anon = {"apikey": sent, "Authorization": f"Bearer {sent}"}
    refused = httpx.request(method, url, headers=anon, json=body)
    assert refused.status_code in (401, 403, 404), refused.text
    if "schema_migrations" not in path:
        service = {"apikey": keys.secret_key, "Authorization": f"Bearer {keys.secret_key}"}
        assert httpx.request(method, url, headers=service, json=body).is_success


def test_anon_is_not_even_told_what_there_is(supabase: SupabaseProject):
    keys = supabase.info.keys

    def described(key: str) -> str:
        headers = {"apikey": key, "Authorization": f"Bearer {key}"}
        return httpx.get(f"{supabase.info.url}/rest/v1/", headers=headers).text

    for name in {*USERS_RIGHTS, "remember", "bind_person"}:
        assert f"/{name}" in described(keys.service_role_key)
        assert f"/{name}" not in described(keys.anon_key)
