"""Each real server starts, answers, stops, comes back on its port, and leaves nothing."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from livekit import api

from devstack import identity
from devstack.errors import DevstackError, ServerEndedError, ServerStartError
from devstack.for_pytest import skip_where_unavailable
from devstack.identity import OURSELVES
from devstack.install.catalogue import Program, install
from devstack.machine import Machine
from devstack.process import Launch
from devstack.servers.livekit import LiveKitOptions, LiveKitServer
from devstack.servers.postgres import Postgres
from devstack.servers.redis import RedisServer
from devstack.servers.server import Server
from devstack.workspace import Workspace

pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds LiveKit


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder that servers make theirs in: not ``tmp_path``, as sockets need it short."""
    assert tmp_path.exists()
    with tempfile.TemporaryDirectory(prefix="ds") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        if os.geteuid() == 0:
            Path(folder).chmod(0o755)  # Postgres may have to run as somebody else
        yield Path(folder)


@pytest.fixture
def started(temporary):
    servers: list[Server] = []

    def start(server: Server) -> Server:
        servers.append(server)
        with skip_where_unavailable():
            return server.start()

    yield start
    for server in servers:
        server.stop()


def redis_says(server: RedisServer, command: str) -> str:
    with socket.create_connection(("127.0.0.1", server.info.port), timeout=5) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(1024).decode()


def descendants() -> list[str]:
    return [process.name() for process in psutil.Process().children(recursive=True)]


# --- what all of them do, shown with the smallest


def test_a_server_runs_from_the_beginning_of_a_with_to_its_end(temporary):
    with skip_where_unavailable(), RedisServer() as redis:
        assert redis_says(redis, "PING") == "+PONG\r\n"
        pid = redis.pid
    assert not redis.running
    assert not psutil.pid_exists(pid)


def test_a_stopped_server_leaves_no_process_no_file_and_no_log(temporary, started):
    redis = started(RedisServer())
    assert redis.log_file.exists()
    redis.stop()
    assert (descendants(), list(temporary.iterdir()), redis.log_file.exists()) == ([], [], False)


def test_a_log_in_a_folder_of_the_callers_stays(tmp_path, started):
    redis = started(RedisServer(log_dir=tmp_path / "logs"))
    redis.stop()
    assert "Ready to accept connections" in redis.log_file.read_text()


def test_starting_and_stopping_twice_is_the_same_as_once(started):
    redis = started(RedisServer())
    pid = redis.pid
    assert redis.start().pid == pid
    redis.stop()
    redis.stop()


def test_a_server_comes_back_on_its_port_after_a_restart_and_after_a_kill(started):
    redis = started(RedisServer())
    url, first = redis.info.url, redis.pid
    redis.restart()
    second = redis.pid
    redis.kill()
    assert not redis.running
    redis.start()
    assert redis_says(redis, "PING") == "+PONG\r\n"
    assert redis.info.url == url
    assert len({first, second, redis.pid}) == 3


def test_a_frozen_server_hangs_and_goes_on_when_thawed(started):
    redis = started(RedisServer())
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
    start_deadline_s = 0.3

    def __init__(self, then: str, machine: Machine) -> None:
        super().__init__(machine=machine)
        self._then = then

    def _launch(self, workspace: Workspace) -> Launch:
        program = f"echo the last words; {self._then}"
        return Launch(["/bin/sh", "-c", program], self.log_file, self._child_environ())

    def _answers(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("then", "reason"),
    [("exit 3", r"ended while starting \(exit status 3\)"), ("sleep 60", "did not answer")],
)
def test_a_server_that_does_not_start_says_why_and_where_its_log_is(
    then, reason, temporary, tmp_path
):
    server = Quiet(then, Machine.current({}, tmp_path / "cache"))
    with pytest.raises(ServerStartError, match=f"quiet {reason}") as failure:
        server.start()
    assert "the last words" in str(failure.value)
    assert str(server.log_file) in str(failure.value)
    assert "the last words" in server.log_file.read_text()
    assert (descendants(), list(temporary.iterdir())) == ([], [])


def test_a_server_that_ended_by_itself_is_noticed(started, tmp_path):
    redis = started(RedisServer(log_dir=tmp_path))
    redis.check()
    process = psutil.Process(redis.pid)
    os.kill(redis.pid, signal.SIGTERM)
    process.wait(5)
    while redis.running:
        time.sleep(0.01)
    with pytest.raises(ServerEndedError, match="redis has ended"):
        redis.check()


