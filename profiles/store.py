"""The contract of every profile back end. tests/contract runs one suite over all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from profiles.model import BoundPerson, OnboardingDetails, Person, UserProfile


class ProfileStore(ABC):
    """Keeps who people are, each person's row apart from everybody else's.

    Calls block; on an event loop run them in `storage.StoreThreads`. Every call may raise
    `storage.StorageError`. The ``update_`` calls make the person's row when it is missing,
    and raise `storage.PersonErasedError` where the generation they are given is older than
    the person's last erasure; None means now. They raise that, or `storage.NotRememberedError`,
    where the person does not want to be remembered.
    """

    def ensure_profile_exists(self, user: str, original_identity: str | None = None) -> bool:
        """Make the person's row where there is none, and return whether this call did."""
        return self.bind_person(user, original_identity).created

    @abstractmethod
    def bind_person(self, user: str, original_identity: str | None = None) -> BoundPerson:
        """Make the person's row where there is none, and read their generation.

        The row notes, to the day, that they came. Of somebody who is not remembered nothing
        is written.

        Args:
            user: the person's uuid.
            original_identity: kept as ``email`` where it is an e-mail address and the row
                has none yet.

        Returns:
            ``created`` is True for exactly one of all callers, however many come at once; for
            none where a memory or a detail was stored first.
        """

    @abstractmethod
    def get_person(self, user: str) -> Person:
        """Return all that is kept of the person here, in one round trip."""

    @abstractmethod
    def complete_first_login(self, user: str) -> None:
        """Note that a first conversation has taken place; makes the row when it is missing."""

    @abstractmethod
    def update_user_profile(
        self, user: str, changes: dict[str, object], generation: int | None = None
    ) -> UserProfile:
        """Change the fields that ``changes`` names.

        Raises:
            ProfileInputError: a value cannot be kept; nothing is changed.
        """

    @abstractmethod
    def forget_user_profile(self, user: str) -> bool:
        """Delete what is known of the person, and return whether there was anything."""

    @abstractmethod
    def update_onboarding_details(
        self, user: str, changes: dict[str, object], generation: int | None = None
    ) -> OnboardingDetails:
        """Change the fields that ``changes`` names.

        Raises:
            ProfileInputError: a value cannot be kept; nothing is changed.
        """

    @abstractmethod
    def forget_onboarding_details(self, user: str) -> bool:
        """Delete the details, and return whether there were any."""
