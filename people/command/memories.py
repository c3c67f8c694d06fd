"""The commands about one person's memories: import, search, list, history."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from memory import Memory, MemoryManager, open_memory_store
from people import open_everything
from people.command.errors import CommandError
from people.command.lines import Lines, line_of, read_lines
from people.command.storages import add_identity, bind, opened
from people.command.terminal import answer, progress, say
from storage import Storage

_BATCH = 200
_MOST_COMPLAINTS = 20

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_memory_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    bring = commands.add_parser(
        "import",
        help="store memories from lines of JSON",
        description='Each line is {"category", "key", "value", "created_at", "session_id"}; the '
        "last two may be missing. A time without a zone is in UTC. Where one line is bad, nothing "
        "is stored. The same file once more changes nothing.",
    )
    bring.add_argument("file", help="the file, or - for standard input")
    bring.add_argument("--skip-bad", action="store_true", help="store the good lines only")
    bring.set_defaults(run=_import)
    search = commands.add_parser("search", help="print the memories that fit a question best")
    search.add_argument("query")
    search.add_argument("--limit", type=int, default=10, help="at most so many (1 to 200)")
    search.set_defaults(run=_search)
    show = commands.add_parser("list", help="print current memories, newest first")
    show.add_argument("--category", help="of one category only")
    show.add_argument("--limit", type=int, default=50, help="at most so many (1 to 200)")
    show.set_defaults(run=_list)
    history = commands.add_parser("history", help="print the values that a key has had")
    history.add_argument("category")
    history.add_argument("key")
    history.set_defaults(run=_history)
    for parser in (bring, search, show, history):
        add_identity(parser)


def _import(arguments: argparse.Namespace) -> int:
    user = bind(arguments)
    lines = _read(arguments.file, user)
    for number, problem in lines.bad[:_MOST_COMPLAINTS]:
        say(f"line {number}: {problem}")
    if len(lines.bad) > _MOST_COMPLAINTS:
        say(f"and {len(lines.bad) - _MOST_COMPLAINTS} more bad lines")
    if lines.bad and not arguments.skip_bad:
        raise CommandError(
            "nothing was imported; mend the lines, or leave them out with --skip-bad"
        )
    with opened() as storage:
        if not open_everything(storage).is_remembered(user):
            raise CommandError(
                "this person does not want to be remembered; nothing was imported "
                "(python -m memory opt-in)"
            )
        manager = _manager(storage)
        with progress("importing", len(lines.memories)) as done:
            for start in range(0, len(lines.memories), _BATCH):
                stored = manager.store_all(lines.memories[start : start + _BATCH])
                done(len(stored))
    answer({"imported": len(lines.memories), "skipped": len(lines.bad)})
    return 0


def _search(arguments: argparse.Namespace) -> int:
    bind(arguments)
    with opened() as storage:
        _print(_manager(storage).search(arguments.query, arguments.limit))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    bind(arguments)
    with opened() as storage:
        _print(_manager(storage).list_memories(arguments.category, arguments.limit))
    return 0


def _history(arguments: argparse.Namespace) -> int:
    bind(arguments)
    with opened() as storage:
        _print(_manager(storage).history(arguments.category, arguments.key), history=True)
    return 0


def _manager(storage: Storage) -> MemoryManager:
    return MemoryManager(lambda: open_memory_store(storage))


def _print(memories: Sequence[Memory], *, history: bool = False) -> None:
    for memory in memories:
        answer(line_of(memory, history=history))


def _read(name: str, user: str) -> Lines:
    now = datetime.now(timezone.utc)
    if name == "-":
        return read_lines(sys.stdin.buffer, user, now)
    try:
        with Path(name).open("rb") as file:
            return read_lines(file, user, now)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from error