def test_logs_that_failures_left_are_removed_after_a_week(started, tmp_path):
    machine = Machine.current(cache_dir=tmp_path, environ=redis_named())
    logs = tmp_path / "logs"
    logs.mkdir()
    for name, days in (("old.log", 8), ("recent.log", 6)):
        (logs / name).touch()
        age = time.time() - days * 24 * 3600
        os.utime(logs / name, (age, age))
    started(RedisServer(machine=machine)).stop()
    assert [path.name for path in logs.iterdir()] == ["recent.log"]


def redis_named() -> dict[str, str]:
    with skip_where_unavailable():
        redis_server = install(Program.REDIS, Machine.current())
    return {"REDIS_SERVER_BIN": str(redis_server)}


def test_the_folder_of_an_owner_that_was_killed_is_removed_by_the_next(temporary):
    abandoned = temporary / f"devstack-{os.getuid()}-abandoned"
    abandoned.mkdir()
    (abandoned / "owner").touch()
    living = Workspace()
    Workspace().remove()
    assert (abandoned.exists(), living.path.exists()) == (False, True)
    living.remove()


# --- Redis


def test_redis_forgets_everything_unless_it_is_told_to_persist(started):
    forgetful, persistent = started(RedisServer()), started(RedisServer(persistent=True))
    for redis in (forgetful, persistent):
        assert redis_says(redis, "SET key value") == "+OK\r\n"
        redis.kill()
        redis.start()
    assert redis_says(forgetful, "GET key") == "$-1\r\n"
    assert redis_says(persistent, "GET key") == "$5\r\nvalue\r\n"


# --- Postgres


@pytest.fixture
def postgres(started) -> Postgres:
    server = started(Postgres())
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
    survivors = [process for process in processes if is_alive(process)]
    for process in survivors:
        process.kill()
    worker.join()
    assert survivors == []
    postgres.start()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(("durable", "fsync"), [(False, "off"), (True, "on")])
def test_postgres_syncs_to_disk_only_when_it_shall_be_durable(durable, fsync, started):
    with skip_where_unavailable():
        postgres = started(Postgres(durable=durable))
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


def test_data_in_a_folder_of_the_callers_outlives_the_server(temporary, started):
    folder = temporary / "kept"
    first = started(Postgres(data_dir=folder))
    first.info.execute("create table t as select 7 as id")
    first.stop()
    second = started(Postgres(data_dir=folder))
    assert ask(second.info.url, "select id from t") == 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_where_user_namespaces_are_forbidden_root_starts_postgres_as_nobody(started, monkeypatch):
    forbidden = identity.Identity("namespace:0:0")  # root again, as whom Postgres refuses
    monkeypatch.setattr(identity, "_in_user_namespace", lambda: forbidden)
    monkeypatch.setattr(identity, "_why_not", refusing(forbidden))
    postgres = started(Postgres())
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


# --- LiveKit


@pytest.fixture
def livekit(started) -> LiveKitServer:
    server = started(LiveKitServer(LiveKitOptions(target_load=0.9)))
    assert isinstance(server, LiveKitServer)
    return server


async def test_livekit_takes_its_key_and_makes_rooms_on_demand(livekit):
    info = livekit.info
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as client:
        name = secrets.token_hex(4)
        await client.room.create_room(api.CreateRoomRequest(name=name))
        rooms = await client.room.list_rooms(api.ListRoomsRequest())
        assert [room.name for room in rooms.rooms] == [name]
    assert len(info.api_secret) >= 32
    assert info.url == info.http_url.replace("http", "ws")


async def test_livekit_ends_soon_even_with_a_room_open_and_comes_back_on_its_port(livekit):
    info = livekit.info
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as client:
        await client.room.create_room(api.CreateRoomRequest(name="open", empty_timeout=300))
    began = time.monotonic()
    livekit.restart()
    assert time.monotonic() - began < 5
    assert '"force": true' in livekit.log_file.read_text()  # it ended by itself
    assert livekit.info == info
    async with api.LiveKitAPI(info.http_url, info.api_key, info.api_secret) as client:
        assert not (await client.room.list_rooms(api.ListRoomsRequest())).rooms


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_livekit_serves_its_api_on_loopback_only(livekit):
    listening = {
        connection.laddr
        for connection in psutil.Process(livekit.pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    port = int(livekit.info.url.rpartition(":")[2])
    assert [address.ip for address in listening if address.port == port] == ["127.0.0.1"]
