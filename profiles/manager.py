"""The profile as the current session sees it: no call names a user, the session does."""

from __future__ import annotations

from collections.abc import Callable

from profiles.model import BoundPerson, OnboardingDetails, Person, UserProfile
from profiles.store import ProfileStore
from profiles.summary import own_text, with_summary
from session_context import (
    get_current_user,
    get_session_generation,
    get_session_identity,
    get_session_user_uuid,
    set_session_generation,
    set_session_remembered,
)
from storage.lazily import Lazily


class ProfileManager:
    """Reads and changes the profile of `session_context.get_current_user()`.

    Calls block, like the store's. All may raise `storage.StorageError`, and
    `session_context.NoSessionUserError` inside a job that serves nobody yet.

    Args:
        open_store: called once, when the first call needs the store.
    """

    def __init__(self, open_store: Callable[[], ProfileStore]) -> None:
        self._opened = Lazily(open_store)

    @property
    def store(self) -> ProfileStore:
        """The store, opened at the first use."""
        return self._opened.get()

    def open(self) -> None:
        """Open the store now, so that the first call need not."""
        _ = self.store

    def ensure_exists(self) -> bool:
        """Make the current user's row where there is none; True if this call made it.

        A session learns the person's generation by it.
        """
        return self.bind().created

    def bind(self) -> BoundPerson:
        """Make the current user's row where there is none, and learn what a session must know.

        A session that is bound knows it from now on.
        """
        bound = self.store.bind_person(get_current_user(), get_session_identity())
        if get_session_user_uuid() is not None:
            set_session_generation(bound.generation)
            set_session_remembered(bound.remembered)
        return bound

    def get(self) -> Person:
        """Return all that is kept of the current user beside their memories."""
        return self.store.get_person(get_current_user())

    def complete_first_login(self) -> None:
        """Note that the current user's first conversation has taken place."""
        self.store.complete_first_login(get_current_user())

    def change_about(self, **changes: object) -> UserProfile:
        """Change what is known of the current user (fields of `UserProfile`)."""
        return self.store.update_user_profile(get_current_user(), changes, get_session_generation())

    def change_details(self, **changes: object) -> OnboardingDetails:
        """Change the details of the current user (fields of `OnboardingDetails`)."""
        return self.store.update_onboarding_details(
            get_current_user(), changes, get_session_generation()
        )

    def keep_summary(self, summary: str) -> bool:
        """Keep what conversations say of the current user, beside the text that is their own.

        Returns:
            Whether the profile text changed.
        """
        return self._change_text(lambda text: with_summary(text, summary))

    def drop_summary(self) -> bool:
        """Drop what conversations say, as something of it is forgotten; the next one is anew.

        Returns:
            Whether the profile text changed.
        """
        return self._change_text(own_text)

    def _change_text(self, change: Callable[[str], str]) -> bool:
        # Read first: what is erased between the two steps is not written back.
        generation = get_session_generation()
        text = self.get().about.profile_text
        changed = change(text)
        if changed == text:
            return False
        self.store.update_user_profile(get_current_user(), {"profile_text": changed}, generation)
        return True

    def forget(self) -> bool:
        """Delete what is known of the current user and the details they gave."""
        user = get_current_user()
        about = self.store.forget_user_profile(user)
        return self.store.forget_onboarding_details(user) or about
