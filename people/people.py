"""What the operator, or the person, does with everything that is held about somebody."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from people.export import export_parts
from people.model import Erasure, ErasureUnfinishedError, Move, Record, StillWaitingError
from people.store import PeopleStore

EraseElsewhere = Callable[[str, int], int]
"""Erases what another place holds of a person, whose generation from now on is the second
argument, and returns how many things that were."""

ExportElsewhere = Callable[[str], Iterable[Record]]
"""Gives what another place holds of a person, as JSON objects."""


class People:
    """Everything held about one person at a time, in the store and in other places.

    Calls block, like the store's, and may raise `storage.StorageError`.

    Args:
        store: where most of it is held.
        also_erase: what else is erased, by the name of the place.
        also_export: what else is exported, by the name of the place.
        is_waiting: whether something of a person waits to be delivered to the store.
    """

    def __init__(
        self,
        store: PeopleStore,
        *,
        also_erase: Mapping[str, EraseElsewhere] | None = None,
        also_export: Mapping[str, ExportElsewhere] | None = None,
        is_waiting: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.store = store
        self._is_waiting = is_waiting
        self._also_erase = dict(also_erase or {})
        self._also_export = dict(also_export or {})

    def generation(self, user: str) -> int:
        """Return the person's generation, which an erasure raises."""
        return self.store.standing(user).generation

    def is_remembered(self, user: str) -> bool:
        """Return whether the person wants to be remembered."""
        return self.store.standing(user).remembered

    def set_remembering(self, user: str, on: bool) -> int:
        """Say whether the person is remembered, and return their generation.

        While they are not, nothing is written and nothing recalled. What is held stays until
        it is erased, and an erasure leaves this as it is.
        """
        return self.store.set_remembering(user, on)

    def export(self, user: str) -> dict[str, Any]:
        """Return everything held about the person, by docs/export.schema.json."""
        document: dict[str, Any] = json.loads("".join(self.export_parts(user)))
        return document

    def export_parts(self, user: str) -> Iterator[str]:
        """Yield the same document as pieces of text, for persons of whom much is held."""
        elsewhere = {name: export(user) for name, export in self._also_export.items()}
        return export_parts(self.store, user, elsewhere)

    def erase(self, user: str) -> Erasure:
        """Erase everything held about the person, and raise their generation.

        What was told before and arrives later is dropped. The other places are erased after
        the store, which drops what they deliver meanwhile.

        Raises:
            ErasureUnfinishedError: all is erased, but deleted bytes are still in the file.
        """
        erasure = self._erase(user, None)
        if erasure is None:
            raise AssertionError("an erasure without a condition always happens")
        return erasure

    def erase_if_idle(self, user: str, since: datetime) -> Erasure | None:
        """Erase the person where they were last active before ``since``, else return None.

        Raises:
            ErasureUnfinishedError: all is erased, but deleted bytes are still in the file.
        """
        return self._erase(user, since)

    def move(self, source: str, target: str, target_email: str | None = None) -> Move:
        """Make everything of one person another's, and erase the source.

        What other places still hold of the source is erased, where anything was moved.

        Raises:
            StillWaitingError: something of the source waits in the outbox; nothing is changed.
        """
        if self._is_waiting(source):
            raise StillWaitingError
        moved = self.store.move(source, target, target_email)
        if moved.moved:
            for erase in self._also_erase.values():
                erase(source, moved.generation)
        return moved

    def _erase(self, user: str, idle_since: datetime | None) -> Erasure | None:
        try:
            erasure = self.store.erase(user, idle_since)
        except ErasureUnfinishedError as error:
            raise ErasureUnfinishedError(self._erase_elsewhere(user, error.erasure)) from error
        return None if erasure is None else self._erase_elsewhere(user, erasure)

    def _erase_elsewhere(self, user: str, erasure: Erasure) -> Erasure:
        gone: dict[str, int] = {}
        unfinished: ErasureUnfinishedError | None = None
        for name, erase in self._also_erase.items():
            try:
                gone[name] = erase(user, erasure.generation)
            except ErasureUnfinishedError as error:  # the other places are erased all the same
                gone[name] = error.erasure.memories
                unfinished = error
        erasure = replace(erasure, elsewhere=gone)
        if unfinished is not None:
            raise ErasureUnfinishedError(erasure) from unfinished
        return erasure
