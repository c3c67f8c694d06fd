"""``python -m orchestrator``: serves, or registers namespaces."""

from __future__ import annotations

import argparse
import asyncio
import sys

from config import ConfigError, Settings
from orchestrator.namespace_command import add_namespace_command
from orchestrator.serving import serve
from sessions import SessionsError


def main(arguments: list[str] | None = None) -> int:
    """Run the command line, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator", description=__doc__)
    commands = parser.add_subparsers(title="commands")
    parser.set_defaults(run=serve)
    add_namespace_command(commands)
    given = parser.parse_args(arguments)
    try:
        status: int = asyncio.run(given.run(Settings.from_environment(), given))
    except (ConfigError, SessionsError) as error:
        print(f"orchestrator: {error}", file=sys.stderr)  # noqa: T201 - a command's output
        return 2
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
