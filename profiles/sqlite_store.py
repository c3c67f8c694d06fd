"""Profiles in the person's own SQLite file, beside their memories."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
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
from storage.errors import NotRememberedError, PersonErasedError
from storage.person_file import PersonFiles, ensure_profile_row, generation_of, is_remembered

_DAY = 86_400_000_000
_COLUMNS = {
    "profile": "email, is_first_login, created_at",
    "user_profile": "profile_text, language, time_zone",
    "onboarding_details": "first_name, occupation, interests",
}


class SqliteProfileStore(ProfileStore):
    """The contract over `PersonFiles`: one row a table, as the file is one person's.

    Args:
        people: opens the files; whoever made it closes it.
    """

    def __init__(self, people: PersonFiles) -> None:
        self._people = people

    def bind_person(self, user: str, original_identity: str | None = None) -> BoundPerson:
        """Make the row, note that they came, and read the generation in one transaction."""
        with self._people.writing(user) as file:
            if not is_remembered(file):
                return BoundPerson(created=False, generation=generation_of(file), remembered=False)
            created = ensure_profile_row(file, email=email_of(original_identity))
            # To the day, so that coming often costs nothing.
            file.execute(
                "UPDATE profile SET last_seen_at = ? WHERE coalesce(last_seen_at, 0) < ?",
                (_now(), _now() - _DAY),
            )
            return BoundPerson(created, generation_of(file))

    def get_person(self, user: str) -> Person:
        """Read the three rows."""
        with self._people.reading(user) as file:
            profile, about, details = (
                file.execute(f"SELECT {columns} FROM {table}").fetchone()  # noqa: S608 - constants
                for table, columns in _COLUMNS.items()
            )
        return Person(
            profile=_profile(user, profile) if profile else None,
            about=UserProfile(*about) if about else UserProfile(),
            details=_details(details) if details else OnboardingDetails(),
        )

    def complete_first_login(self, user: str) -> None:
        """Note that a first conversation has taken place."""
        with self._people.writing(user) as file:
            if is_remembered(file):
                ensure_profile_row(file, email=None)
                file.execute("UPDATE profile SET is_first_login = 0")

    def update_user_profile(
        self, user: str, changes: dict[str, object], generation: int | None = None
    ) -> UserProfile:
        """Change the named fields in one transaction."""
        self._update(user, "user_profile", checked_changes(changes), generation)
        return self.get_person(user).about

    def forget_user_profile(self, user: str) -> bool:
        """Delete the row."""
        return self._delete(user, "user_profile")

    def update_onboarding_details(
        self, user: str, changes: dict[str, object], generation: int | None = None
    ) -> OnboardingDetails:
        """Change the named fields in one transaction."""
        checked = checked_changes(changes)
        if "interests" in checked:
            checked["interests"] = json.dumps(checked["interests"], ensure_ascii=False)
        self._update(user, "onboarding_details", checked, generation)
        return self.get_person(user).details

    def forget_onboarding_details(self, user: str) -> bool:
        """Delete the row."""
        return self._delete(user, "onboarding_details")

    def _update(
        self, user: str, table: str, changes: dict[str, object], generation: int | None
    ) -> None:
        with self._people.writing(user) as file:
            if generation is not None and generation < generation_of(file):
                raise PersonErasedError("the person was erased since; bind the session anew")
            if not is_remembered(file):
                raise NotRememberedError("the person is not remembered; nothing is kept of them")
            ensure_profile_row(file, email=None)
            file.execute(
                f"INSERT OR IGNORE INTO {table} (one, updated_at) VALUES (1, ?)",  # noqa: S608 - constants
                (_now(),),
            )
            for column, value in {**changes, "updated_at": _now()}.items():
                file.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 - checked names

    def _delete(self, user: str, table: str) -> bool:
        with self._people.writing(user) as file:
            return file.execute(f"DELETE FROM {table}").rowcount > 0  # noqa: S608 - constants


def _profile(user: str, row: tuple[Any, ...]) -> Profile:
    email, is_first_login, created_at = row
    when = datetime.fromtimestamp(created_at / 1_000_000, timezone.utc)
    return Profile(user, email, is_first_login=bool(is_first_login), created_at=when)


def _details(row: tuple[Any, ...]) -> OnboardingDetails:
    return OnboardingDetails(row[0], row[1], tuple(json.loads(row[2])))


def _now() -> int:
    return time.time_ns() // 1000
