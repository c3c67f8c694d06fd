"""The command line: its parts, and what becomes of errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from config import ConfigError
from memory.model import MemoryInputError
from people.command.errors import CommandError
from people.command.memories import add_memory_commands
from people.command.person import add_person_commands
from people.command.whole_store import add_store_commands
from session_context import IdentityError
from storage import StorageError

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

# The outbox's commands have their place here: memory.outbox.command.add_outbox_commands.
_PARTS: tuple[Callable[[argparse._SubParsersAction[argparse.ArgumentParser]], None], ...] = (
    add_memory_commands,
    add_person_commands,
    add_store_commands,
)

_EPILOG = """\
Where the memories are is decided as for the worker: Supabase where SUPABASE_URL is set, else
a SQLite file for each person under DATA_DIR (see .env.example).

exit status: 0 done; 1 the store failed, or only a part was done; 2 wrong use, settings or
input, nothing was changed; 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, and return the exit status.

    Args:
        arguments: by default those of this process.
    """
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except (CommandError, ConfigError, IdentityError, MemoryInputError) as error:
        return _complain(error, WRONG_USE)
    except StorageError as error:
        return _complain(error, FAILED)
    except BrokenPipeError:
        # Whoever reads has enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on where this one ended", INTERRUPTED)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m memory",
        description="What is held about people: look at it, bring it in, take it out, erase it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_commands in _PARTS:
        add_commands(commands)
    return parser


def _complain(problem: object, status: int) -> int:
    sys.stderr.write(f"{problem}\n")
    return status
