"""The contract of every back end for transcripts. tests/contract runs one suite over all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime

from memory.transcript.model import TranscriptTurn


class TranscriptStore(ABC):
    """Keeps people's transcripts.

    Calls block; on an event loop run them in `storage.StoreThreads`. Every call may raise
    `storage.StorageError`.
    """

    @abstractmethod
    def keep(self, user: str, turns: Sequence[TranscriptTurn]) -> list[str]:
        """Keep turns, all of them or none; a turn that is held already stays as it is.

        Left out are those that were said before the person was erased, and all where the
        person is not remembered.

        Returns:
            The ids of those that are held now.

        Raises:
            StorageRejectedError: the back end will never take one of them.
        """

    @abstractmethod
    def turns(self, user: str, session_id: str | None = None) -> Iterator[TranscriptTurn]:
        """Yield the turns of one session, or of all, in the order they were said.

        They are read in pages: what is written meanwhile may be among them or not.
        """

    @abstractmethod
    def remove(self, user: str, ids: Sequence[str]) -> int:
        """Delete turns, and return how many there were; an unknown id is no error."""

    @abstractmethod
    def delete_before(self, moment: datetime) -> int:
        """Delete what was said before ``moment``, of everybody, and return how many turns."""
