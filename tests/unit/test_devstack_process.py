"""Children are started through the guard, and none outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from devstack import guard
from devstack.errors import DevstackError
from devstack.process import Launch, ServerProcess, guarded

PROJECT_ROOT = Path(guard.__file__).parent.parent
SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(60)",
]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="Linux has the death signal")


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def runs(pid: int, program: str) -> bool:
    """Whether the guard has become the program."""
    return not is_gone(pid) and psutil.Process(pid).name() == program


@pytest.fixture
def start(tmp_path):
    started: list[ServerProcess] = []

    def start_one(command, **options) -> ServerProcess:
        log_file = tmp_path / f"{len(started)}.log"
        process = ServerProcess(Launch(command, log_file, dict(os.environ), **options))
        started.append(process)
        process.start()
        return process

    yield start_one
    for process in started:
        process.kill()


def run_script(body: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(body), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    )


START_AND_PRINT_PID = """
    import os, sys, threading
    from pathlib import Path
    from devstack.process import Launch, ServerProcess
    process = ServerProcess(Launch(["/bin/sleep", "60"], Path(sys.argv[1]), dict(os.environ)))
    process.start()
    print(process.pid, flush=True)
"""


def test_output_goes_to_the_log_file(start):
    process = start([sys.executable, "-c", "print('one'); print('two')"])
    assert process.wait(10)
    assert process.last_log_lines() == "one\ntwo"
    assert process.exit_code == 0


def test_stop_ends_the_child_and_is_idempotent(start):
    process = start(SLEEP)
    process.stop()
    process.stop()
    assert not process.running
    assert process.exit_code == -signal.SIGTERM


def test_a_child_that_does_not_listen_is_killed_at_the_deadline(start):
    process = start(STUBBORN, stop_deadline_s=0.2)
    assert eventually(lambda: "deaf" in process.last_log_lines())
    process.stop()
    assert process.exit_code == -signal.SIGKILL


def test_a_child_that_needs_to_be_asked_twice_is_asked_twice(start):
    once = "import signal, time; signal.signal(15, lambda *_: signal.signal(15, signal.SIG_DFL))"
    program = f"{once}; print('ready', flush=True)\nwhile True: time.sleep(0.01)"
    process = start([sys.executable, "-c", program], insist_after_s=0.1)
    assert eventually(lambda: "ready" in process.last_log_lines())
    process.stop()
    assert process.exit_code == -signal.SIGTERM


def test_a_frozen_child_can_be_stopped(start):
    process = start(SLEEP)
    process.send_signal(signal.SIGSTOP)
    frozen = psutil.STATUS_STOPPED
    assert eventually(lambda: psutil.Process(process.pid).status() == frozen)
    process.stop()
    assert process.exit_code == -signal.SIGTERM


def test_what_a_child_leaves_behind_ends_with_it(start):
    process = start(["/bin/sh", "-c", "sleep 60 & echo $!; exec sleep 60"])
    assert eventually(lambda: process.last_log_lines().isdigit())
    process.stop()
    assert eventually(lambda: is_gone(int(process.last_log_lines())))


def test_a_program_that_does_not_exist_ends_at_once_and_says_so(start):
    process = start(["/nowhere/at-all"])
    assert process.wait(10)
    assert process.exit_code == guard.NO_SUCH_PROGRAM
    assert "cannot run /nowhere/at-all" in process.last_log_lines()


def test_a_process_is_started_only_once(start):
    process = start(SLEEP)
    with pytest.raises(DevstackError, match="started once"):
        process.start()


def test_a_child_leads_a_session_of_its_own(start):
    """Ctrl-C in the terminal must reach only the parent, which ends the servers in order."""
    process = start(SLEEP)
    assert eventually(lambda: "awake" in process.last_log_lines())
    assert os.getsid(process.pid) == process.pid


@linux_only
def test_a_child_ignores_and_blocks_no_signal(start):
    process = start(["/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status"])
    assert process.wait(10)
    masks = [line.split()[1] for line in process.last_log_lines().splitlines()]
    threading_library = 1 << 31 | 1 << 32  # signals 32 and 33 are glibc's own: nptl(7)
    assert [int(mask, 16) & ~threading_library for mask in masks] == [0, 0]


@linux_only
def test_a_killed_parent_takes_its_child_with_it(tmp_path):
    body = START_AND_PRINT_PID + "    threading.Event().wait()"
    with run_script(body, str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert eventually(lambda: runs(child, "sleep"))
        parent.kill()
        parent.wait()
    assert eventually(lambda: is_gone(child))


def test_a_parent_that_exits_without_stopping_leaves_no_child(tmp_path):
    with run_script(START_AND_PRINT_PID, str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
    assert parent.returncode == 0
    assert is_gone(child)


def test_the_exit_of_a_fork_of_the_parent_does_not_stop_the_child(tmp_path):
    body = (
        START_AND_PRINT_PID
        + """
    fork = os.fork()
    if not fork:
        sys.exit(0)
    os.waitpid(fork, 0)
    print("running" if process.running and not process.wait(0.2) else "ended", flush=True)
    """
    )
    with run_script(body, str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        _, state = parent.stdout.readline(), parent.stdout.readline()
    assert state.strip() == "running"


@linux_only
def test_the_end_of_the_thread_that_called_start_does_not_end_the_child(start):
    """Linux sends the death signal when the *thread* that made the child ends."""
    started: list[ServerProcess] = []

    def start_and_end() -> None:
        started.append(start(SLEEP))
        assert eventually(lambda: "awake" in started[0].last_log_lines())

    caller = threading.Thread(target=start_and_end)
    caller.start()
    caller.join()
    assert not started[0].wait(0.3)


@linux_only
def test_the_caller_chooses_the_signal_that_orphans_get(tmp_path):
    said = tmp_path / "said"
    wait = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); sleep 0.01; done"
    program = f"trap 'touch {said}; exit' QUIT; echo ready; {wait}"
    body = f"""
    import os, signal, sys, threading
    from pathlib import Path
    from devstack.process import Launch, ServerProcess
    command = ["/bin/sh", "-c", {program!r}]
    log = Path(sys.argv[1])
    process = ServerProcess(
        Launch(command, log, dict(os.environ), orphan_signal=signal.SIGQUIT))
    process.start()
    while "ready" not in process.last_log_lines():
        process.wait(0.01)
    print("ready", flush=True)
    threading.Event().wait()
    """
    with run_script(body, str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.kill()
        parent.wait()
    assert eventually(said.exists)


def test_the_guard_runs_nothing_for_a_parent_that_is_gone():
    command = guarded(["/bin/echo", "hello"], "-", signal.SIGKILL)
    somebody_else = [*command[:4], str(os.getppid()), *command[5:]]
    answer = subprocess.run(somebody_else, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (guard.PARENT_IS_GONE, "")


@linux_only
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("identity", ["namespace:1000:1000", "setuid:65534:65534"])
def test_a_child_under_another_identity_dies_with_its_parent_too(identity, tmp_path):
    """A change of user clears the death signal, so the guard asks for it afterwards."""
    body = START_AND_PRINT_PID.replace(
        "dict(os.environ))", f"dict(os.environ), identity={identity!r})"
    )
    with run_script(body + "    threading.Event().wait()", str(tmp_path / "log")) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if not eventually(lambda: is_gone(child) or runs(child, "sleep")):
            pytest.fail("the guard did not run the program")
        if is_gone(child):
            parent.kill()
            pytest.skip((tmp_path / "log").read_text())
        parent.kill()
        parent.wait()
    assert eventually(lambda: is_gone(child))
