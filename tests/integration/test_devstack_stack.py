"""Several servers are started side by side and stopped together, whatever happens."""

from __future__ import annotations

import os
import signal
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import psutil
import psycopg
import pytest

from devstack.errors import CancelledStartError, DevstackError, ServerEndedError, ServerStartError
from devstack.for_pytest import skip_where_unavailable
from devstack.install.catalogue import Program, install
from devstack.machine import Machine
from devstack.stack import Service, Stack
from tests.integration.devstack_processes import descendants, eventually

pytest_plugins = ["tests.integration.devstack_fixtures"]
pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds LiveKit

DATABASE_SERVICES = (Service.REDIS, Service.SUPABASE)


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_everything_runs_and_says_how_to_reach_it(short_tmp_path):
    with skip_where_unavailable(), Stack() as stack:
        environment = stack.environment()
        assert set(environment) == {
            "LIVEKIT_URL",
            "LIVEKIT_API_KEY",
            "LIVEKIT_API_SECRET",
            "REDIS_URL",
            "DATABASE_URL",
            "SUPABASE_URL",
            "SUPABASE_SERVICE_ROLE_KEY",
            "SUPABASE_ANON_KEY",
            "SUPABASE_JWT_SECRET",
        }
        assert environment["LIVEKIT_URL"].startswith("ws://127.0.0.1:")
        assert environment["REDIS_URL"].startswith("redis://127.0.0.1:")
        key = environment["SUPABASE_SERVICE_ROLE_KEY"]
        with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("create table seen as select 'through both doors' as how")
        stack.supabase.reload_schema()
        assert rest(environment["SUPABASE_URL"], "seen", key) == '[{"how":"through both doors"}]'
        stack.check()
    assert (descendants(), list(short_tmp_path.iterdir())) == ([], [])


def rest(url: str, table: str, key: str) -> str:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    connection.request("GET", f"/rest/v1/{table}", headers=headers)
    try:
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_what_was_not_asked_for_does_not_run_and_says_so(short_tmp_path):
    with skip_where_unavailable(), Stack([Service.REDIS]) as stack:
        assert set(stack.environment()) == {"REDIS_URL"}
        assert descendants() == ["redis-server"]
        with pytest.raises(DevstackError, match="does not run livekit"):
            _ = stack.livekit


def test_when_one_server_does_not_start_the_others_are_stopped(short_tmp_path, tmp_path):
    broken = program(tmp_path / "redis-server", "echo out of cheese; exit 3")
    machine = Machine.current({**os.environ, "REDIS_SERVER_BIN": broken})
    stack = Stack(DATABASE_SERVICES, machine=machine, log_dir=tmp_path)
    with pytest.raises(ServerStartError, match="out of cheese"), skip_where_unavailable():
        stack.start()
    assert (descendants(), list(short_tmp_path.iterdir())) == ([], [])


def test_a_long_install_is_given_up_when_another_server_fails(short_tmp_path, tmp_path):
    broken = program(tmp_path / "redis-server", "exit 3")
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin/go", 'if [ "$1" = version ]; then echo go1.26; else sleep 60; fi')
    environ = {"PATH": f"{tmp_path}/bin:{os.defpath}", "REDIS_SERVER_BIN": broken}
    machine = Machine(environ, tmp_path / "cache", report=lambda _: None)
    began = time.monotonic()
    with pytest.raises(ServerStartError, match="redis ended"):
        Stack([Service.LIVEKIT, Service.REDIS], machine=machine).start()
    assert time.monotonic() - began < 10
    assert descendants() == []


def test_an_exception_inside_stops_everything(short_tmp_path):
    with pytest.raises(ZeroDivisionError), skip_where_unavailable(), Stack(DATABASE_SERVICES):
        _ = 1 / 0
    assert (descendants(), list(short_tmp_path.iterdir())) == ([], [])


def test_a_server_that_ends_by_itself_is_noticed(short_tmp_path, tmp_path):
    with skip_where_unavailable(), Stack([Service.REDIS], log_dir=tmp_path) as stack:
        psutil.Process(stack.redis.pid).kill()
        assert eventually(lambda: not stack.redis.running)
        with pytest.raises(ServerEndedError, match="redis has ended"):
            stack.check()


def test_a_start_that_was_cancelled_can_be_tried_again(short_tmp_path):
    stack = Stack([Service.REDIS])
    stack._machine.cancelled.set()
    with pytest.raises(CancelledStartError):
        stack._machine.raise_if_cancelled()
    with skip_where_unavailable(), stack:
        assert stack.redis.running


def test_a_stack_in_another_thread_leaves_signals_alone(short_tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def run() -> None:
        with Stack([Service.REDIS]):
            seen.append(signal.getsignal(signal.SIGTERM))

    with skip_where_unavailable():
        install(Program.REDIS, Machine.current())
    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert seen == [before]
