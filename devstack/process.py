"""One child process: started through the guard, logged, and surely ended.

A child asks the kernel to be signalled when its parent ends (`devstack.guard`). Linux
counts the *thread* that made the child as its parent for this, so every child has a thread
of its own here, which makes it and then stays until the child has ended.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from devstack.errors import DevstackError

_GUARD = Path(__file__).with_name("guard.py")
_LAST_LINES = 30
_KILLED_BY_NOW_S = 10.0


@dataclass(frozen=True)
class Launch:
    """How a child is started and how it is ended.

    Attributes:
        command: the program, an absolute path, and its arguments.
        log_file: gets the child's output, appended.
        environ: the child's variables, all of them.
        folder: the folder it runs in; ours by default.
        identity: the user it runs as, in the guard's notation; ``-`` is this one.
        stop_signal: asks it to end.
        insist_after_s: seconds after which it is asked once more; None to ask once.
        stop_deadline_s: seconds after which it is killed.
        orphan_signal: is sent when this process ends without having stopped it (Linux).
    """

    command: Sequence[str]
    log_file: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    identity: str = "-"
    stop_signal: signal.Signals = signal.SIGTERM
    insist_after_s: float | None = None
    stop_deadline_s: float = 5.0
    orphan_signal: signal.Signals = signal.SIGKILL


def guarded(command: Sequence[str], identity: str, orphan_signal: signal.Signals) -> list[str]:
    """Put the guard in front of a command that this process is about to start."""
    guard = [sys.executable, "-I", "-S", str(_GUARD)]
    return [*guard, str(os.getpid()), str(int(orphan_signal)), identity, *command]


class ServerProcess:
    """A child process in a session of its own, which does not outlive this one.

    When it ends, whatever it leaves behind in its process group is killed.

    Args:
        launch: what to run, and how to end it.
    """

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._made = threading.Event()
        self._ended = threading.Event()
        self._reaping = threading.Lock()
        self._popen: subprocess.Popen[bytes] | None = None
        self._failure: Exception | None = None
        self._log_start = 0
        self._owner = os.getpid()

    def start(self) -> None:
        """Start the child; returns once it exists, not once it is of use.

        Raises:
            DevstackError: it was started before, or the system refused to start it.
        """
        if self._popen is not None:
            raise DevstackError("a process is started once; make another ServerProcess")
        name = f"parent-of-{Path(self._launch.command[0]).name}"
        # A daemon: the interpreter would otherwise wait for the child at its own exit.
        threading.Thread(target=self._make_and_reap, name=name, daemon=True).start()
        self._made.wait()
        if self._failure is not None:
            raise DevstackError(f"cannot start a process: {self._failure}") from self._failure
        atexit.register(self._stop_at_exit)

    @property
    def pid(self) -> int:
        """The child's process id.

        Raises:
            DevstackError: it was never started.
        """
        if self._popen is None:
            raise DevstackError("the process was not started")
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """What it ended with, negative for a signal; None while it runs."""
        return self._popen.returncode if self._popen and self._ended.is_set() else None

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; returns whether it has ended."""
        return self._ended.wait(timeout_s)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the child; a no-op when it has ended."""
        with self._reaping:
            if self._popen is not None and not self._ended.is_set():
                os.kill(self._popen.pid, number)

    def stop(self) -> None:
        """Ask it to end, kill it at the deadline, reap it. A no-op when it has ended."""
        self.send_signal(self._launch.stop_signal)
        self.send_signal(signal.SIGCONT)  # a frozen child would not see the other signal
        insist_after_s = self._launch.insist_after_s
        if self.running and insist_after_s is not None and not self.wait(insist_after_s):
            self.send_signal(self._launch.stop_signal)
        if self.running and not self.wait(self._launch.stop_deadline_s):
            self.kill()
        atexit.unregister(self._stop_at_exit)

    def kill(self) -> None:
        """End it at once with SIGKILL and reap it. A no-op when it has ended."""
        self.send_signal(signal.SIGKILL)
        if self.running and not self.wait(_KILLED_BY_NOW_S):
            raise DevstackError(f"process {self.pid} did not end after SIGKILL")
        atexit.unregister(self._stop_at_exit)

    def last_log_lines(self) -> str:
        """Return the end of what this child has written to its log file."""
        if not self._launch.log_file.exists():
            return "(the log file is gone)"
        with self._launch.log_file.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])

    def _stop_at_exit(self) -> None:
        # A fork of this process inherits the registration, but not the child.
        if os.getpid() == self._owner:
            self.stop()

    def _make_and_reap(self) -> None:
        try:
            self._popen = self._make()
        except (OSError, ValueError, RuntimeError) as error:
            self._failure = error
            return
        finally:
            self._made.set()
        self._reap(self._popen)

    def _reap(self, popen: subprocess.Popen[bytes]) -> None:
        _wait_until_ended(popen)
        with self._reaping:
            popen.wait()
            self._ended.set()

    def _make(self) -> subprocess.Popen[bytes]:
        launch = self._launch
        launch.log_file.parent.mkdir(parents=True, exist_ok=True)
        with launch.log_file.open("ab") as log:
            self._log_start = log.tell()
            return subprocess.Popen(
                guarded(launch.command, launch.identity, launch.orphan_signal),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(launch.environ),
                cwd=launch.folder,
                start_new_session=True,
            )


def _wait_until_ended(popen: subprocess.Popen[bytes]) -> None:
    """Wait for the child, and kill what it leaves in its process group."""
    # Its id is nobody else's until it is reaped, so that is when to use it once more.
    if sys.platform == "linux":
        try:
            os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            return  # somebody else in this process has waited for all children
    else:
        popen.wait()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, signal.SIGKILL)
