"""Profiles in the person's own SQLite file, beside their memories."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import datetime, timezone
from typing import Any

from profiles.model import OnboardingDetails, Profile, UserProfile, checked_changes, email_of
from profiles.store import ProfileStore
from storage.person_file import PersonFiles


class SqliteProfileStore(ProfileStore):
    """The contract over `PersonFiles`: one row a table, as the file is one person's.

    Args:
        people: opens the files; whoever made it closes it.
    """

    def __init__(self, people: PersonFiles) -> None:
        self._people = people

    def ensure_profile_exists(self, user: str, original_identity: str | None = None) -> bool:
        """Make the row in one statement."""
        with self._people.writing(user) as file:
            return _ensure(file, email_of(original_identity))

    def get_profile(self, user: str) -> Profile | None:
        """Return the row."""
        row = self._row(user, "SELECT email, is_first_login, created_at FROM profile")
        if row is None:
            return None
        created_at = datetime.fromtimestamp(row[2] / 1_000_000, timezone.utc)
        return Profile(user, row[0], is_first_login=bool(row[1]), created_at=created_at)

    def complete_first_login(self, user: str) -> None:
        """Note that a first conversation has taken place."""
        with self._people.writing(user) as file:
            file.execute("UPDATE profile SET is_first_login = 0")

    def get_user_profile(self, user: str) -> UserProfile:
        """Return what is known of the person."""
        row = self._row(user, "SELECT profile_text, language, time_zone FROM user_profile")
        return UserProfile(*row) if row else UserProfile()

    def update_user_profile(self, user: str, changes: dict[str, object]) -> UserProfile:
        """Change the named fields in one transaction."""
        self._update(user, "user_profile", checked_changes(changes))
        return self.get_user_profile(user)

    def forget_user_profile(self, user: str) -> bool:
        """Delete the row."""
        return self._delete(user, "user_profile")

    def get_onboarding_details(self, user: str) -> OnboardingDetails:
        """Return the details."""
        row = self._row(user, "SELECT first_name, occupation, interests FROM onboarding_details")
        if row is None:
            return OnboardingDetails()
        return OnboardingDetails(row[0], row[1], tuple(json.loads(row[2])))

    def update_onboarding_details(self, user: str, changes: dict[str, object]) -> OnboardingDetails:
        """Change the named fields in one transaction."""
        checked = checked_changes(changes)
        if "interests" in checked:
            checked["interests"] = json.dumps(checked["interests"], ensure_ascii=False)
        self._update(user, "onboarding_details", checked)
        return self.get_onboarding_details(user)

    def forget_onboarding_details(self, user: str) -> bool:
        """Delete the row."""
        return self._delete(user, "onboarding_details")

    def _row(self, user: str, query: str) -> tuple[Any, ...] | None:
        with self._people.reading(user) as file:
            row: tuple[Any, ...] | None = file.execute(query).fetchone()
        return row

    def _update(self, user: str, table: str, changes: dict[str, object]) -> None:
        with self._people.writing(user) as file:
            _ensure(file, None)
            file.execute(
                f"INSERT OR IGNORE INTO {table} (one, updated_at) VALUES (1, ?)",  # noqa: S608 - constants
                (_now(),),
            )
            for column, value in {**changes, "updated_at": _now()}.items():
                file.execute(f"UPDATE {table} SET {column} = ?", (value,))  # noqa: S608 - checked names

    def _delete(self, user: str, table: str) -> bool:
        with self._people.writing(user) as file:
            return file.execute(f"DELETE FROM {table}").rowcount > 0  # noqa: S608 - constants


def _ensure(file: sqlite3.Connection, email: str | None) -> bool:
    made = file.execute(
        "INSERT OR IGNORE INTO profile (one, email, created_at) VALUES (1, ?, ?)", (email, _now())
    )
    return made.rowcount > 0


def _now() -> int:
    return time.time_ns() // 1000
