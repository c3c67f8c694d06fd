"""``python -m memory`` as a process, on both back ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from config import PROJECT_ROOT
from devstack.servers.supabase import SupabaseProject
from memory.transcript import TranscriptTurn, open_transcript_store
from people import open_people
from session_context import livekit_identity_to_uuid
from storage import Storage

Run = Callable[..., subprocess.CompletedProcess[str]]

MEMORIES = [
    ("FACT", "color", "blue", "2026-05-01T10:00:00+00:00", "s-1"),
    ("FACT", "color", "green", "2026-06-01T10:00:00+00:00", "s-2"),
    ("RELATIONSHIP", "sister", "My sister is called Ana.", "2026-06-02T10:00:00+00:00", None),
]
NAMES = ("category", "key", "value", "created_at", "session_id")
GIVEN = [dict(zip(NAMES, memory, strict=True)) for memory in MEMORIES]
LINES = "".join(f"{json.dumps(memory)}\n" for memory in GIVEN)


@pytest.fixture
def settings(request: pytest.FixtureRequest, storage: Storage, data_dir: Path) -> dict[str, str]:
    """The environment that names the back end of `storage`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {**kept, "ENV_FILE": os.devnull, "DATA_DIR": str(data_dir)}
    if storage.supabase is not None:
        project: SupabaseProject = request.getfixturevalue("supabase")
        settings["SUPABASE_URL"] = project.info.url
        settings["SUPABASE_SERVICE_ROLE_KEY"] = project.info.keys.service_role_key
    return settings


@pytest.fixture
def run(settings: dict[str, str]) -> Run:
    def run_it(*arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "memory", *arguments],
            cwd=PROJECT_ROOT,
            env={**settings, **more},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run_it


@pytest.fixture
def alice() -> str:
    return f"alice-{uuid.uuid4()}@example.com"


def lines_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_was_imported_is_listed_found_and_has_a_history(run, alice):
    for _ in range(2):
        done = run("import", "-", "--identity", alice, stdin=LINES)
        assert lines_of(done) == [{"imported": 3, "skipped": 0}]
    assert lines_of(run("list", "--identity", alice)) == [GIVEN[2], GIVEN[1]]
    assert lines_of(run("list", "--category", "fact", "--identity", alice)) == [GIVEN[1]]
    assert lines_of(run("search", "which color?", "--identity", alice)) == [GIVEN[1]]
    ends = {"superseded_at": None}, {"superseded_at": GIVEN[1]["created_at"]}
    history = lines_of(run("history", "FACT", "color", "--identity", alice))
    assert history == [{**GIVEN[1], **ends[0]}, {**GIVEN[0], **ends[1]}]
    assert lines_of(run("list", "--identity", f"not-{alice}")) == []


def test_what_is_listed_can_be_imported_again(run, alice):
    run("import", "-", "--identity", alice, stdin=LINES)
    listed = run("list", "--identity", alice).stdout
    run("import", "-", "--identity", f"b-{alice}", stdin=listed)
    assert run("list", "--identity", f"b-{alice}").stdout == listed


def test_of_a_file_with_a_bad_line_nothing_is_imported_unless_bad_ones_are_skipped(
    run, alice, tmp_path
):
    file = tmp_path / "lines"
    file.write_text(LINES + "\nnope\n" + '{"category": "FACT"}\n')
    done = run("import", str(file), "--identity", alice)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[:2] == ["line 5: it is not JSON", "line 6: key is missing"]
    assert "--skip-bad" in done.stderr
    assert lines_of(run("list", "--identity", alice)) == []
    done = run("import", str(file), "--skip-bad", "--identity", alice)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"imported": 3, "skipped": 2})
    assert len(lines_of(run("list", "--identity", alice))) == 2


def test_the_export_is_one_document_on_the_screen_or_in_a_file_of_ones_own(run, alice, tmp_path):
    run("import", "-", "--identity", alice, stdin=LINES)
    done = run("export", "--identity", alice)
    schema = json.loads((PROJECT_ROOT / "docs" / "export.schema.json").read_text())
    document = json.loads(done.stdout)
    Draft202012Validator(schema).validate(document)
    assert [each["value"] for each in document["memories"]][:2] == ["blue", "green"]
    file = tmp_path / "alice.json"
    assert run("export", "--identity", alice, "--output", str(file)).stdout == ""
    assert {**json.loads(file.read_text()), "exported_at": 0} == {**document, "exported_at": 0}
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if "json" in path.name] == ["alice.json"]
    refused = run("export", "--identity", alice, "--output", str(tmp_path / "no" / "such"))
    assert refused.returncode == 2
    assert "cannot be written" in refused.stderr


