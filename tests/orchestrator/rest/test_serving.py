"""``python -m orchestrator`` as a process: what it refuses, how it starts, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest

from devstack.machine import PROJECT_ROOT
from devstack.waiting import eventually
from orchestrator.callers.keys import hash_of
from tests.orchestrator.rest.served import Served
from tests.orchestrator.rest.world import API_KEY


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


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "ORCHESTRATOR_API_KEYS"),
        ({"ORCHESTRATOR_MODE": "production", "REDIS_URL": ""}, "ORCHESTRATOR_API_KEYS"),
        (
            {"ORCHESTRATOR_MODE": "development", "ORCHESTRATOR_HOST": "0.0.0.0"},
            "ORCHESTRATOR_HOST",
        ),
        ({"ORCHESTRATOR_MODE": "testing"}, "ORCHESTRATOR_MODE"),
        (
            {"ORCHESTRATOR_MODE": "development", "REDIS_URL": "redis://127.0.0.1:9/0"},
            "REDIS_URL",
        ),
        ({"ORCHESTRATOR_API_KEYS": API_KEY, "RATE_LIMIT": "1/moon"}, "RATE_LIMIT"),
    ],
)
def test_it_refuses_to_start_with_one_sentence(environ, named):
    ended = run(**environ)
    assert ended.returncode == 2
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"orchestrator: {named}: ")
    assert "Traceback" not in ended.stderr


def test_namespaces_are_added_listed_and_removed(redis):
    environ = {"REDIS_URL": redis}
    added = run("namespace", "add", "cli-acme", **environ)
    assert added.returncode == 0
    key, key_hash = (line.split()[-1] for line in added.stdout.splitlines()[:2])
    assert key_hash == hash_of(key)
    assert "cli-acme" in run("namespace", "list", **environ).stdout.splitlines()
    assert run("namespace", "remove", "cli-acme", **environ).returncode == 0
    assert run("namespace", "remove", "cli-acme", **environ).returncode == 1
    assert run("namespace", "add", "a b", **environ).returncode == 2
    assert "REDIS_URL" in run("namespace", "list").stderr


async def test_it_serves_and_ends_when_asked(quiet_livekit):
    server = Served(quiet_livekit, ORCHESTRATOR_MODE="development")
    try:
        await eventually(lambda: server.status("/readyz?ticket=secret-ticket") == 200, 30)
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
