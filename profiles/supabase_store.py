"""Profiles in Supabase (migrations/0001_profiles.sql and 0003_user_profiles.sql)."""

from __future__ import annotations

from typing import Any

from profiles.model import (
    OnboardingDetails,
    Person,
    Profile,
    UserProfile,
    checked_changes,
    email_of,
)
from profiles.store import ProfileStore
from storage.supabase_clients import SupabaseClients, execute, read_time

_COLUMNS = (
    "email, is_first_login, created_at, "
    "user_profiles(profile_text, language, time_zone), "
    "onboarding_details(first_name, occupation, interests)"
)


class SupabaseProfileStore(ProfileStore):
    """The contract over PostgREST.

    Args:
        clients: gives each user's client; whoever made it closes it.
    """

    def __init__(self, clients: SupabaseClients) -> None:
        self._clients = clients

    def ensure_profile_exists(self, user: str, original_identity: str | None = None) -> bool:
        """Make the row in one call of ``ensure_profile``."""
        return bool(self._call("ensure_profile", user, p_email=email_of(original_identity)))

    def get_person(self, user: str) -> Person:
        """Read the three rows in one request; PostgREST joins them by their foreign keys."""
        query = self._clients.client_for(user).table("profiles").select(_COLUMNS).eq("id", user)
        rows: list[dict[str, Any]] = execute(query.limit(1).retry(False))
        if not rows:
            return Person()
        row = rows[0]
        return Person(
            profile=Profile(
                user, row["email"], row["is_first_login"], read_time(row["created_at"])
            ),
            about=UserProfile(**(row["user_profiles"] or {})),
            details=_details(row["onboarding_details"]),
        )

    def complete_first_login(self, user: str) -> None:
        """Note that a first conversation has taken place."""
        table = self._clients.client_for(user).table("profiles")
        execute(table.update({"is_first_login": False}).eq("id", user))

    def update_user_profile(self, user: str, changes: dict[str, object]) -> UserProfile:
        """Change the named fields in one call of ``update_user_profile``."""
        row = self._call("update_user_profile", user, p_changes=checked_changes(changes))[0]
        return UserProfile(row["profile_text"], row["language"], row["time_zone"])

    def forget_user_profile(self, user: str) -> bool:
        """Delete the row."""
        return self._delete("user_profiles", user)

    def update_onboarding_details(self, user: str, changes: dict[str, object]) -> OnboardingDetails:
        """Change the named fields in one call of ``update_onboarding_details``."""
        rows = self._call("update_onboarding_details", user, p_changes=checked_changes(changes))
        return _details(rows[0])

    def forget_onboarding_details(self, user: str) -> bool:
        """Delete the row."""
        return self._delete("onboarding_details", user)

    def _call(self, function: str, user: str, **arguments: object) -> Any:
        client = self._clients.client_for(user)
        return execute(client.rpc(function, {"p_user": user, **arguments}))

    def _delete(self, table: str, user: str) -> bool:
        query = self._clients.client_for(user).table(table).delete().eq("user_id", user)
        return bool(execute(query))


def _details(row: dict[str, Any] | None) -> OnboardingDetails:
    if row is None:
        return OnboardingDetails()
    return OnboardingDetails(row["first_name"], row["occupation"], tuple(row["interests"]))
