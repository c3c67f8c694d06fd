"""An operator sees what waits, without what was said, and can have it delivered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

import pytest

from config import PROJECT_ROOT, Settings
from memory.outbox.command import drain_all, list_entries
from memory.outbox.drainer import DrainLock
from storage import StorageUnavailableError
from tests.outbox import Database, an_outbox, new

ALICE = str(uuid.uuid4())


@pytest.fixture
def settings(data_dir):
    return Settings.from_environment({"DATA_DIR": str(data_dir)}).store


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path / "database")
    yield made
    made.files.close()


@pytest.fixture
def said(data_dir):
    outbox = an_outbox(data_dir)
    entries = outbox.append(ALICE, [new("a secret", "key one"), new("another", "key two")])
    outbox.set_aside(entries[1].ordinal, "refused (23514)", reason="rejected")
    outbox.close()


def test_the_list_shows_who_and_why_and_not_what_was_said(settings, said, capsys):
    assert list_entries(settings, only_set_aside=False) == 0
    output = capsys.readouterr()
    first, second = (json.loads(line) for line in output.out.splitlines())
    assert (first["user"], first["kind"], first["problem"]) == (ALICE, "remember", None)
    assert second["problem"] == "refused (23514)"
    assert "1 wait, 1 are set aside" in output.err
    assert "secret" not in output.out
    assert "key one" not in output.out


def test_the_list_of_what_is_set_aside_shows_nothing_else(settings, said, capsys):
    list_entries(settings, only_set_aside=True)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_draining_delivers_what_waits_and_on_demand_what_is_set_aside(settings, said, database):
    assert drain_all(settings, lambda: database, 10, set_aside=False) == 0
    assert database.values(ALICE) == ["a secret"]
    assert drain_all(settings, lambda: database, 10, set_aside=True) == 0
    assert database.values(ALICE) == ["a secret", "another"]


def test_what_cannot_be_drained_is_said_with_its_cause(settings, said, database, capsys):
    database.away = StorageUnavailableError("Supabase did not answer; check SUPABASE_URL")
    assert drain_all(settings, lambda: database, 0.3, set_aside=False) == 1
    assert "check SUPABASE_URL" in capsys.readouterr().err


def test_it_is_tried_once_also_where_the_time_is_over_before(settings, said, database, capsys):
    database.away = StorageUnavailableError("Supabase did not answer; check SUPABASE_URL")
    assert drain_all(settings, lambda: database, 0, set_aside=False) == 1
    assert "check SUPABASE_URL" in capsys.readouterr().err
    database.away = None
    assert drain_all(settings, lambda: database, 0, set_aside=False) == 0
    assert database.values(ALICE) == ["a secret"]


def test_while_another_process_delivers_draining_waits_for_it(settings, said, database, data_dir):
    lock = DrainLock(data_dir)
    assert lock.take()
    assert drain_all(settings, lambda: database, 0.3, set_aside=False) == 1
    lock.release()
    assert database.values(ALICE) == []


def command(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memory", *arguments],
        cwd=PROJECT_ROOT,
        env={"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_a_command_line(settings, said):
    listed = command("outbox", "list", DATA_DIR=str(settings.data_dir))
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 2


def test_without_supabase_it_says_which_setting_is_missing(settings, said):
    drained = command("outbox", "drain", "--deadline", "0.5", DATA_DIR=str(settings.data_dir))
    assert drained.returncode == 1
    assert "SUPABASE_URL" in drained.stderr
