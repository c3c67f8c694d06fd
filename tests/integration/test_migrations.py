"""The migrations on a real Postgres that has Supabase's roles and permissive defaults."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from devstack.servers.database import Database
from devstack.servers.postgres import Postgres
from migrations.apply import FOLDER, MigrationError, apply, migration_files

TABLES = ("profiles", "memory", "user_profiles", "onboarding_details", "person_fences", "turns")
ALL = [file.stem for file in migration_files()]
ALICE = "edabafbb-61ad-51d6-9fd8-e976c892a731"
BOB = "1bbc064c-d74a-56e6-a2b9-009139975e85"

OLDER_DEPLOYMENT = """
    create table public.profiles (
        id uuid not null references auth.users (id) on delete cascade,
        email varchar(255) not null,
        full_name text not null,
        is_first_login boolean default false,
        created_at timestamp default (now() at time zone 'utc'),
        constraint profiles_pkey primary key (id),
        constraint profiles_email_key unique (email)
    );
    create unique index profiles_email_idx on public.profiles (lower(email));
    create policy "anybody reads" on public.profiles for select to anon using (true);
    insert into auth.users (id) values ('edabafbb-61ad-51d6-9fd8-e976c892a731');
    insert into public.profiles (id, email, full_name, is_first_login, created_at)
    values ('edabafbb-61ad-51d6-9fd8-e976c892a731', 'alice@example.com', 'Alice', null,
            '2024-02-03 04:05:06');
"""

CATALOG = {
    "columns": """
        select table_name, column_name, data_type, is_nullable, column_default,
            generation_expression
        from information_schema.columns
        where table_schema = 'public' and table_name = any(%(tables)s)
            and column_name <> 'full_name'
    """,
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
        where conrelid = any(%(tables)s::regclass[]) and contype <> 'n'
    """,
    "indexes": """
        select indexname, indexdef from pg_indexes
        where schemaname = 'public' and tablename = any(%(tables)s)
    """,
    "policies": """
        select tablename, policyname, permissive, roles::text, cmd, qual, with_check
        from pg_policies where schemaname = 'public' and tablename = any(%(tables)s)
    """,
    "row level security": """
        select relname, relrowsecurity, relforcerowsecurity from pg_class
        where oid = any(%(tables)s::regclass[])
    """,
    "grants": """
        select table_name, grantee, privilege_type from information_schema.role_table_grants
        where table_schema = 'public' and table_name = any(%(tables)s)
    """,
    "functions": """
        select proname, pg_get_functiondef(oid), (
            select array_agg(acl::text order by acl::text) from unnest(proacl) as acl
        )
        from pg_proc where pronamespace in ('public'::regnamespace, 'voice_agent'::regnamespace)
    """,
    "applied": "select version, name from voice_agent.schema_migrations",
}


def catalog(database: Database) -> dict[str, list[Any]]:
    """Everything about our tables and functions that a client could notice."""
    tables = [f"public.{table}" for table in TABLES]
    with psycopg.connect(database.url) as connection:
        return {
            what: sorted(
                connection.execute(
                    query,
                    {"tables": tables if "regclass" in query else list(TABLES)},
                ).fetchall(),
                key=str,
            )
            for what, query in CATALOG.items()
        }


def execute(database: Database, statement: str) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_a_new_database_gets_all_migrations_in_order(database):
    assert apply(database.url) == ALL
    assert [row[0] for row in catalog(database)["applied"]] == [name[:4] for name in ALL]


def test_a_second_run_changes_nothing(database):
    apply(database.url)
    before = catalog(database)
    assert apply(database.url) == []
    assert catalog(database) == before


def test_applying_the_files_by_hand_again_changes_nothing(database):
    apply(database.url)
    before = catalog(database)
    for file in migration_files():
        execute(database, file.read_text())
    assert catalog(database) == before


def test_the_files_by_hand_and_the_command_give_the_same(database, postgres):
    for file in migration_files():
        execute(database, file.read_text())
    other = postgres.create_supabase_database()
    apply(other.url)
    assert catalog(database) == catalog(other)
    assert apply(database.url) == []
    postgres.drop_database(other)


