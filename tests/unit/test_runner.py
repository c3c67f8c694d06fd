"""What a runner is told, and when it serves nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from config import PROJECT_ROOT
from worker.assignment import Assignment


def test_an_assignment_is_read_as_it_was_written():
    assignment = Assignment("session_1", '{"identity": "zoë\\n@example.com"}')
    line = assignment.as_line().decode()
    assert line.count("\n") == 1
    assert Assignment.read(line) == assignment


@pytest.mark.parametrize("line", ["", "\n"])
def test_no_line_is_no_assignment(line):
    assert Assignment.read(line) is None


@pytest.mark.parametrize("line", ["[]", "{}", '{"room": "a"}', "room", "7"])
def test_a_line_without_room_and_metadata_is_an_error(line):
    with pytest.raises(ValueError):  # noqa: PT011 - json's own error is one too
        Assignment.read(line)


def runner(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "worker.runner", *arguments]
    return subprocess.run(
        command, cwd=PROJECT_ROOT, input="", capture_output=True, text=True, check=False
    )


def test_a_runner_that_is_told_nothing_serves_nobody():
    assert runner().returncode == 3


def test_a_runner_whose_parent_is_gone_serves_nobody():
    assert runner("--parent", "1").returncode == 3
