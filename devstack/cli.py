"""The command line: ``python -m devstack COMMAND``.

Every command registers itself with one small function, given `Register`; a new one is added
to `COMMANDS`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from devstack.commands.compose_env import add_compose_env
from devstack.commands.install import add_install
from devstack.commands.run import add_run
from devstack.commands.up import add_up
from devstack.errors import DevstackError

Register = Callable[..., argparse.ArgumentParser]
"""Makes a command's parser: argparse's ``add_parser``. It sets ``run`` on its namespace."""

COMMANDS: tuple[Callable[[Register], None], ...] = (
    add_install,
    add_run,
    add_up,
    add_compose_env,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command line without the program; this process's by default.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m devstack", description="Real servers on this machine, for development."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add_command in COMMANDS:
        add_command(commands.add_parser)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except DevstackError as error:
        print(f"devstack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status
