"""Every way to start the worker, and what it says when it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.machine import PROJECT_ROOT
from devstack.participant import Participant, access_token
from devstack.servers.livekit import LiveKitServer
from devstack.waiting import eventually
from tests.e2e.conftest import PATIENT
from tests.services import started

WAYS = {
    "agent.py dev": ["agent.py", "dev"],
    "agent.py start": ["agent.py", "start"],
    "livekit.agents start": ["-m", "livekit.agents", "start", "agent.py"],
    "livekit.agents start --dev": ["-m", "livekit.agents", "start", "agent.py", "--dev"],
}


def environment(**settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "ENV_FILE": "/dev/null", "WORKER_PORT": "0", **settings}


@pytest.fixture
def livekit_settings(webrtc: None) -> Iterator[tuple[LiveKitServer, dict[str, str]]]:
    with started(LiveKitServer) as server:
        yield (
            server,
            {
                "LIVEKIT_URL": server.info.url,
                "LIVEKIT_API_KEY": server.info.api_key,
                "LIVEKIT_API_SECRET": server.info.api_secret,
            },
        )


@pytest.mark.parametrize("way", WAYS)
async def test_the_worker_registers_and_answers(
    way, livekit_settings, data_dir, tmp_path, identity, new_room
):
    server, settings = livekit_settings
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, *WAYS[way]],
            cwd=PROJECT_ROOT,
            env=environment(ALLOW_SCRIPTED_MODEL="true", DATA_DIR=str(data_dir), **settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await eventually(lambda: "registered worker" in log_file.read_text(), 60)
        token = access_token(server.info, identity, new_room())
        async with Participant(server.info, token) as person:
            assert "What may I call you?" in (await person.hear()).text
            assert await person.ask("my name is anna")
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0, log_file.read_text()


async def test_connect_serves_one_room(livekit_settings, data_dir, tmp_path, identity, new_room):
    server, settings = livekit_settings
    room = new_room()
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "agent.py", "connect", "--room", room],
            cwd=PROJECT_ROOT,
            env=environment(DATA_DIR=str(data_dir), **settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        token = access_token(server.info, identity, room)
        async with Participant(server.info, token) as person:
            assert "What may I call you?" in (await person.hear(60)).text
    finally:
        worker.kill()
        worker.wait()


LIVEKIT = {
    "LIVEKIT_URL": "ws://127.0.0.1:1",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a secret of more than thirty-two characters",
}


@pytest.mark.parametrize("command", [["agent.py", "start"], WAYS["livekit.agents start"]])
@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (LIVEKIT, "OPENAI_API_KEY: set it to an OpenAI key"),
        ({"OPENAI_API_KEY": "sk-x"}, "LIVEKIT_URL: set it to your LiveKit server's"),
        ({**LIVEKIT, "LIVEKIT_API_SECRET": "", "OPENAI_API_KEY": "x"}, "LIVEKIT_API_SECRET: set"),
        ({**LIVEKIT, "MAX_JOBS": "many"}, "MAX_JOBS: Input should be a valid integer"),
        (
            {**LIVEKIT, "OPENAI_API_KEY": "x", "SUPABASE_URL": "http://127.0.0.1:1"},
            "SUPABASE_SERVICE_ROLE_KEY: set it",
        ),
    ],
)
def test_what_is_missing_is_named_in_one_sentence_with_a_failing_exit(
    command, settings, sentence, data_dir
):
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT_ROOT,
        env=environment(DATA_DIR=str(data_dir), **settings),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(sentence), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_typed_conversation_needs_no_server_and_is_remembered(data_dir):
    def chat(lines: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "assistant.chat"],
            cwd=PROJECT_ROOT,
            env=environment(DATA_DIR=str(data_dir), **PATIENT),
            input=lines,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    assert "[model: scripted-demo" in chat("my name is anna\nI love hiking\n")
    second = chat("What do I love?\n")
    assert "Welcome back, Anna! Last time you told me: I love hiking." in second
    assert "You once told me: I love hiking" in second


def test_the_conversation_in_the_document_goes_as_it_says(data_dir):
    document = (PROJECT_ROOT / "docs" / "person-in-charge.md").read_text(encoding="utf-8")
    lines = document.split("```text\n")[1].split("```")[0].splitlines()
    typed = [line.removeprefix("> ") for line in lines if line.startswith("> ")]
    ended = subprocess.run(
        [sys.executable, "-m", "assistant.chat"],
        cwd=PROJECT_ROOT,
        env=environment(DATA_DIR=str(data_dir), **PATIENT),
        input="\n".join(typed),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = ended.stdout.splitlines()[1:]
    # What is known is read from what was said a little behind it, and nobody waits here.
    lists = "assistant: This is what I know. Profile: first name: Anna"
    documented = [line for line in lines if line.startswith("assistant: ")]
    assert [line[: len(lists)] if line.startswith(lists) else line for line in said] == [
        line[: len(lists)] if line.startswith(lists) else line for line in documented
    ]
    for line in (*said, *documented):
        assert not line.startswith(lists) or "What do you know" not in line, "a request is kept"


SNIPPET = """
from agent import set_session_user, get_session_user_uuid, memory_manager
set_session_user("alice@example.com"); uuid_alice = get_session_user_uuid()
memory_manager.store("FACT", "favorite_color", "blue")
set_session_user("bob@example.com"); uuid_bob = get_session_user_uuid()
memory_manager.store("FACT", "favorite_color", "red")
assert uuid_alice != uuid_bob
assert memory_manager.retrieve("FACT", "favorite_color") == "red"
set_session_user("alice@example.com")
assert memory_manager.retrieve("FACT", "favorite_color") == "blue"
"""


def test_the_session_user_decides_whose_memory_it_is_in_a_fresh_interpreter(data_dir):
    ended = subprocess.run(
        [sys.executable, "-c", SNIPPET],
        cwd=PROJECT_ROOT,
        env=environment(DATA_DIR=str(data_dir)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert len(list((data_dir / "people").glob("*.db"))) == 2


IMPORT_WATCHED = """
import sys, threading
seen = []
watched = ("socket.connect", "sqlite3.connect", "subprocess.Popen", "os.fork", "os.mkdir")
def hook(event, arguments):
    mode = arguments[1] if event == "open" else None
    written = isinstance(mode, str) and set(mode) & set("wax+")
    if (event in watched or written) and "__pycache__" not in str(arguments):
        seen.append((event, str(arguments)))
sys.addaudithook(hook)
threads = threading.active_count()
import agent
assert not seen, seen
assert threading.active_count() == threads, threading.enumerate()
assert agent.server is not None
"""


def test_importing_the_agent_opens_nothing_starts_nothing_and_needs_no_key(tmp_path: Path):
    # What native libraries write is seen by no hook: onnxruntime's telemetry did.
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "DATA_DIR")
    elsewhere = {name: str(tmp_path / name) for name in places}
    (tmp_path / "HOME").mkdir()
    (tmp_path / "TMPDIR").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_WATCHED],
        cwd=PROJECT_ROOT,
        env=environment(PYTHONDONTWRITEBYTECODE="1", **elsewhere),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "HOME", tmp_path / "TMPDIR"]