def test_psql_applies_the_files_as_well(database, postgres):
    psql = shutil.which("psql") or shutil.which("psql", path=str(postgres._bin_dir))
    if psql is None:
        pytest.skip("psql is not on this machine; install a Postgres client")
    for _ in range(2):
        for file in migration_files():
            command = [psql, database.url, "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file)]
            subprocess.run(command, check=True, capture_output=True)
    other = postgres.create_supabase_database()
    apply(other.url)
    assert catalog(database) == catalog(other)
    postgres.drop_database(other)


@pytest.fixture
def psql(postgres: Postgres) -> str:
    """The folder of psql."""
    found = shutil.which("psql") or shutil.which("psql", path=str(postgres._bin_dir))
    if found is None:
        pytest.skip("psql is not on this machine; install a Postgres client")
    return str(Path(found).parent)


def by_hand(database: Database, psql: str, *, instead_of_sed: str = "sed") -> int:
    """Run what the README tells a database admin to type, and return its exit status."""
    [line] = re.findall(r"^sed .*psql .*$", (FOLDER.parent / "README.md").read_text(), re.MULTILINE)
    path = f"{psql}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", line.replace("sed", instead_of_sed, 1)],
        cwd=FOLDER.parent,
        env={**os.environ, "PATH": path, "DATABASE_URL": database.url},
        capture_output=True,
        timeout=120,
    ).returncode


def test_by_hand_the_files_are_one_transaction_that_can_run_again(database, postgres, psql):
    assert by_hand(database, psql) == 0
    before = catalog(database)
    execute(database, f"insert into public.profiles (id, email) values ('{ALICE}', 'a@b.c')")
    told = {"id": str(uuid.uuid4()), "category": "FACT", "key": "k", "value": "v"}
    row = json.dumps([{**told, "created_at": "2026-01-01T00:00:00Z", "generation": 0}])
    execute(database, f"select public.remember('{ALICE}', '{row}')")
    execute(database, f"select public.set_remembering('{BOB}', false)")
    assert by_hand(database, psql) == 0
    assert catalog(database) == before
    other = postgres.create_supabase_database()
    apply(other.url)
    assert catalog(database) == catalog(other)
    postgres.drop_database(other)


def test_by_hand_an_older_deployment_is_migrated_in_one_transaction(database, psql):
    execute(database, OLDER_DEPLOYMENT)
    assert by_hand(database, psql) == 0
    with psycopg.connect(database.url) as connection:
        assert connection.execute("select id::text from public.profiles").fetchall() == [(ALICE,)]


@pytest.mark.parametrize("lines", [150, 600, 1400])
def test_files_run_by_hand_and_stopped_in_the_middle_take_a_live_database_nowhere(
    database, psql, lines, tmp_path
):
    apply(database.url)
    before = catalog(database)
    breaks_off = tmp_path / "sed"
    breaks_off.write_text(f'#!/bin/sh\nsed "$@" | head -n {lines}\n')
    breaks_off.chmod(0o700)
    by_hand(database, psql, instead_of_sed=str(breaks_off))
    assert catalog(database) == before


def test_a_file_that_fails_by_hand_leaves_nothing_of_the_others(database, psql):
    execute(database, "create table public.memory (id text)")
    assert by_hand(database, psql) == 3
    with psycopg.connect(database.url) as connection:
        table = "select to_regclass('public.profiles'), to_regclass('public.memory')::text"
        assert connection.execute(table).fetchone() == (None, "memory")


def test_four_runs_at_once_are_safe_and_each_file_is_applied_by_one(database, postgres):
    with ThreadPoolExecutor(4) as executor:
        applied = list(executor.map(apply, [database.url] * 4))
    assert sorted(applied) == [[], [], [], ALL]
    other = postgres.create_supabase_database()
    apply(other.url)
    assert catalog(database) == catalog(other)
    postgres.drop_database(other)


def test_an_older_deployment_is_migrated_with_its_rows_kept(database):
    execute(database, OLDER_DEPLOYMENT)
    assert apply(database.url) == ALL
    with psycopg.connect(database.url) as connection:
        connection.execute("set timezone = 'UTC'")
        with connection.cursor(row_factory=dict_row) as cursor:
            [kept] = cursor.execute("select * from public.profiles").fetchall()
    assert str(kept["id"]) == ALICE
    assert (kept["email"], kept["full_name"]) == ("alice@example.com", "Alice")
    assert kept["is_first_login"] is True
    assert kept["created_at"].isoformat() == "2024-02-03T04:05:06+00:00"


