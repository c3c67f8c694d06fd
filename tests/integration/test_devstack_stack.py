"""Several servers are started side by side and stopped together, whatever happens."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import psycopg
import pytest

from devstack.errors import CancelledStartError, DevstackError, ServerEndedError, ServerStartError
from devstack.for_pytest import skip_where_unavailable
from devstack.install.catalogue import Program, install
from devstack.machine import PROJECT_ROOT, Machine
from devstack.stack import Service, Stack

pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds LiveKit

DATABASE_SERVICES = (Service.REDIS, Service.SUPABASE)


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder that servers make theirs in: not ``tmp_path``, as sockets need it short."""
    assert tmp_path.exists()
    with tempfile.TemporaryDirectory(prefix="ds") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        if os.geteuid() == 0:
            Path(folder).chmod(0o755)  # Postgres may have to run as somebody else
        yield Path(folder)


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def descendants() -> list[str]:
    return [process.name() for process in psutil.Process().children(recursive=True)]


def eventually(condition: Callable[[], bool], within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_everything_runs_and_says_how_to_reach_it(temporary):
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
    assert (descendants(), list(temporary.iterdir())) == ([], [])


def rest(url: str, table: str, key: str) -> str:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    connection.request("GET", f"/rest/v1/{table}", headers=headers)
    try:
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_what_was_not_asked_for_does_not_run_and_says_so(temporary):
    with skip_where_unavailable(), Stack([Service.REDIS]) as stack:
        assert set(stack.environment()) == {"REDIS_URL"}
        assert descendants() == ["redis-server"]
        with pytest.raises(DevstackError, match="does not run livekit"):
            _ = stack.livekit


def test_when_one_server_does_not_start_the_others_are_stopped(temporary, tmp_path):
    broken = program(tmp_path / "redis-server", "echo out of cheese; exit 3")
    machine = Machine.current({**os.environ, "REDIS_SERVER_BIN": broken})
    stack = Stack(DATABASE_SERVICES, machine=machine, log_dir=tmp_path)
    with pytest.raises(ServerStartError, match="out of cheese"), skip_where_unavailable():
        stack.start()
    assert (descendants(), list(temporary.iterdir())) == ([], [])


def test_a_long_install_is_given_up_when_another_server_fails(temporary, tmp_path):
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


def test_an_exception_inside_stops_everything(temporary):
    with pytest.raises(ZeroDivisionError), skip_where_unavailable(), Stack(DATABASE_SERVICES):
        _ = 1 / 0
    assert (descendants(), list(temporary.iterdir())) == ([], [])


def test_a_server_that_ends_by_itself_is_noticed(temporary, tmp_path):
    with skip_where_unavailable(), Stack([Service.REDIS], log_dir=tmp_path) as stack:
        psutil.Process(stack.redis.pid).kill()
        assert eventually(lambda: not stack.redis.running)
        with pytest.raises(ServerEndedError, match="redis has ended"):
            stack.check()


def test_a_start_that_was_cancelled_can_be_tried_again(temporary):
    stack = Stack([Service.REDIS])
    stack._machine.cancelled.set()
    with pytest.raises(CancelledStartError):
        stack._machine.raise_if_cancelled()
    with skip_where_unavailable(), stack:
        assert stack.redis.running


def test_a_stack_in_another_thread_leaves_signals_alone(temporary):
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


# --- the command line


@pytest.fixture
def run_up(
    temporary, tmp_path
) -> Iterator[Callable[..., tuple[subprocess.Popen[str], dict[str, str]]]]:
    """Start ``up``, wait until it has printed its variables, and return both."""
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
        names = len(services) + 2 * ("livekit" in services)
        lines = [up.stdout.readline().strip() for _ in range(names)]
        pairs = [line.removeprefix("export ").split("=", 1) for line in lines]
        return up, {name: shlex.split(value)[0] for name, value in pairs}

    yield start
    for up in running:
        up.kill()
        up.communicate()


def servers_of(up: subprocess.Popen[str]) -> list[int]:
    return [process.pid for process in psutil.Process(up.pid).children(recursive=True)]


@pytest.mark.parametrize(
    ("ending", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_up_runs_until_it_is_told_to_end_and_leaves_nothing(ending, status, run_up, temporary):
    up, variables = run_up("redis", "postgres")
    servers = servers_of(up)
    with psycopg.connect(variables["DATABASE_URL"]) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    up.send_signal(ending)
    assert up.wait(20) == status
    assert all(map(is_gone, servers))
    assert len(servers) > 2
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has the death signal")
def test_killing_up_takes_every_server_with_it(run_up, temporary):
    up, _ = run_up("redis", "postgres")
    servers = servers_of(up)
    up.kill()
    up.wait()
    assert eventually(lambda: all(map(is_gone, servers)))
    with skip_where_unavailable(), Stack([Service.REDIS]):
        pass
    assert list(temporary.iterdir()) == []  # the next start has cleared up after it


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
    own = program(tmp_path / "redis", "exit 0")
    answer = run_devstack("install", "redis", REDIS_SERVER_BIN=own)
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
