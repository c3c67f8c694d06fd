"""Who a person is: their profile, a text about them, and the details they gave."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from config import language_tag, time_zone_name
from storage.text import check_storable

MAX_TEXT_LENGTH = 10_000
MAX_DETAIL_LENGTH = 200
MAX_INTERESTS = 100
"""The database checks the same bounds (migrations/0003_user_profiles.sql)."""

_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)+")
_MAX_EMAIL_LENGTH = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets


class ProfileInputError(ValueError):
    """Base of what a caller can get wrong about a profile; the text says what to change."""


@dataclass(frozen=True)
class Profile:
    """A person's row.

    Attributes:
        user: the person's uuid.
        email: set only where the identity is an e-mail address.
        is_first_login: true until a first conversation has really taken place.
        created_at: when the row was made, UTC.
    """

    user: str
    email: str | None
    is_first_login: bool
    created_at: datetime


@dataclass(frozen=True)
class UserProfile:
    """What is known of a person at a glance.

    Attributes:
        profile_text: a short text about them; empty where nothing is known.
        language: how to speak to them, a BCP 47 tag such as ``de`` or ``pt-BR``.
        time_zone: where they live, an IANA name such as ``Europe/Berlin``.
    """

    profile_text: str = ""
    language: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True)
class OnboardingDetails:
    """What a person told about themselves when they first came."""

    first_name: str | None = None
    occupation: str | None = None
    interests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """Everything that is kept of a person beside their memories.

    Attributes:
        profile: their row; None where they have none.
        about: what is known at a glance.
        details: what they told when they first came.
    """

    profile: Profile | None = None
    about: UserProfile = field(default_factory=UserProfile)
    details: OnboardingDetails = field(default_factory=OnboardingDetails)


@dataclass(frozen=True)
class BoundPerson:
    """What a session must know of a person before it serves them.

    Attributes:
        created: whether this call made their row.
        generation: the person's, which an erasure raises; everything written for them
            carries it.
        remembered: whether they want to be; if not, nothing is written and nothing recalled.
    """

    created: bool
    generation: int
    remembered: bool = True


def email_of(identity: str | None) -> str | None:
    """Return the identity where it is an e-mail address, else None."""
    if identity is None or len(identity) > _MAX_EMAIL_LENGTH:
        return None
    return identity if _EMAIL.fullmatch(identity) else None


def checked_changes(changes: dict[str, object]) -> dict[str, object]:
    """Return the changes to a `UserProfile` or to `OnboardingDetails`, checked.

    Args:
        changes: field names with their new values; None clears a field.

    Raises:
        ProfileInputError: a value is too long, not text, or unknown to the standards.
    """
    return {name: _CHECKS[name](name, value) for name, value in changes.items()}


def _detail(name: str, value: object) -> str | None:
    text = None if value is None else _text(name, value, MAX_DETAIL_LENGTH).strip()
    return text or None


def _profile_text(name: str, value: object) -> str:
    return "" if value is None else _text(name, value, MAX_TEXT_LENGTH)


def _interests(name: str, value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or len(value) > MAX_INTERESTS:
        raise ProfileInputError(f"interests must be a list of at most {MAX_INTERESTS} texts")
    each = [_text(name, one, MAX_DETAIL_LENGTH).strip() for one in value]
    return list(dict.fromkeys(one for one in each if one))


def _language(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = _text(name, value, MAX_DETAIL_LENGTH)
    try:
        return language_tag(text)
    except ValueError as error:
        raise ProfileInputError(f"language {error}") from None


def _time_zone(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = _text(name, value, MAX_DETAIL_LENGTH)
    try:
        return time_zone_name(text)
    except ValueError as error:
        raise ProfileInputError(f"time_zone {error}") from None


def _text(name: str, value: object, longest: int) -> str:
    return check_storable(value, name, longest, ProfileInputError)


_CHECKS = {
    "profile_text": _profile_text,
    "language": _language,
    "time_zone": _time_zone,
    "first_name": _detail,
    "occupation": _detail,
    "interests": _interests,
}
