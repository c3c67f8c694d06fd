"""Each real server starts, answers, stops, comes back on its port, and leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import time

import psutil
import pytest

from devstack.errors import DevstackError, ServerEndedError, ServerStartError
from devstack.for_pytest import skip_where_unavailable
from devstack.install.catalogue import Program, install
from devstack.machine import Machine
from devstack.process import Launch
from devstack.servers.redis import RedisServer
from devstack.servers.server import Server
from devstack.workspace import Workspace
from tests.integration.devstack_processes import descendants, eventually

pytest_plugins = ["tests.integration.devstack_fixtures"]
pytestmark = pytest.mark.timeout(300)  # the first run on a machine downloads Redis


def redis_says(server: RedisServer, command: str) -> str:
    with socket.create_connection(("127.0.0.1", server.info.port), timeout=5) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(1024).decode()


# --- what all of them do, shown with the smallest


def test_a_server_runs_from_the_beginning_of_a_with_to_its_end(short_tmp_path):
    with skip_where_unavailable(), RedisServer() as redis:
        assert redis_says(redis, "PING") == "+PONG\r\n"
        pid = redis.pid
    assert not redis.running
    assert not psutil.pid_exists(pid)


def test_a_stopped_server_leaves_no_process_no_file_and_no_log(short_tmp_path, start_server):
    redis = start_server(RedisServer())
    assert redis.log_file.exists()
    redis.stop()
    assert (descendants(), list(short_tmp_path.iterdir()), redis.log_file.exists()) == (
        [],
        [],
        False,
    )


def test_a_log_in_a_folder_of_the_callers_stays(tmp_path, start_server):
    redis = start_server(RedisServer(log_dir=tmp_path / "logs"))
    redis.stop()
    assert "Ready to accept connections" in redis.log_file.read_text()


def test_starting_and_stopping_twice_is_the_same_as_once(start_server):
    redis = start_server(RedisServer())
    pid = redis.pid
    assert redis.start().pid == pid
    redis.stop()
    redis.stop()


def test_a_server_comes_back_on_its_port_after_a_restart_and_after_a_kill(start_server):
    redis = start_server(RedisServer())
    url, first = redis.info.url, redis.pid
    redis.restart()
    second = redis.pid
    redis.kill()
    assert not redis.running
    redis.start()
    assert redis_says(redis, "PING") == "+PONG\r\n"
    assert redis.info.url == url
    assert len({first, second, redis.pid}) == 3


def test_a_frozen_server_hangs_and_goes_on_when_thawed(start_server):
    redis = start_server(RedisServer())
    with socket.create_connection(("127.0.0.1", redis.info.port), timeout=0.2) as connection:
        redis.freeze()
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(100)
        redis.thaw()
        connection.settimeout(5)
        assert connection.recv(100) == b"+PONG\r\n"


def test_what_does_not_run_has_no_process_id():
    with pytest.raises(DevstackError, match="redis does not run"):
        _ = RedisServer().pid


class Quiet(Server):
    """A program that says something and then does what it is told to, but never answers."""

    name = "quiet"

    def __init__(self, then: str, machine: Machine) -> None:
        super().__init__(machine=machine)
        self._then = then

    def _launch(self, workspace: Workspace) -> Launch:
        program = f"echo the last words; {self._then}"
        return Launch(["/bin/sh", "-c", program], self.log_file, self._child_environ())

    def _answers(self) -> bool:
        assert eventually(lambda: "the last words" in self.log_file.read_text())
        return False


@pytest.mark.parametrize(
    ("then", "within_s", "reason"),
    [
        ("exit 3", 30.0, r"ended while starting \(exit status 3\)"),
        ("sleep 60", 0.3, "did not answer within 0.3 s"),
    ],
)
def test_a_server_that_does_not_start_says_why_and_where_its_log_is(
    then, within_s, reason, short_tmp_path, tmp_path, monkeypatch
):
    monkeypatch.setattr(Quiet, "start_deadline_s", within_s)
    server = Quiet(then, Machine.current({}, tmp_path / "cache"))
    with pytest.raises(ServerStartError, match=f"quiet {reason}") as failure:
        server.start()
    assert "the last words" in str(failure.value)
    assert str(server.log_file) in str(failure.value)
    assert "the last words" in server.log_file.read_text()
    assert (descendants(), list(short_tmp_path.iterdir())) == ([], [])


def test_a_server_that_ended_by_itself_is_noticed(start_server, tmp_path):
    redis = start_server(RedisServer(log_dir=tmp_path))
    redis.check()
    process = psutil.Process(redis.pid)
    os.kill(redis.pid, signal.SIGTERM)
    process.wait(5)
    while redis.running:
        time.sleep(0.01)
    with pytest.raises(ServerEndedError, match="redis has ended"):
        redis.check()


def test_logs_that_failures_left_are_removed_after_a_week(start_server, tmp_path):
    machine = Machine.current(cache_dir=tmp_path, environ=redis_named())
    logs = tmp_path / "logs"
    logs.mkdir()
    for name, days in (("old.log", 8), ("recent.log", 6)):
        (logs / name).touch()
        age = time.time() - days * 24 * 3600
        os.utime(logs / name, (age, age))
    start_server(RedisServer(machine=machine)).stop()
    assert [path.name for path in logs.iterdir()] == ["recent.log"]


def redis_named() -> dict[str, str]:
    with skip_where_unavailable():
        redis_server = install(Program.REDIS, Machine.current())
    return {"REDIS_SERVER_BIN": str(redis_server)}


def test_the_folder_of_an_owner_that_was_killed_is_removed_by_the_next(short_tmp_path):
    abandoned = short_tmp_path / f"devstack-{os.getuid()}-abandoned"
    abandoned.mkdir()
    (abandoned / "owner").touch()
    living = Workspace()
    Workspace().remove()
    assert (abandoned.exists(), living.path.exists()) == (False, True)
    living.remove()


# --- Redis


def test_redis_forgets_everything_unless_it_is_told_to_persist(start_server):
    forgetful, persistent = start_server(RedisServer()), start_server(RedisServer(persistent=True))
    for redis in (forgetful, persistent):
        assert redis_says(redis, "SET key value") == "+OK\r\n"
        redis.kill()
        redis.start()
    assert redis_says(forgetful, "GET key") == "$-1\r\n"
    assert redis_says(persistent, "GET key") == "$5\r\nvalue\r\n"
