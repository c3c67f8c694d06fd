"""``python -m memory``: what does not depend on where the memories are."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import PROJECT_ROOT
from memory import Category, NewMemory
from memory.outbox import OutboxFile
from people.command import main
from session_context import livekit_identity_to_uuid


def run(arguments: list[str]) -> int:
    """Run the command; whom it binds is bound for it alone."""
    return contextvars.copy_context().run(main, arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["erase", "--yes"],
        ["search", "--limit", "many", "x"],
        ["copy", "--from", "sqlite"],
        ["move", "--from", "alice"],
        ["frobnicate"],
    ],
)
def test_wrong_use_shows_how_to_use_it(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    assert "usage: python -m memory" in said.err


COMMANDS = "import search list history export erase opt-out opt-in move copy retention".split()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_listed_and_explains_itself(command, capsys):
    for arguments in (["--help"], [command, "--help"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        assert command in capsys.readouterr().out


def test_settings_that_cannot_be_used_are_wrong_use(monkeypatch, capsys):
    monkeypatch.setenv("RETENTION_DAYS", "0")
    assert run(["retention"]) == 2
    assert "RETENTION_DAYS" in capsys.readouterr().err


def test_a_store_that_is_away_is_a_failure_and_says_what_to_look_at(monkeypatch, capsys):
    monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "x.y.z")
    assert run(["list", "--identity", "alice@example.com"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "SUPABASE_URL" in said.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["copy", "--from", "sqlite", "--to", "sqlite"], "the same back end"),
        (["copy", "--from", "sqlite", "--to", "supabase"], "SUPABASE_URL"),
        (["move", "--from", "alice", "--to", "alice"], "the same identity"),
        (["import", "/no/such/file"], "cannot be read"),
        (["list", "--identity", ""], "identity is empty"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    arguments, problem, monkeypatch, data_dir, capsys
):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert problem in said.err
    assert not data_dir.exists()


def test_what_still_waits_of_the_source_keeps_a_move_from_happening(data_dir, monkeypatch, capsys):
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    outbox = OutboxFile(data_dir, max_bytes=1_000_000)
    alice = livekit_identity_to_uuid("alice@example.com")
    outbox.append(alice, [NewMemory(Category.FACT, "k", "waits")])
    move = ["move", "--from", "alice@example.com", "--to", "ana@example.com"]
    assert run(move) == 2
    said = capsys.readouterr()
    assert (said.out, "python -m memory outbox drain" in said.err) == ("", True)
    assert outbox.counts() == (1, 0)
    outbox.close()


def test_whoever_stops_reading_gets_no_complaint(data_dir: Path):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with subprocess.Popen(
        [sys.executable, "-m", "memory", "export"],
        cwd=PROJECT_ROOT,
        env={**kept, "ENV_FILE": os.devnull, "DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 1
