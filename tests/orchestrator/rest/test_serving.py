"""``python -m orchestrator`` as a process: what it refuses, how it starts, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest

from config import ConfigError, Settings
from devstack.machine import PROJECT_ROOT
from devstack.waiting import eventually
from orchestrator.__main__ import main
from orchestrator.callers.keys import hash_of
from orchestrator.rate_limits import RateLimits
from tests.orchestrator.rest.served import Served


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=PROJECT_ROOT,
        env={**os.environ, "ORCHESTRATOR_PORT": "0", **environ},
    )


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environ: str) -> int:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return main(list(arguments))


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "ORCHESTRATOR_API_KEYS"),
        ({"ORCHESTRATOR_MODE": "production"}, "ORCHESTRATOR_API_KEYS"),
        (
            {"ORCHESTRATOR_MODE": "development", "ORCHESTRATOR_HOST": "0.0.0.0"},
            "ORCHESTRATOR_HOST",
        ),
        ({"ORCHESTRATOR_MODE": "testing"}, "ORCHESTRATOR_MODE"),
    ],
)
def test_it_refuses_to_start_with_one_sentence(monkeypatch, capsys, environ, named):
    assert run_here(monkeypatch, **environ) == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert sentence.startswith(f"orchestrator: {named}: ")


def test_redis_that_is_configured_and_down_ends_it_with_one_sentence():
    environ = {"ORCHESTRATOR_MODE": "development", "REDIS_URL": "redis://127.0.0.1:9/0"}
    ended = run(**environ)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("orchestrator: REDIS_URL: ")
    assert "Traceback" not in ended.stderr


def test_a_rate_limit_that_cannot_be_read_is_named():
    with pytest.raises(ConfigError, match="RATE_LIMIT"):
        RateLimits(Settings.from_environment({"RATE_LIMIT": "1/moon"}))


def test_namespaces_are_added_listed_and_removed(monkeypatch, capsys, redis):
    def said(*arguments: str) -> list[str]:
        assert run_here(monkeypatch, "namespace", *arguments, REDIS_URL=redis) == 0
        return list(capsys.readouterr().out.splitlines())

    key, key_hash = (line.split()[-1] for line in said("add", "cli-acme")[:2])
    assert key_hash == hash_of(key)
    assert "cli-acme" in said("list")
    said("remove", "cli-acme")
    assert run_here(monkeypatch, "namespace", "remove", "cli-acme") == 1
    assert run_here(monkeypatch, "namespace", "add", "a b") == 2


def test_namespaces_need_redis_and_the_command_says_so(monkeypatch, capsys):
    assert run_here(monkeypatch, "namespace", "list") == 2
    assert "REDIS_URL" in capsys.readouterr().err


async def test_it_serves_and_ends_when_asked(quiet_livekit):
    server = Served(quiet_livekit, ORCHESTRATOR_MODE="development")
    try:
        await eventually(lambda: server.status("/readyz?ticket=secret-ticket") == 200, 60)
        body = {"userName": "Alice"}
        async with httpx.AsyncClient(base_url=server.url) as client:
            started = (await client.post("/api/session/start", json=body)).json()
            ending = {"sessionId": started["sessionId"]}
            ended = await client.post("/api/session/end", json=ending)
        assert ended.json()["success"] is True
    finally:
        log = server.stop()
    assert server.returncode == 0
    assert "[Session]" in log
    assert "secret-ticket" not in log
    assert started["token"] not in log
    assert "Traceback" not in log
