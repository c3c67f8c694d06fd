"""``make run`` and ``make demo`` bring everything, and leave no process behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest
from livekit import rtc

from devstack.for_pytest import skip_where_unavailable
from devstack.install.catalogue import Program, install
from devstack.machine import PROJECT_ROOT, Machine
from devstack.participant import Participant
from devstack.ports import is_free
from devstack.servers.livekit import LiveKitInfo
from devstack.waiting import eventually

pytest_plugins = ["tests.integration.devstack_fixtures"]
pytestmark = pytest.mark.timeout(900)  # the first run on a machine builds LiveKit

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
Command = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run_module(short_tmp_path: Path, data_dir: Path) -> Iterator[Command]:
    """Start ``python -m`` with its output in a pipe."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
        with skip_where_unavailable():
            for needed in (Program.LIVEKIT, Program.REDIS):
                install(needed, Machine.current())
        made = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=PROJECT_ROOT,
            env={**os.environ, "DATA_DIR": str(data_dir)},
        )
        running.append(made)
        return made

    yield start
    for process in running:
        process.kill()
        process.communicate()


def running_in(folder: Path) -> list[str]:
    """The processes whose temporary folder this is: whatever session or parent they have."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder):
                found.append(f"{process.pid} {process.name()}")
        except psutil.Error:
            continue  # it has ended, or is somebody else's
    return found


def names(processes: list[str]) -> set[str]:
    return {process.split(maxsplit=1)[1] for process in processes}


async def test_run_serves_until_ctrl_c_and_leaves_nothing(
    webrtc, run_module, short_tmp_path, tmp_path
):
    run = run_module("devstack", "run", "--log-dir", str(tmp_path))
    said = ""
    for line in run.stdout:
        said += line
        if "Ctrl-C ends this" in line:
            break
    url = re.search(r"LiveKit server\s+(\S+)", said)
    orchestrator = re.search(r"Orchestrator\s+(\S+)", said)
    assert orchestrator is not None, said
    token = re.search(r"^\s+(eyJ\S+)$", said, re.MULTILINE)
    assert url is not None, said
    assert token is not None, said
    async with Participant(LiveKitInfo(url[1], "", "", ""), token[1]) as person:
        assert "What may I call you?" in (await person.hear(60)).text
        assert len(running_in(short_tmp_path)) > 3
        await walk_in(orchestrator[1], LiveKitInfo(url[1], "", "", ""))
        run.send_signal(signal.SIGINT)
        await eventually(lambda: run.poll() is not None, 30)
    assert (run.returncode, running_in(short_tmp_path)) == (0, [])
    ports = [int(port) for port in re.findall(r"://127\.0\.0\.1:(\d+)", said)]
    assert [port for port in ports if not is_free(port)] == []
    assert "Traceback" not in run.stdout.read()
    assert list(short_tmp_path.iterdir()) == []


async def walk_in(orchestrator: str, livekit: LiveKitInfo) -> None:
    """Start a session as the printed curl lines do, and hear its agent."""
    async with httpx.AsyncClient(base_url=orchestrator) as client:
        assert (await client.get("/health")).json()["status"] == "healthy"
        answer = await client.post("/api/session/start", json={"userName": "bob@example.com"})
    started = answer.raise_for_status().json()
    async with Participant(livekit, started["token"]) as person:
        assert "What may I call you?" in (await person.hear(60)).text
        agents = [each for each in person.room.remote_participants.values() if each.kind == AGENT]
        assert len(agents) == 1


async def test_the_demo_knows_the_person_the_second_time_and_leaves_nothing(
    run_module, short_tmp_path, tmp_path
):
    transcript = tmp_path / "transcript"
    with transcript.open("w") as out:
        demo = run_module("demo", stdout=out)
    await eventually(lambda: "anna:" in transcript.read_text(), 120)
    assert "livekit-server" in names(running_in(short_tmp_path))
    await eventually(lambda: demo.poll() is not None, 120)
    said = transcript.read_text()
    assert (demo.returncode, running_in(short_tmp_path)) == (0, []), said
    second = said[said.index("Second conversation") :]
    assert "Welcome back, Anna!" in second
    assert "favorite_color: blue" in second
    assert list(short_tmp_path.iterdir()) == []
