"""Adds to a person's file what another one, or another store, holds of them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime

from memory import Memory
from memory.moments import microseconds
from people.model import Record

_PROFILE = """
    INSERT INTO profile (one, email, is_first_login, created_at, last_seen_at)
    VALUES (1, :email, :is_first_login, :created_at, :last_seen_at)
    ON CONFLICT (one) DO UPDATE SET
        email = coalesce(email, excluded.email),
        is_first_login = min(is_first_login, excluded.is_first_login),
        created_at = min(created_at, excluded.created_at),
        last_seen_at = nullif(
            max(coalesce(last_seen_at, 0), coalesce(excluded.last_seen_at, 0)), 0
        )
"""
_USER_PROFILE = """
    INSERT INTO user_profile (one, profile_text, language, time_zone, updated_at)
    VALUES (1, coalesce(:profile_text, ''), :language, :time_zone, :now)
    ON CONFLICT (one) DO UPDATE SET
        profile_text = coalesce(nullif(profile_text, ''), excluded.profile_text),
        language = coalesce(language, excluded.language),
        time_zone = coalesce(time_zone, excluded.time_zone)
"""
_ONBOARDING_DETAILS = """
    INSERT INTO onboarding_details (one, first_name, occupation, interests, updated_at)
    VALUES (1, :first_name, :occupation, :interests, :now)
    ON CONFLICT (one) DO UPDATE SET
        first_name = coalesce(first_name, excluded.first_name),
        occupation = coalesce(occupation, excluded.occupation),
        interests = coalesce(nullif(interests, '[]'), excluded.interests)
"""


def add_records(file: sqlite3.Connection, records: dict[str, Record | None]) -> None:
    """Add rows to the person's; what the file says itself wins.

    Args:
        file: the person's file, in a write transaction.
        records: as `PeopleStore.records` gives them.
    """
    now = time.time_ns() // 1000
    profile = records.get("profile")
    if profile is None:
        return
    times = {name: _time(profile.get(name)) for name in ("created_at", "last_seen_at")}
    file.execute(_PROFILE, {**profile, **times})
    if (about := records.get("user_profile")) is not None:
        file.execute(_USER_PROFILE, {**about, "now": now})
    if (details := records.get("onboarding_details")) is not None:
        interests = json.dumps(details.get("interests") or [], ensure_ascii=False)
        file.execute(_ONBOARDING_DETAILS, {**details, "interests": interests, "now": now})


def close_as(file: sqlite3.Connection, memories: Sequence[Memory]) -> int:
    """Give stored memories the places and the ends that they have elsewhere.

    Args:
        file: the person's file, in a write transaction.
        memories: as they are elsewhere.

    Returns:
        How many of them the file holds.
    """
    held = 0
    for memory in memories:
        held += file.execute(
            "UPDATE memory SET place = coalesce(?, place) WHERE id = ?", (memory.place, memory.id)
        ).rowcount
        if memory.superseded_at is not None:
            end = microseconds(memory.superseded_at)
            file.execute(
                "UPDATE memory SET superseded_at = ? "
                "WHERE id = ? AND (superseded_at IS NULL OR superseded_at > ?)",
                (end, memory.id, end),
            )
    return held


def _time(text: str | None) -> int | None:
    return None if text is None else microseconds(datetime.fromisoformat(text))
