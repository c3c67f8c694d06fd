"""The commands about everybody: copy, retention."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import datetime, timedelta, timezone

from config import Settings
from people import ErasureUnfinishedError, People, open_everything, open_people_store
from people.command.errors import CommandError
from people.command.storages import BACK_ENDS, opened
from people.command.terminal import answer, progress, say
from people.copying import copy_people

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def add_store_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the commands to the parser."""
    copy = commands.add_parser(
        "copy",
        help="copy everybody from one back end to the other",
        description="Ids, times, histories and generations stay as they are, and so does the "
        "source. What is there already is not doubled, and who was erased there stays erased. "
        "Stop the workers first: what is told meanwhile may stay behind.",
    )
    copy.add_argument("--from", dest="source", required=True, choices=BACK_ENDS)
    copy.add_argument("--to", dest="target", required=True, choices=BACK_ENDS)
    copy.add_argument("--after", metavar="UUID", help="begin after this person, where it stopped")
    copy.set_defaults(run=_copy)
    retention = commands.add_parser(
        "retention",
        help="erase who never came back, and what has expired",
        description="Erases everybody who was last active more than RETENTION_DAYS ago; without "
        "RETENTION_DAYS, nobody. Deletes what has expired for good, and of transcripts what is "
        "older than TRANSCRIPT_RETENTION_DAYS. To be run daily.",
    )
    retention.add_argument("--dry-run", action="store_true", help="only say who would be erased")
    retention.set_defaults(run=_retention)


def _copy(arguments: argparse.Namespace) -> int:
    if arguments.source == arguments.target:
        raise CommandError("--from and --to are the same back end; nothing was copied")
    last: str | None = None
    with opened(arguments.source) as old, opened(arguments.target) as new:
        source, target = open_people_store(old), open_people_store(new)
        with progress("copying", sum(1 for _ in source.everybody())) as done:

            def note(user: str) -> None:
                nonlocal last
                last = user
                done(1)

            try:
                copied = copy_people(source, target, after=arguments.after, on_person=note)
            except BaseException:
                if last is not None:
                    say(f"the copy is not complete; go on with --after {last}")
                raise
    for user, problem in copied.failed.items():
        say(f"{user} was not copied: {problem}")
    answer({**asdict(copied), "failed": len(copied.failed)})
    return 1 if copied.failed else 0


def _retention(arguments: argparse.Namespace) -> int:
    settings = Settings.from_environment().store
    days = settings.retention_days
    oldest = datetime.now(timezone.utc) - timedelta(days=settings.transcript_retention_days)
    with opened() as storage:
        people = open_everything(storage)
        erased = 0 if days is None else _erase_idle(people, days, dry_run=arguments.dry_run)
        expired = 0 if arguments.dry_run else people.store.delete_expired()
        turns = 0 if arguments.dry_run else people.store.transcripts.delete_before(oldest)
    if days is None:
        say("RETENTION_DAYS is not set: nobody is erased for not coming back")
    answer({"erased_people": erased, "deleted_expired_memories": expired, "deleted_turns": turns})
    return 0


def _erase_one(people: People, user: str, since: datetime) -> bool:
    try:
        return people.erase_if_idle(user, since) is not None
    except ErasureUnfinishedError as error:  # the others are erased all the same
        say(f"{user}: {error}")
        return True


def _erase_idle(people: People, days: int, *, dry_run: bool) -> int:
    since = datetime.now(timezone.utc) - timedelta(days=days)
    erased = 0
    with progress("erasing") as done:
        for user in people.store.idle(since):
            if dry_run:
                answer({"user": user})
                erased += 1
            else:
                erased += _erase_one(people, user, since)
            done(1)
    return 0 if dry_run else erased
