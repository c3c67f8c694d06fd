"""``python -m devstack up``: run the servers until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from devstack.commands.choice import one_of
from devstack.stack import Service, Stack

_CHECK_EVERY_S = 0.5


def add_up(register: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = register(
        "up", help="run the servers, and print the variables by which clients find them"
    )
    parser.add_argument(
        "services",
        nargs="*",
        metavar="SERVICE",
        type=one_of(Service),
        help=f"{', '.join(service.value for service in Service)}; all by default",
    )
    parser.add_argument("--log-dir", type=Path, help="keep the servers' logs in this folder")
    parser.add_argument("--postgres-data", type=Path, help="keep the database in this folder")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    services = arguments.services or list(Service)
    stack = Stack(services, postgres_data_dir=arguments.postgres_data, log_dir=arguments.log_dir)
    try:
        with stack:
            for name, value in stack.environment().items():
                print(f"export {name}={shlex.quote(value)}")
            sys.stdout.flush()
            print("devstack: running; Ctrl-C ends it", file=sys.stderr, flush=True)
            _watch(stack)
    except KeyboardInterrupt:
        print("devstack: stopped", file=sys.stderr)
    return 0


def _watch(stack: Stack) -> None:
    never = threading.Event()
    while not never.wait(_CHECK_EVERY_S):
        stack.check()
