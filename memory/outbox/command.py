"""``python -m memory outbox list`` and ``python -m memory outbox drain``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone

from config import StoreSettings
from memory.outbox import Drainer, OutboxFile, open_outbox
from memory.outbox.entry import Entry
from memory.outbox.errors import OutboxBusyError
from memory.store import MemoryStore
from storage import StorageError

_POLL_S = 0.2

OpenDatabase = Callable[[], MemoryStore]


def add_outbox_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    settings: Callable[[], StoreSettings],
    open_database: OpenDatabase,
) -> None:
    """Add ``outbox list`` and ``outbox drain``; each sets ``run``, to be called with the arguments.

    Args:
        commands: what ``add_subparsers`` returned.
        settings: reads the settings when a command runs.
        open_database: returns the store that the outbox is for.
    """
    outbox = commands.add_parser("outbox", help="what waits on this host for Supabase")
    actions = outbox.add_subparsers(required=True, metavar="list|drain")
    listing = actions.add_parser(
        "list", help="show what waits and what is set aside, as JSON lines"
    )
    listing.add_argument("--set-aside", action="store_true", help="only what is set aside")
    listing.set_defaults(run=lambda given: list_entries(settings(), given.set_aside))
    drain = actions.add_parser("drain", help="deliver what waits; exit status 1 where some remains")
    drain.add_argument("--set-aside", action="store_true", help="try what is set aside again too")
    drain.add_argument("--deadline", type=float, default=60.0, metavar="SECONDS")
    drain.set_defaults(
        run=lambda given: drain_all(settings(), open_database, given.deadline, given.set_aside)
    )


def list_entries(settings: StoreSettings, only_set_aside: bool) -> int:
    """Print the rows, without what was said, and return the exit status."""
    with closing(open_outbox(settings)) as outbox:
        entries = outbox.entries()
    for entry in entries:
        if entry.problem is not None or not only_set_aside:
            sys.stdout.write(json.dumps(_shown(entry)) + "\n")
    set_aside = sum(entry.problem is not None for entry in entries)
    _say(f"{len(entries) - set_aside} wait, {set_aside} are set aside")
    return 0


def drain_all(
    settings: StoreSettings, open_database: OpenDatabase, deadline_s: float, set_aside: bool
) -> int:
    """Deliver what waits, or wait until the process has that does so; return the exit status."""
    deadline = time.monotonic() + deadline_s
    with closing(open_outbox(settings)) as outbox:
        if set_aside:
            outbox.retry_all()
        drainer = Drainer(outbox, open_database)
        problem: StorageError | None = None
        while waiting := outbox.counts()[0]:
            _progress(f"{waiting} wait")
            problem = _try(drainer)  # once in any case, for its cause
            if time.monotonic() >= deadline:
                break
            if outbox.counts()[0]:
                time.sleep(_POLL_S)
        return _outcome(outbox, problem)


def _try(drainer: Drainer) -> StorageError | None:
    try:
        drainer.run_once()
    except OutboxBusyError:
        return None  # the worker does it
    except StorageError as error:
        return error
    return None


def _outcome(outbox: OutboxFile, problem: StorageError | None) -> int:
    waiting, set_aside = outbox.counts()
    _say(f"{waiting} wait, {set_aside} are set aside")
    if waiting and problem is not None:
        _say(str(problem))
    return 1 if waiting else 0


def _shown(entry: Entry) -> dict[str, object]:
    told = datetime.fromtimestamp(entry.appended_at / 1_000_000, timezone.utc)
    return {
        "ordinal": entry.ordinal,
        "user": entry.user,
        "kind": entry.kind,
        "write_id": entry.write_id,
        "appended_at": told.isoformat(),
        "attempts": entry.attempts,
        "problem": entry.problem,
    }


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}\x1b[K")


def _say(line: str) -> None:
    _progress("")
    sys.stderr.write(f"{line}\n")
