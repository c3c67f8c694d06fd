"""Everything held about the person whom the session serves: no call names a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from people.model import Erasure, ErasureUnfinishedError
from people.people import People
from session_context import (
    get_current_user,
    get_session_user_uuid,
    set_session_generation,
    set_session_remembered,
)
from storage.lazily import Lazily


class PersonManager:
    """What the person of `session_context.get_current_user()` may do with what we hold.

    Calls block, like the store's. All may raise `storage.StorageError`, and
    `session_context.NoSessionUserError` inside a job that serves nobody yet.

    Args:
        open_people: called once, when the first call needs it.
    """

    def __init__(self, open_people: Callable[[], People]) -> None:
        self._opened = Lazily(open_people)

    def open(self) -> None:
        """Open the store now, so that the first call need not."""
        self._opened.get()

    def generation(self) -> int:
        """Return the person's generation as the store has it now."""
        return self._opened.get().generation(get_current_user())

    def is_remembered(self) -> bool:
        """Return whether the person wants to be remembered."""
        return self._opened.get().is_remembered(get_current_user())

    def export(self) -> dict[str, Any]:
        """Return everything held about the person, by docs/export.schema.json."""
        return self._opened.get().export(get_current_user())

    def erase(self) -> Erasure:
        """Erase everything held about the person; the session goes on as of now.

        What it writes from now on is kept; what it heard before is dropped when it arrives.

        Raises:
            ErasureUnfinishedError: all is erased, but deleted bytes are still in the file.
        """
        try:
            erasure = self._opened.get().erase(get_current_user())
        except ErasureUnfinishedError as error:
            _go_on_as(error.erasure.generation)
            raise
        _go_on_as(erasure.generation)
        return erasure

    def set_remembering(self, on: bool) -> None:
        """Say whether the person is remembered.

        When it is turned off, whatever this session and others still write is dropped. When
        it is turned on, what this session writes from now on is kept.
        """
        generation = self._opened.get().set_remembering(get_current_user(), on)
        if on:
            _go_on_as(generation)
        if get_session_user_uuid() is not None:
            set_session_remembered(on)


def _go_on_as(generation: int) -> None:
    if get_session_user_uuid() is not None:
        set_session_generation(generation)
