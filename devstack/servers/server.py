"""What all servers share: started in order, watched until they answer, ended for sure."""

from __future__ import annotations

import secrets
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

from devstack.errors import DevstackError, ServerEndedError, ServerStartError
from devstack.machine import Machine
from devstack.ports import free_port
from devstack.process import Launch, ServerProcess
from devstack.workspace import Workspace

S = TypeVar("S", bound="Server")

_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
_POLL_S = 0.02
_KEEP_LOGS_S = 7 * 24 * 3600


class Server(ABC):
    """A server on loopback that belongs to this object from `start` to `stop`.

    Its ports are chosen at the first start and stay the same for the life of the object;
    its files live from the first start to `stop`, over any `restart` and `kill` between.

    Args:
        machine: where its program is found; this machine by default.
        log_dir: where its log goes and stays. By default it goes to the cache folder and is
            removed at the end; unless the server failed: then it stays for a week.

    Attributes:
        name: what it is called in messages and logs.
        start_deadline_s: seconds within which it must answer.
        log_file: where its output goes.
    """

    name: ClassVar[str]
    start_deadline_s: ClassVar[float] = 30.0

    def __init__(
        self,
        *,
        machine: Machine | None = None,
        log_dir: Path | None = None,
    ) -> None:
        self.machine = machine or Machine.current()
        self.log_file = (log_dir or self.machine.cache_dir / "logs").absolute() / (
            f"{self.name}-{secrets.token_hex(4)}.log"
        )
        self._keep_log = log_dir is not None
        self._ports: dict[str, int] = {}
        self._workspace: Workspace | None = None
        self._process: ServerProcess | None = None

    def start(self: S) -> S:
        """Start the server and wait until it answers; a no-op when it runs.

        Returns:
            The server itself.

        Raises:
            ServiceUnavailableError: this machine cannot have it.
            ServerStartError: it ended or did not answer in time.
            CancelledStartError: `Machine.cancelled` was set meanwhile.
        """
        if self.running:
            return self
        self.machine.raise_if_cancelled()
        if not self._keep_log:
            _remove_old_logs(self.log_file.parent)
        try:
            if self._workspace is None:
                self._workspace = Workspace()
                self._prepare(self._workspace)
            self._process = ServerProcess(self._launch(self._workspace))
            self._process.start()
            self._wait_until_it_answers(self._process)
            self._configure()
        except BaseException as error:
            self._keep_log = self._keep_log or isinstance(error, ServerStartError)
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and remove its files; a no-op when it was not started."""
        self._end()
        if self._workspace is not None:
            self._workspace.remove()
            self._workspace = None
        if not self._keep_log:
            self.log_file.unlink(missing_ok=True)

    def restart(self) -> None:
        """End the server in an orderly way and start it again, with its ports and files."""
        self._end()
        self.start()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; `start` brings it back."""
        if self._process is not None:
            self._process.kill()

    def freeze(self) -> None:
        """Let the server hang: it keeps its connections and answers nobody."""
        self._running_process().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._running_process().send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Whether its process exists."""
        return self._process is not None and self._process.running

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            DevstackError: it does not run.
        """
        return self._running_process().pid

    def check(self) -> None:
        """Notice a server that has ended by itself.

        Raises:
            ServerEndedError: it was started, and its process exists no more.
        """
        if self._process is not None and not self._process.running:
            self._keep_log = True
            reason = f"has ended (exit status {self._process.exit_code})"
            lines = self._process.last_log_lines()
            raise ServerEndedError(self.name, reason, self.log_file, lines)

    def __enter__(self: S) -> S:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @abstractmethod
    def _launch(self, workspace: Workspace) -> Launch:
        """Say how the process is started; called at every start."""

    @abstractmethod
    def _answers(self) -> bool:
        """Say whether the server does its work; an OSError counts as no."""

    def _prepare(self, workspace: Workspace) -> None:  # noqa: B027 - most servers need nothing
        """Make what the server needs before its first start in this workspace."""

    def _configure(self) -> None:  # noqa: B027 - most servers need nothing
        """Do what only a running server can be told; called at every start."""

    def _port(self, purpose: str) -> int:
        if purpose not in self._ports:
            self._ports[purpose] = free_port()
        return self._ports[purpose]

    def _child_environ(self) -> dict[str, str]:
        # Not all of ours: servers read variables of their own (PGDATA, LIVEKIT_CONFIG).
        environ = self.machine.environ
        return {name: environ[name] for name in _KEPT_VARIABLES if name in environ}

    def _end(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _running_process(self) -> ServerProcess:
        if self._process is None or not self._process.running:
            raise DevstackError(f"{self.name} does not run; start it first")
        return self._process

    def _wait_until_it_answers(self, process: ServerProcess) -> None:
        if not wait_until(self._answers_now, self.start_deadline_s, process):
            ended = f"ended while starting (exit status {process.exit_code})"
            silent = f"did not answer within {self.start_deadline_s:g} s"
            reason = silent if process.running else ended
            raise ServerStartError(self.name, reason, self.log_file, process.last_log_lines())

    def _answers_now(self) -> bool:
        self.machine.raise_if_cancelled()
        try:
            return self._answers()
        except OSError:
            return False


def _remove_old_logs(folder: Path) -> None:
    now = time.time()
    for log_file in folder.glob("*.log"):
        with suppress(FileNotFoundError):  # another process may do the same
            if now - log_file.stat().st_mtime > _KEEP_LOGS_S:
                log_file.unlink()


def wait_until(condition: Callable[[], bool], deadline_s: float, process: ServerProcess) -> bool:
    """Wait for a condition that somebody else brings about, while the process lives.

    Args:
        condition: is asked about every 20 ms.
        deadline_s: seconds after which waiting ends.
        process: when it ends, waiting ends as well.

    Returns:
        Whether the condition came true.
    """
    deadline = time.monotonic() + deadline_s
    while not condition():
        if process.wait(_POLL_S) or time.monotonic() > deadline:
            return False
    return True
