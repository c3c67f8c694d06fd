"""Postgres loses no commit, runs for root too, and has a fresh database for everybody."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from devstack import identity
from devstack.errors import DevstackError
from devstack.identity import OURSELVES
from devstack.servers.postgres import Postgres
from tests.integration.devstack_processes import is_gone

pytest_plugins = ["tests.integration.devstack_fixtures"]
pytestmark = pytest.mark.timeout(300)  # the first run on a machine downloads Postgres


@pytest.fixture
def postgres(start_server) -> Postgres:
    server = start_server(Postgres())
    assert isinstance(server, Postgres)
    return server


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def test_postgres_answers_on_its_socket_and_with_its_password_on_loopback(postgres):
    assert ask(postgres.info.socket_url(), "select current_user::text") == "postgres"
    assert ask(postgres.info.url, "select current_user::text") == "postgres"
    wrong = postgres.info.url.replace(postgres.info.password, "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(wrong, "select 1")


def test_postgres_loses_no_commit_when_it_is_killed(postgres):
    assert ask(postgres.info.url, "show synchronous_commit") == "on"
    postgres.info.execute("create table t as select 1 as id")
    postgres.kill()
    postgres.start()
    postgres.info.execute("insert into t values (2)")
    postgres.restart()
    assert ask(postgres.info.url, "select count(*) from t") == 2


def test_a_killed_postgres_takes_even_its_busiest_process_with_it(postgres):
    def work() -> None:
        with pytest.raises(psycopg.OperationalError):
            ask(postgres.info.url, "do $$ begin loop null; end loop; end $$")

    worker = threading.Thread(target=work)
    worker.start()
    busy = "select count(*) from pg_stat_activity where query like 'do %'"
    while not ask(postgres.info.url, busy):
        time.sleep(0.01)
    processes = psutil.Process(postgres.pid).children()
    postgres.kill()
    survivors = [process for process in processes if not is_gone(process.pid)]
    for process in survivors:
        process.kill()
    worker.join()
    assert survivors == []
    postgres.start()


@pytest.mark.parametrize(("durable", "fsync"), [(False, "off"), (True, "on")])
def test_postgres_syncs_to_disk_only_when_it_shall_be_durable(durable, fsync, start_server):
    postgres = start_server(Postgres(durable=durable))
    assert ask(postgres.info.url, "show fsync") == fsync


def test_every_new_database_is_fresh_and_can_be_a_copy(postgres):
    original = postgres.create_database()
    original.execute("create table t as select 7 as id")
    copy = postgres.create_database(template=original.name)
    original.execute("drop table t")
    assert ask(copy.url, "select id from t") == 7
    with psycopg.connect(copy.url):
        postgres.drop_database(copy)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        ask(copy.url, "select 1")


def test_data_in_a_folder_of_the_callers_outlives_the_server(short_tmp_path, start_server):
    folder = short_tmp_path / "kept"
    first = start_server(Postgres(data_dir=folder))
    first.info.execute("create table t as select 7 as id")
    first.stop()
    second = start_server(Postgres(data_dir=folder))
    assert ask(second.info.url, "select id from t") == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_where_user_namespaces_are_forbidden_root_starts_postgres_as_nobody(
    start_server, monkeypatch
):
    forbidden = identity.Identity("namespace:0:0")  # root again, as whom Postgres refuses
    monkeypatch.setattr(identity, "_in_user_namespace", lambda: forbidden)
    monkeypatch.setattr(identity, "_why_not", refusing(forbidden))
    postgres = start_server(Postgres())
    assert psutil.Process(postgres.pid).username() == "nobody"
    assert ask(postgres.info.url, "select 1") == 1


def refusing(forbidden):
    really = identity._why_not
    return lambda who, program: "forbidden" if who == forbidden else really(who, program)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_that_can_become_nobody_else_is_told_both_reasons(tmp_path):
    unreachable = tmp_path / "postgres"
    with pytest.raises(DevstackError, match="refuses to run as root") as refusal:
        identity.unprivileged_identity(unreachable)
    assert "namespace:" in str(refusal.value)
    assert "setuid:" in str(refusal.value)


def test_another_user_than_root_stays_who_he_is(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert identity.unprivileged_identity(Path("/any")) == OURSELVES
