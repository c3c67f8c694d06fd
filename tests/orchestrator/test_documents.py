"""The commands of the checklist and of the troubleshooting guide do what they are said to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from devstack.development import Development, development
from devstack.for_pytest import skip_where_unavailable
from devstack.install.redis_server import redis_server
from devstack.machine import PROJECT_ROOT, Machine
from devstack.participant import Participant
from tests import leaks
from tests.orchestrator.documented import Documented, commands_of
from tests.orchestrator.voice_world import until

API_KEY, OPERATOR_KEY = "api-key-of-the-test-1", "operator-key-of-the-test"
CHECKLIST = commands_of((PROJECT_ROOT / "docs/production-checklist.md").read_text())
TROUBLESHOOTING = commands_of((PROJECT_ROOT / "docs/troubleshooting.md").read_text())


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("production") / "data"


@pytest.fixture(scope="module")
def production(webrtc: None, data_folder: Path) -> Iterator[Development]:
    """The stack, with an orchestrator in production mode."""
    settings = {
        "DATA_DIR": str(data_folder),
        "LIVEKIT_AGENT_NAME": "voice-agent",
        "ORCHESTRATOR_MODE": "production",
        "ORCHESTRATOR_API_KEYS": API_KEY,
        "ORCHESTRATOR_OPERATOR_KEYS": OPERATOR_KEY,
        "CORS_ORIGINS": "https://app.example.com",
    }
    with ExitStack() as running:
        with skip_where_unavailable(), leaks.shared():
            stack = running.enter_context(development(settings, persistent_redis=True))
        yield stack


@pytest.fixture(scope="module")
def environment(production: Development, data_folder: Path) -> dict[str, str]:
    """What the documents say is set."""
    for program in ("curl", "openssl", "ps"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH; the documents' commands need it")
    beside_redis = redis_server(Machine.current()).parent
    folders = [str(Path(sys.executable).parent), os.environ["PATH"], str(beside_redis)]
    path = os.pathsep.join(folders)
    if shutil.which("redis-cli", path=path) is None:
        pytest.skip("redis-cli is not on PATH; the documents' commands need it")
    livekit = production.livekit
    return {
        "PATH": path,
        "ORCHESTRATOR": production.orchestrator.url,
        "API_KEY": API_KEY,
        "OPERATOR_KEY": OPERATOR_KEY,
        "LIVEKIT_HTTP_URL": livekit.http_url,
        "LIVEKIT_API_KEY": livekit.api_key,
        "LIVEKIT_API_SECRET": livekit.api_secret,
        "REDIS_URL": production.stack.redis.info.url,
        "DATA_DIR": str(data_folder),
    }


def problem_with(documented: Documented, environment: dict[str, str]) -> str:
    """What went wrong with a command, or nothing."""
    done = subprocess.run(
        ["sh", "-euc", documented.command],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        cwd=PROJECT_ROOT,
    )
    missing = documented.missing_in(done.stdout)
    if done.returncode == 0 and not missing:
        return ""
    return (
        f"{documented.command}\nexit status {done.returncode}, lacks {missing}:\n"
        f"{done.stdout}{done.stderr}"
    )


def test_the_documents_have_commands_to_run():
    assert len(CHECKLIST) >= 8
    assert len(TROUBLESHOOTING) >= 8


def test_every_command_of_the_checklist_prints_what_it_says(environment):
    problems = [problem_with(documented, environment) for documented in CHECKLIST]
    assert not "\n".join(filter(None, problems))


async def test_every_command_of_the_troubleshooting_guide_prints_what_it_says(
    environment, production
):
    async with httpx.AsyncClient(base_url=production.orchestrator.url) as backend:
        who, headers = {"userName": "troubled@example.com"}, {"X-API-Key": API_KEY}
        answer = await backend.post("/api/session/start", headers=headers, json=who)
    started = answer.raise_for_status().json()
    given = {**environment, "SESSION_ID": started["sessionId"]}
    async with Participant(production.livekit, started["token"]) as person:
        await person.hear()
        # The job notes that it is ready beside the conversation.
        async with httpx.AsyncClient(base_url=production.orchestrator.url) as backend:
            await until(lambda: _is_ready(backend, started["sessionId"]))
        problems = [
            await asyncio.to_thread(problem_with, documented, given)
            for documented in TROUBLESHOOTING
        ]
    assert not "\n".join(filter(None, problems))


async def _is_ready(backend: httpx.AsyncClient, session_id: str) -> bool:
    answer = await backend.get(f"/api/session/{session_id}", headers={"X-API-Key": API_KEY})
    return bool(answer.raise_for_status().json()["status"] == "ready")
