"""The commands about everything held about one person."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from people import ErasureUnfinishedError, StillWaitingError, open_everything
from people.command.errors import CommandError
from people.command.storages import add_identity, bind, opened
from people.command.terminal import answer, confirm, progress, say
from profiles import email_of
from session_context import livekit_identity_to_uuid

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_person_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    export = commands.add_parser(
        "export",
        help="print everything held about a person",
        description="One JSON document, whose schema is docs/export.schema.json.",
    )
    export.add_argument("--output", type=Path, help="a file, readable by you alone")
    export.set_defaults(run=_export)
    erase = commands.add_parser(
        "erase",
        help="erase everything held about a person",
        description="What was told before the erasure and arrives later is dropped.",
    )
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.set_defaults(run=_erase)
    for name, on, what in (
        ("opt-out", False, "write nothing of a person any more, and recall nothing"),
        ("opt-in", True, "remember a person again"),
    ):
        opt = commands.add_parser(name, help=what, description=f"{what.capitalize()}. {_STAYS}")
        opt.set_defaults(run=_set_remembering, on=on)
        add_identity(opt, required=True)
    move = commands.add_parser(
        "move",
        help="make everything of one identity another's",
        description="Of two values of one key the newer one is current, and the other stays in "
        "its history. Of the profile, what the target said wins. The source is then erased. "
        "Drain the outbox before: while something of the source waits there, nothing is moved.",
    )
    move.add_argument("--from", dest="source", required=True, metavar="IDENTITY")
    move.add_argument("--to", dest="target", required=True, metavar="IDENTITY")
    move.set_defaults(run=_move)
    add_identity(export)
    add_identity(erase, required=True)


_STAYS = "What is held stays until it is erased; an erasure leaves this as it is."


def _export(arguments: argparse.Namespace) -> int:
    user = bind(arguments)
    with (
        opened() as storage,
        _written_to(arguments.output) as file,
        progress("exporting") as done,
    ):
        for part in open_everything(storage).export_parts(user):
            file.write(part)
            done(1)
    return 0


def _erase(arguments: argparse.Namespace) -> int:
    user = bind(arguments)
    confirm(f"Erase everything held about {arguments.identity}?", yes=arguments.yes)
    with opened() as storage:
        try:
            erasure = open_everything(storage).erase(user)
        except ErasureUnfinishedError as error:
            answer(asdict(error.erasure))
            raise
    answer(asdict(erasure))
    return 0


def _set_remembering(arguments: argparse.Namespace) -> int:
    user = bind(arguments)
    with opened() as storage:
        generation = open_everything(storage).set_remembering(user, arguments.on)
    answer({"remembered": arguments.on, "generation": generation})
    return 0


def _move(arguments: argparse.Namespace) -> int:
    source = livekit_identity_to_uuid(arguments.source)
    target = livekit_identity_to_uuid(arguments.target)
    if source == target:
        raise CommandError("--from and --to are the same identity; nothing was changed")
    with opened() as storage:
        try:
            moved = open_everything(storage).move(source, target, email_of(arguments.target))
        except StillWaitingError as error:
            raise CommandError(str(error)) from error
    if not moved.moved:
        say("nothing is held about the source; nothing was changed")
    answer(asdict(moved))
    return 0


@contextmanager
def _written_to(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    # Whole or not at all: a document that breaks off never has the name that was asked for.
    part = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
