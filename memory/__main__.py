"""``python -m memory``: what an operator does with people's memories."""

from __future__ import annotations

import argparse
import sys

from config import ConfigError, Settings, StoreSettings
from memory import open_supabase_store
from memory.outbox.command import add_outbox_commands
from storage import StorageError


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status; 2 where it could not be carried out."""
    parser = argparse.ArgumentParser(prog="python -m memory", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    add_outbox_commands(commands, _settings, open_supabase_store)
    given = parser.parse_args(arguments)
    try:
        status: int = given.run(given)
    except (ConfigError, StorageError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return status


def _settings() -> StoreSettings:
    return Settings.from_environment().store


if __name__ == "__main__":
    sys.exit(main())
