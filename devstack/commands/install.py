"""``python -m devstack install``: find or install the servers' programs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from devstack.commands.choice import one_of
from devstack.install.catalogue import Program, install
from devstack.machine import Machine


def add_install(register: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = register("install", help="install the servers' programs that are not on PATH")
    parser.add_argument(
        "programs",
        nargs="*",
        metavar="PROGRAM",
        type=one_of(Program),
        help=f"{', '.join(program.value for program in Program)}; all by default",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    machine = Machine.current()
    for program in arguments.programs or list(Program):
        print(f"{program.value}: {install(program, machine)}", flush=True)
    return 0
