"""What the command says and asks: JSON on standard output, people's talk on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from people.command.errors import CommandError


def answer(document: dict[str, Any]) -> None:
    """Write one line of JSON to standard output."""
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False)}\n")


def say(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{text}\n")


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Args:
        question: what is asked.
        yes: whether the command line said yes already.

    Raises:
        CommandError: the answer is no, or there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask at; say --yes if you mean it")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed")


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show how far something long has come, on standard error where that is a terminal.

    Args:
        what: what is being done.
        total: how many steps it has, where that is known.

    Yields:
        A function that takes how many steps are done since it was called last.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)
