"""Profiles in Supabase (migrations/0001_profiles.sql, 0003_user_profiles.sql, 0004_facts.sql)."""

from __future__ import annotations

from typing import Any

from profiles.model import (
    BoundPerson,
    OnboardingDetails,
    Person,
    Profile,
    UserProfile,
    checked_changes,
    email_of,
)
from profiles.store import ProfileStore
from storage.errors import PersonErasedError
from storage.supabase_clients import SupabaseClients, execute, read_time, rows

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

    def bind_person(self, user: str, original_identity: str | None = None) -> BoundPerson:
        """Make the row and read the generation in one call of ``bind_person``.

        The service role's, as it writes the e-mail address: the one thing no user may do.
        """
        arguments = {"p_user": user, "p_email": email_of(original_identity)}
        return execute(self._clients.service_client().rpc("bind_person", arguments), _bound)

    def get_person(self, user: str) -> Person:
        """Read the three rows in one request; PostgREST joins them by their foreign keys."""
        query = self._clients.client_for(user).table("profiles").select(_COLUMNS).eq("id", user)
        return execute(query.limit(1).retry(False), lambda data: _person(user, rows(data)))

    def complete_first_login(self, user: str) -> None:
        """Note that a first conversation has taken place."""
        table = self._clients.client_for(user).table("profiles")
        execute(table.upsert({"id": user, "is_first_login": False}), rows)

    def update_user_profile(
        self, user: str, changes: dict[str, object], generation: int | None = None
    ) -> UserProfile:
        """Change the named fields in one call of ``update_user_profile``."""
        return _about(self._update("update_user_profile", user, changes, generation))

    def forget_user_profile(self, user: str) -> bool:
        """Delete the row."""
        return self._delete("user_profiles", user)

    def update_onboarding_details(
        self, user: str, changes: dict[str, object], generation: int | None = None
    ) -> OnboardingDetails:
        """Change the named fields in one call of ``update_onboarding_details``."""
        return _details(self._update("update_onboarding_details", user, changes, generation))

    def forget_onboarding_details(self, user: str) -> bool:
        """Delete the row."""
        return self._delete("onboarding_details", user)

    def _update(
        self, function: str, user: str, changes: dict[str, object], generation: int | None
    ) -> dict[str, Any]:
        arguments = {
            "p_user": user,
            "p_changes": checked_changes(changes),
            "p_generation": generation,
        }
        changed = execute(self._clients.client_for(user).rpc(function, arguments), rows)
        if not changed:
            raise PersonErasedError(
                "the person was erased since, or is not remembered; bind the session anew"
            )
        return changed[0]

    def _delete(self, table: str, user: str) -> bool:
        query = self._clients.client_for(user).table(table).delete().eq("user_id", user)
        return bool(execute(query, rows))


def _bound(data: Any) -> BoundPerson:
    row = rows(data)[0]
    return BoundPerson(bool(row["created"]), int(row["generation"]), bool(row["remembered"]))


def _person(user: str, found: list[dict[str, Any]]) -> Person:
    if not found:
        return Person()
    row = found[0]
    created_at = read_time(row["created_at"])
    return Person(
        profile=Profile(user, row["email"], row["is_first_login"], created_at),
        about=_about(row["user_profiles"] or {}),
        details=_details(row["onboarding_details"] or {}),
    )


def _about(row: dict[str, Any]) -> UserProfile:
    text = row.get("profile_text") or ""
    return UserProfile(text, row.get("language"), row.get("time_zone"))


def _details(row: dict[str, Any]) -> OnboardingDetails:
    interests = tuple(row.get("interests") or ())
    return OnboardingDetails(row.get("first_name"), row.get("occupation"), interests)
