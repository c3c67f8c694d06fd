"""Who people are: a contract, two stores, and the session's own view of them.

`profile_manager` is that view for this process. It opens its store (Supabase or SQLite, as
the environment says) when it is first used.
"""

from __future__ import annotations

from profiles.manager import ProfileManager
from profiles.model import (
    BoundPerson,
    OnboardingDetails,
    Person,
    Profile,
    ProfileInputError,
    UserProfile,
    email_of,
)
from profiles.sqlite_store import SqliteProfileStore
from profiles.store import ProfileStore
from profiles.supabase_store import SupabaseProfileStore
from storage import Storage, default_storage

__all__ = [
    "BoundPerson",
    "OnboardingDetails",
    "Person",
    "Profile",
    "ProfileInputError",
    "ProfileManager",
    "ProfileStore",
    "SqliteProfileStore",
    "SupabaseProfileStore",
    "UserProfile",
    "email_of",
    "ensure_profile_exists",
    "open_profile_store",
    "profile_manager",
]


def open_profile_store(storage: Storage) -> ProfileStore:
    """Return the profile store of an open storage."""
    if storage.supabase is not None:
        return SupabaseProfileStore(storage.supabase)
    if storage.people is None:
        raise ValueError("the storage has neither Supabase nor a data folder")
    return SqliteProfileStore(storage.people)


profile_manager = ProfileManager(lambda: open_profile_store(default_storage()))


def ensure_profile_exists(user_uuid: str, original_identity: str | None = None) -> bool:
    """Make a person's profile in this process's store where there is none.

    Idempotent, and right when many call it at once for one person.

    Args:
        user_uuid: the person's uuid.
        original_identity: kept as ``email`` where it is an e-mail address.

    Returns:
        ``created``: True for exactly one of all callers.

    Raises:
        StorageError: the back end failed; the text says what to do.
    """
    return profile_manager.store.ensure_profile_exists(user_uuid, original_identity)
