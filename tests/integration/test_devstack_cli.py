"""``python -m devstack`` installs and runs the servers, and leaves no process behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import psycopg
import pytest

from devstack.for_pytest import skip_where_unavailable
from devstack.install.catalogue import Program, install
from devstack.machine import PROJECT_ROOT, Machine
from devstack.stack import Service, Stack
from tests.integration.devstack_processes import eventually, is_gone

pytest_plugins = ["tests.integration.devstack_fixtures"]
pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds LiveKit


@pytest.fixture
def run_up(
    short_tmp_path, tmp_path
) -> Iterator[Callable[..., tuple[subprocess.Popen[str], dict[str, str]]]]:
    """Start ``up``, wait until it has printed its variables, and return both.

    Redis and Postgres have one variable each, everything together has nine.
    """
    running: list[subprocess.Popen[str]] = []

    def start(*services: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
        with skip_where_unavailable():
            install(Program.REDIS, Machine.current())
        up = subprocess.Popen(
            [sys.executable, "-m", "devstack", "up", "--log-dir", str(tmp_path), *services],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT_ROOT,
        )
        running.append(up)
        assert up.stderr is not None
        assert up.stdout is not None
        for line in up.stderr:
            if "running" in line:
                break
        lines = [up.stdout.readline().strip() for _ in range(9 if not services else len(services))]
        pairs = [line.removeprefix("export ").split("=", 1) for line in lines]
        return up, {name: shlex.split(value)[0] for name, value in pairs}

    yield start
    for up in running:
        up.kill()
        up.communicate()


def servers_of(up: subprocess.Popen[str]) -> list[int]:
    return [process.pid for process in psutil.Process(up.pid).children(recursive=True)]


def names_of(pids: list[int]) -> set[str]:
    """The names of those that still run: Postgres's workers for a moment end by themselves."""
    names = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            names.add(psutil.Process(pid).name())
    return names


@pytest.mark.parametrize(
    ("ending", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_up_runs_until_it_is_told_to_end_and_leaves_nothing(ending, status, run_up, short_tmp_path):
    up, variables = run_up("redis", "postgres")
    servers = servers_of(up)
    with psycopg.connect(variables["DATABASE_URL"]) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    up.send_signal(ending)
    assert up.wait(20) == status
    assert all(map(is_gone, servers))
    assert len(servers) > 2
    assert list(short_tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has the death signal")
def test_killing_up_takes_every_server_with_it(run_up, short_tmp_path):
    with skip_where_unavailable():
        for needed in Program:
            install(needed, Machine.current())
    up, _ = run_up()
    servers = servers_of(up)
    assert {"livekit-server", "redis-server", "postgres", "postgrest"} < names_of(servers)
    up.kill()
    up.wait()
    assert eventually(lambda: all(map(is_gone, servers)))
    with skip_where_unavailable(), Stack([Service.REDIS]):
        pass
    assert list(short_tmp_path.iterdir()) == []  # the next start has cleared up after it


def test_up_ends_with_a_message_when_a_server_ends(run_up):
    up, _ = run_up("redis")
    (server,) = servers_of(up)
    psutil.Process(server).kill()
    _, said = up.communicate(timeout=20)
    assert up.returncode == 1
    assert "redis has ended (exit status -9)" in said


def run_devstack(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devstack", *arguments],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        env={**os.environ, **variables},
    )


def test_install_prints_where_the_programs_are(tmp_path):
    own = tmp_path / "redis"
    own.touch(mode=0o755)
    answer = run_devstack("install", "redis", REDIS_SERVER_BIN=str(own))
    assert (answer.returncode, answer.stdout) == (0, f"redis: {own}\n")


def test_an_error_is_one_line_and_no_traceback():
    answer = run_devstack("install", "redis", REDIS_SERVER_BIN="/nowhere")
    assert answer.returncode == 1
    assert answer.stderr == (
        "devstack: REDIS_SERVER_BIN names /nowhere, which is not a program; "
        "correct it or unset it\n"
    )


def test_an_unknown_word_is_refused_with_the_known_ones():
    answer = run_devstack("up", "mysql")
    assert answer.returncode == 2
    assert "choose from livekit, redis, postgres, supabase" in answer.stderr
