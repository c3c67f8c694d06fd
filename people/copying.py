"""Copies what one store holds into another: everybody, with histories and fences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from people.model import Standing
from people.store import PeopleStore
from storage import StorageRejectedError

_BATCH = 200


@dataclass
class Copied:
    """What a copy did.

    Attributes:
        people: how many are in the target now as they are in the source.
        memories: how many of their memories are.
        turns: how many turns of their transcripts are.
        left_out: how many memories the target's fences did not let in.
        failed: the uuids of those whom the target refuses, with its reason.
    """

    people: int = 0
    memories: int = 0
    turns: int = 0
    left_out: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def copy_people(
    source: PeopleStore,
    target: PeopleStore,
    *,
    after: str | None = None,
    on_person: Callable[[str], None] = lambda _: None,
) -> Copied:
    """Copy everybody, in the order of their uuids; again, it changes nothing.

    What the target holds already stays. Who was erased there more often stays erased.

    Args:
        source: from where.
        target: to where.
        after: begin after this uuid, where a first copy was interrupted.
        on_person: called with each uuid that is done.

    Raises:
        StorageError: a store cannot work now; whoever is done is done.
    """
    copied = Copied()
    for user in source.everybody():
        if after is not None and user <= after:
            continue
        try:
            _copy_person(source, target, user, copied)
        except StorageRejectedError as error:
            copied.failed[user] = str(error)
        else:
            copied.people += 1
        on_person(user)
    return copied


def _copy_person(source: PeopleStore, target: PeopleStore, user: str, copied: Copied) -> None:
    standing = source.standing(user)
    target.restore_records(user, source.records(user), standing.generation)
    memories = source.memories(user)
    while batch := list(islice(memories, _BATCH)):
        held = target.restore_memories(user, batch)
        copied.memories += held
        copied.left_out += len(batch) - held
    turns = source.transcripts.turns(user)
    while said := list(islice(turns, _BATCH)):
        copied.turns += len(target.transcripts.keep(user, said))
    # Last, as what it keeps out includes what was told before somebody opted out.
    if standing != Standing(0, remembered=True):
        target.raise_fence(user, standing)
