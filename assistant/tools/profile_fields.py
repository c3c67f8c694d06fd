"""The profile's fields, by the words that people have for them. Blocking calls."""

from __future__ import annotations

from dataclasses import asdict

from assistant.tools.telling import slug
from profiles import Person, ProfileManager

_FIELDS = {
    "name": "first_name",
    "first_name": "first_name",
    "occupation": "occupation",
    "job": "occupation",
    "interests": "interests",
    "language": "language",
    "time_zone": "time_zone",
    "profile_text": "profile_text",
}
_DETAILS = frozenset({"first_name", "occupation", "interests"})


def field_named(words: str) -> str | None:
    """Return the field that somebody means by these words, or None."""
    return _FIELDS.get(slug(words))


def fields(person: Person) -> dict[str, object]:
    """Return all fields with their values."""
    return {**asdict(person.details), **asdict(person.about)}


def write(profiles: ProfileManager, changes: dict[str, object]) -> None:
    """Change these fields; None clears one."""
    details = {name: value for name, value in changes.items() if name in _DETAILS}
    about = {name: value for name, value in changes.items() if name not in _DETAILS}
    if details:
        profiles.change_details(**details)
    if about:
        profiles.change_about(**about)
