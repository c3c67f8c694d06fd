"""The contract of every back end for whole people. tests/contract runs one suite over all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import datetime

from memory import Memory
from memory.transcript import TranscriptStore
from people.model import Erasure, Move, Record, Standing


class PeopleStore(ABC):
    """Reads, erases and writes everything that is held about one person.

    Calls block; on an event loop run them in `storage.StoreThreads`. Every call may raise
    `storage.StorageError`.
    """

    @property
    @abstractmethod
    def transcripts(self) -> TranscriptStore:
        """The transcripts of the same people, in the same back end."""

    @abstractmethod
    def standing(self, user: str) -> Standing:
        """Return the person's generation and whether they are remembered."""

    @abstractmethod
    def set_remembering(self, user: str, on: bool) -> int:
        """Say whether the person is remembered, and return their generation.

        While they are not, nothing is written of them; what is held stays until it is
        erased. Turning it off raises the generation, so that what was told before but is
        still on its way is dropped, even when it is turned on again. An erasure leaves it
        as it is.
        """

    @abstractmethod
    def records(self, user: str) -> dict[str, Record | None]:
        """Return the person's rows ``profile``, ``user_profile`` and ``onboarding_details``."""

    @abstractmethod
    def memories(self, user: str) -> Iterator[Memory]:
        """Yield all memories, superseded and expired ones too, in the order they were told.

        They are read in pages: what is written meanwhile may be among them or not.
        """

    @abstractmethod
    def erase(self, user: str, idle_since: datetime | None = None) -> Erasure | None:
        """Erase everything held about the person and raise their generation, in one step.

        Args:
            user: the person's uuid.
            idle_since: erase only where the person was last active before it; then None is
                returned where they were not, or where nothing is held.

        Raises:
            ErasureUnfinishedError: they are erased, but deleted bytes are still in the file.
        """

    @abstractmethod
    def move(self, source: str, target: str, target_email: str | None) -> Move:
        """Make everything of one person another's, and erase the source.

        The newer of two current values of a key stays current, the other enters its history.
        Of the profile, what the target says itself wins. Who is not remembered as one of the
        two is not as the target. After a crash a second call finishes what the first began.

        Args:
            source: whose everything it was.
            target: whose it becomes.
            target_email: the target's e-mail address, kept where they have none.

        Raises:
            StorageRejectedError: source and target are the same person.
        """

    @abstractmethod
    def restore_memories(self, user: str, memories: Sequence[Memory]) -> int:
        """Write memories as another store holds them: ids, times, places, generations.

        Returns:
            How many of them are held now. Those older than the person's last erasure here
            are not.
        """

    @abstractmethod
    def restore_records(
        self, user: str, records: dict[str, Record | None], generation: int
    ) -> bool:
        """Add another store's rows to the person's; what is here already wins.

        Returns:
            Whether they were let in: not where ``generation``, the person's in the other
            store, is older than here, and not where the person is not remembered.
        """

    @abstractmethod
    def raise_fence(self, user: str, standing: Standing) -> None:
        """Raise the person's generation to that of another store; never lower it.

        Somebody who is not remembered there is not here either.
        """

    @abstractmethod
    def everybody(self) -> Iterator[str]:
        """Yield the uuid of everybody of whom anything is known, a fence included, in order."""

    @abstractmethod
    def idle(self, since: datetime) -> Iterator[str]:
        """Yield the uuids of those who were last active before ``since``.

        Active means that they came, or that a memory of them was told.
        """

    @abstractmethod
    def delete_expired(self) -> int:
        """Delete what has expired, of everybody, and return how many memories that were."""
