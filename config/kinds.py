"""Kinds of values that several variables have, each checked the same way."""

from __future__ import annotations

import re
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict


class Group(BaseModel):
    """Settings that belong together; frozen, and silent about what it was given."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


def language_tag(text: str) -> str:
    """Return the text if it is a language tag (BCP 47, its common part).

    Raises:
        ValueError: it is not.
    """
    if not _LANGUAGE_TAG.fullmatch(text):
        raise ValueError("must be a language tag such as en, de or pt-BR")
    return text


def time_zone_name(text: str) -> str:
    """Return the text if it names a time zone that this machine knows.

    Raises:
        ValueError: it does not.
    """
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be an IANA time zone such as Europe/Berlin") from None
    return text


def _http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+.*", value):
        raise ValueError("must be a URL that begins with http:// or https://")
    return value.rstrip("/")


def _websocket_url(value: str) -> str:
    if not re.fullmatch(r"(wss?|https?)://[^/\s]+.*", value):
        raise ValueError("must be a URL that begins with ws:// or wss://")
    return value


def _jwt_secret(value: str) -> str:
    if value.startswith(("eyJ", "sb_")):
        raise ValueError("must be the secret that signs tokens, not an API key")
    if len(value.encode()) < _SHORTEST_JWT_SECRET:
        raise ValueError(
            f"must be the project's JWT secret, of {_SHORTEST_JWT_SECRET} bytes or more"
        )
    return value


_SHORTEST_JWT_SECRET = 32
"""RFC 7518, section 3.2: an HS256 key has at least the size of its hash. PostgREST holds to it."""

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")

HttpUrl = Annotated[str, AfterValidator(_http_url)]
LiveKitUrl = Annotated[str, AfterValidator(_websocket_url)]
Language = Annotated[str, AfterValidator(language_tag)]
TimeZone = Annotated[str, AfterValidator(time_zone_name)]
JwtSecret = Annotated[str, AfterValidator(_jwt_secret)]
