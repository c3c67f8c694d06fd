"""One session's agent as a process of its own, for who starts agents without LiveKit's dispatch.

Run as ``python -m worker.runner --parent PID``. It reads one line of JSON from its standard input,
``{"room": ..., "metadata": ...}``: the room to serve, which must be there, and what a dispatch's
metadata would say. No line, and it leaves without having served anybody. So whoever started it
can first note its pid, and no command line or environment tells of a person.

It ends with its job. SIGTERM shuts the job down in order; at the deadline the kernel ends the
process, whatever hangs in it. It is sent SIGTERM when its parent ends (Linux).

Exit status: 0 when it has served, 3 when there was nothing to serve.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import importlib.util
import json
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from livekit.agents.cli.log import setup_logging

from config import PROJECT_ROOT, ConfigError, Settings

if TYPE_CHECKING:
    from worker.server import Worker

logger = logging.getLogger("worker.runner")

NOTHING_TO_SERVE = 3

_PR_SET_PDEATHSIG = 1
_EXIT_WITHIN_S = 5.0


@dataclass(frozen=True)
class Assignment:
    """What a runner is to serve.

    Attributes:
        room: the LiveKit room, which is there.
        metadata: what the job reads as its dispatch's metadata.
    """

    room: str
    metadata: str

    def as_line(self) -> bytes:
        """Return what `read` reads."""
        return json.dumps({"room": self.room, "metadata": self.metadata}).encode() + b"\n"

    @classmethod
    def read(cls, line: str) -> Assignment | None:
        """Return what a line says, or None where it says nothing.

        Raises:
            ValueError: it is no assignment.
        """
        if not line.strip():
            return None
        given = json.loads(line)
        try:
            return cls(room=str(given["room"]), metadata=str(given["metadata"]))
        except (KeyError, TypeError) as error:
            raise ValueError("an assignment has a room and metadata") from error


def main(arguments: list[str]) -> int:
    """Serve what standard input names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="worker.runner", description="Serve one session.")
    parser.add_argument("--parent", type=int, help="the process with which to end")
    parser.add_argument("--entrypoint", type=Path, default=PROJECT_ROOT / "agent.py")
    options = parser.parse_args(arguments)
    if options.parent is not None and not _ends_with(options.parent):
        return NOTHING_TO_SERVE
    try:
        deadline_s = Settings.from_environment().worker.job_shutdown_timeout_s
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    server = _load_server(options.entrypoint)
    setup_logging("INFO", devmode=False, console=False)
    assignment = Assignment.read(sys.stdin.readline())
    if assignment is None:
        return NOTHING_TO_SERVE
    served = asyncio.run(_serve(server, assignment, deadline_s))
    logging.shutdown()
    # All is closed; taking the interpreter down as well would cost another second or two.
    os._exit(0 if served else NOTHING_TO_SERVE)


async def _serve(server: Worker, assignment: Assignment, deadline_s: float) -> bool:
    ended = asyncio.Event()

    def shut_down() -> None:
        if not ended.is_set():
            logger.info("the runner received SIGTERM; shutting down")
            _exit_hard_within(deadline_s)
            ended.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, shut_down)
    served = await server.serve_one(assignment.room, metadata=assignment.metadata, ended=ended)
    _exit_hard_within(_EXIT_WITHIN_S)
    return served


def _exit_hard_within(seconds: float) -> None:
    # The kernel does it: a thread of ours may never get its turn.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _ends_with(parent: int) -> bool:
    """Have SIGTERM sent to this process when its parent ends; False where that has happened.

    See prctl(2), PR_SET_PDEATHSIG: Linux only; "parent" is the thread that made the process.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"prctl: {os.strerror(number)}")
    return os.getppid() == parent


def _load_server(entrypoint: Path) -> Worker:
    """Return the ``server`` of an entry point, which no package imports."""
    spec = importlib.util.spec_from_file_location("agent", entrypoint)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{entrypoint} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["agent"] = module
    spec.loader.exec_module(module)
    server: Worker = module.server
    return server


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