def test_an_older_deployment_ends_up_like_a_new_one(database, postgres):
    execute(database, OLDER_DEPLOYMENT)
    apply(database.url)
    new = postgres.create_supabase_database()
    apply(new.url)
    assert catalog(database) == catalog(new)
    postgres.drop_database(new)


def test_after_migrating_somebody_who_is_in_no_auth_table_can_have_a_profile(database):
    execute(database, OLDER_DEPLOYMENT)
    apply(database.url)
    with psycopg.connect(database.url) as connection:
        bob = "1bbc064c-d74a-56e6-a2b9-009139975e85"
        made = connection.execute("select public.ensure_profile(%s, 'alice@example.com')", (bob,))
        assert made.fetchone() == (True,)


def test_the_database_drops_an_older_generation_whoever_writes_it(database):
    apply(database.url)
    execute(database, f"insert into public.profiles (id) values ('{ALICE}')")
    execute(database, f"insert into public.person_fences values ('{ALICE}', 2)")
    told = "insert into public.memory (id, user_id, category, key, value, generation) values "
    for generation in (1, 2):
        row = f"(gen_random_uuid(), '{ALICE}', 'FACT', 'k{generation}', 'v', {generation})"
        execute(database, f"set role service_role; {told} {row}")
    with psycopg.connect(database.url) as connection:
        assert connection.execute("select key from public.memory").fetchall() == [("k2",)]


@pytest.mark.parametrize(
    ("role", "subject", "may"),
    [
        ("service_role", None, True),
        ("authenticated", ALICE, True),
        ("authenticated", "1bbc064c-d74a-56e6-a2b9-009139975e85", False),
        ("authenticated", None, False),
        ("anon", None, False),
        ("none", None, True),
    ],
)
def test_only_the_person_and_the_service_role_act_for_a_person(database, role, subject, may):
    apply(database.url)
    with psycopg.connect(database.url) as connection:
        connection.execute("grant usage on schema voice_agent to anon, authenticated")
        connection.execute("grant execute on all functions in schema voice_agent to public")
        claims = json.dumps({"sub": subject} if subject else {})
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        connection.execute(f"set local role {role}")
        query = "select voice_agent.may_act_for(%s), voice_agent.may_act_for(null)"
        assert connection.execute(query, (ALICE,)).fetchone() == (may, False)


@pytest.mark.parametrize(
    ("role", "subject", "finds"),
    [
        ("service_role", None, True),
        ("authenticated", ALICE, True),
        ("authenticated", "1bbc064c-d74a-56e6-a2b9-009139975e85", False),
        ("authenticated", None, False),
        ("anon", ALICE, False),
    ],
)
def test_a_search_is_for_the_person_and_the_service_role_only(database, role, subject, finds):
    apply(database.url)
    execute(database, f"insert into public.profiles (id) values ('{ALICE}')")
    told = "insert into public.memory (id, user_id, category, key, value) values "
    execute(database, f"{told} (gen_random_uuid(), '{ALICE}', 'FACT', 'pet', 'a cat')")
    with psycopg.connect(database.url) as connection:
        claims = json.dumps({"sub": subject} if subject else {})
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        connection.execute(f"set local role {role}")
        query = "select public.search_memory(%s, array['cat'], 5, 2) -> 'frequencies'"
        if finds:
            assert connection.execute(query, (ALICE,)).fetchone() == ([1],)
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(query, (ALICE,))