def test_nobody_is_erased_unless_somebody_means_it(run, alice, settings):
    run("import", "-", "--identity", alice, stdin=LINES)
    done = run("erase", "--identity", alice, stdin="y\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert at_a_terminal(["erase", "--identity", alice], settings, "n\n") == 2
    assert len(lines_of(run("list", "--identity", alice))) == 2
    assert at_a_terminal(["erase", "--identity", alice], settings, "y\n") == 0
    assert lines_of(run("list", "--identity", alice)) == []
    [erased] = lines_of(run("erase", "--identity", alice, "--yes"))
    assert (erased["generation"], erased["memories"]) == (2, 0)


def at_a_terminal(arguments: list[str], settings: dict[str, str], answer: str) -> int:
    """Run the command with a terminal to ask at, answer it, and return its status."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "memory", *arguments]
    try:
        os.write(ours, answer.encode())
        return subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env=settings,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        ).returncode
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_changed_address_takes_everything_along(run, alice):
    new = f"new-{alice}"
    run("import", "-", "--identity", alice, stdin=LINES)
    [moved] = lines_of(run("move", "--from", alice, "--to", new))
    assert (moved["moved"], moved["memories"], moved["generation"]) == (True, 3, 1)
    document = json.loads(run("export", "--identity", new).stdout)
    assert (len(document["memories"]), document["profile"]["email"]) == (3, new)
    again = run("move", "--from", alice, "--to", new)
    assert (again.returncode, json.loads(again.stdout)["moved"]) == (0, False)
    assert run("move", "--from", alice, "--to", alice).returncode == 2


def test_of_who_opted_out_nothing_is_imported_until_they_opt_in(run, alice):
    run("opt-out", "--identity", alice)
    done = run("import", "-", "--identity", alice, stdin=LINES)
    assert (done.returncode, done.stdout) == (2, "")
    assert "opt-in" in done.stderr
    assert lines_of(run("opt-in", "--identity", alice)) == [{"remembered": True, "generation": 1}]
    assert lines_of(run("import", "-", "--identity", alice, stdin=LINES))[0]["imported"] == 3


def test_retention_erases_nobody_unless_told_after_how_many_days(run, alice):
    run("import", "-", "--identity", alice, stdin=LINES)
    done = run("retention")
    assert (done.returncode, json.loads(done.stdout)["erased_people"]) == (0, 0)
    assert "RETENTION_DAYS" in done.stderr
    [kept] = lines_of(run("retention", RETENTION_DAYS="1"))
    assert kept["erased_people"] == 0, "they came today"
    assert len(lines_of(run("list", "--identity", alice))) == 2
    assert run("retention", RETENTION_DAYS="0").returncode == 2


def test_retention_deletes_what_is_too_old_of_transcripts(run, storage, alice):
    transcripts, user = open_transcript_store(storage), livekit_identity_to_uuid(alice)
    now = datetime.now(timezone.utc)
    turns = [
        TranscriptTurn(str(uuid.uuid4()), "s-1", "user", f"{days} days", now - timedelta(days))
        for days in (31, 29, 2)
    ]
    transcripts.keep(user, turns)

    def left() -> list[str]:
        return [turn.text for turn in transcripts.turns(user)]

    assert json.loads(run("retention", "--dry-run").stdout.splitlines()[-1])["deleted_turns"] == 0
    assert len(left()) == 3
    assert json.loads(run("retention").stdout)["deleted_turns"] >= 1
    assert left() == ["29 days", "2 days"]
    run("retention", TRANSCRIPT_RETENTION_DAYS="7")
    assert left() == ["2 days"]
    assert run("retention", TRANSCRIPT_RETENTION_DAYS="0").returncode == 2


def test_the_command_erases_what_a_session_has_open(run, storage, alice):
    people, user = open_people(storage), livekit_identity_to_uuid(alice)
    run("import", "-", "--identity", alice, stdin=LINES)
    assert len(people.export(user)["memories"]) == 3
    run("erase", "--identity", alice, "--yes")
    assert people.export(user)["memories"] == []
    assert people.generation(user) == 1
