"""What whoever dispatched a conversation asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wishes:
    """What whoever dispatched the conversation asked for; None means nothing.

    Attributes:
        session_id: names the conversation; part of the id of everything it writes.
        opening_line: is said first, whoever comes.
        language: a BCP 47 tag that wins over the profile's and the settings'.
        time_zone: an IANA name, likewise.
    """

    session_id: str
    opening_line: str | None = None
    language: str | None = None
    time_zone: str | None = None