def test_a_search_for_nobody_is_refused(database):
    apply(database.url)
    with (
        psycopg.connect(database.url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("select public.search_memory(null, array['cat'], 5, 2)")


def test_people_whose_ids_begin_alike_find_their_own_words_only(database):
    apply(database.url)
    alike = ALICE[:-1] + ("0" if ALICE[-1] != "0" else "1")
    told = "insert into public.memory (id, user_id, category, key, value) values "
    for user, value in ((ALICE, "a cat"), (alike, "another cat")):
        execute(database, f"insert into public.profiles (id) values ('{user}')")
        execute(database, f"{told} (gen_random_uuid(), '{user}', 'FACT', 'pet', '{value}')")
    with psycopg.connect(database.url) as connection:
        query = "select public.search_memory(%s, array['cat'], 5, 2) -> 'found' -> 0 ->> 6"
        assert connection.execute(query, (ALICE,)).fetchone() == ("a cat",)


@pytest.mark.parametrize("call", ["erase_person({})", "set_remembering({}, false)"])
@pytest.mark.parametrize(
    ("role", "subject", "may"),
    [
        ("authenticated", ALICE, True),
        ("authenticated", BOB, False),
        ("authenticated", None, False),
        ("anon", None, False),
        ("service_role", None, True),
    ],
)
def test_nobody_but_the_person_and_the_service_role_erases_or_silences_them(
    database, call, role, subject, may
):
    apply(database.url)
    execute(database, f"insert into public.profiles (id) values ('{ALICE}')")
    with psycopg.connect(database.url) as connection:
        claims = json.dumps({"sub": subject} if subject else {})
        connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        connection.execute(f"set local role {role}")
        statement = "select public." + call.format(f"'{ALICE}'::uuid")
        if may:
            connection.execute(statement)
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


@pytest.mark.parametrize("call", ["erase_person(null)", "set_remembering(null, false)"])
def test_nobody_is_erased_or_silenced_by_null(database, call):
    apply(database.url)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(database, f"select public.{call}")


def test_of_who_is_not_remembered_the_database_takes_nothing_whoever_writes_it(database):
    apply(database.url)
    execute(database, f"insert into public.profiles (id) values ('{ALICE}')")
    execute(database, f"select public.set_remembering('{ALICE}', false)")
    execute(
        database,
        "set role service_role; insert into public.memory (id, user_id, category, key, value, "
        f"generation) values (gen_random_uuid(), '{ALICE}', 'FACT', 'k', 'v', 99)",
    )
    execute(
        database,
        f"set role service_role; insert into public.user_profiles (user_id) values ('{ALICE}')",
    )
    with psycopg.connect(database.url) as connection:
        assert connection.execute("select from public.memory").fetchall() == []
        assert connection.execute("select from public.user_profiles").fetchall() == []


def test_memories_from_before_places_get_theirs(database):
    for file in migration_files()[:3]:
        execute(database, file.read_text())
    execute(database, f"insert into public.profiles (id) values ('{ALICE}')")
    told = "insert into public.memory (id, user_id, category, key, value, session_id, created_at)"
    for key, session, day in (("b", "'s'", 2), ("a", "'s'", 1), ("c", "null", 3)):
        row = f"(gen_random_uuid(), '{ALICE}', 'FACT', '{key}', 'v', {session}, '2026-01-0{day}')"
        execute(database, f"{told} values {row}")
    apply(database.url)
    with psycopg.connect(database.url) as connection:
        places = connection.execute("select key, place from public.memory order by key")
        assert places.fetchall() == [("a", 1), ("b", 2), ("c", None)]


def test_a_database_that_cannot_be_reached_is_reported_by_its_variable():
    with pytest.raises(MigrationError, match=r"^DATABASE_URL: "):
        apply("postgresql://nobody@127.0.0.1:1/none")


def test_a_file_that_fails_is_named_and_leaves_nothing_behind(database):
    execute(database, "create table public.memory (id text)")
    with pytest.raises(MigrationError, match=r"^0002_memory.sql was not applied: "):
        apply(database.url)
    with psycopg.connect(database.url) as connection:
        applied = connection.execute("select version from voice_agent.schema_migrations")
        assert applied.fetchall() == [("0001",)]


def test_the_command_says_what_it_applied(database):
    def run() -> str:
        command = [sys.executable, "-m", "migrations.apply"]
        environ = {**os.environ, "DATABASE_URL": database.url}
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, check=True
        ).stdout

    assert run() == "".join(f"applied {name}\n" for name in ALL)
    assert run() == f"nothing to apply: {len(ALL)} migrations are there\n"


def test_every_file_is_one_transaction_that_notes_itself():
    assert [file.stem[:4] for file in migration_files()] == [
        f"{number:04d}" for number in range(1, len(ALL) + 1)
    ]
    assert len(list(FOLDER.glob("*.sql"))) == len(ALL)
    for file in migration_files():
        text = file.read_text()
        assert text.rstrip().endswith("commit;"), file.name
        assert f"values ('{file.stem[:4]}', '{file.stem[5:]}')" in text, file.name
