"""Settings that the worker and the orchestrator share about voice sessions."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from config.kinds import Group

_REDIS_URL = re.compile(r"(redis|rediss|unix)://\S+")


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


ReasonNames = Annotated[
    tuple[Literal["client_disconnect", "server_error", "timeout"], ...], BeforeValidator(_split)
]


class SessionSettings(Group):
    """Where sessions are kept, how long they last, and how they are watched."""

    redis_url: str | None = Field(None, alias="REDIS_URL", repr=False)
    key_ttl_s: int = Field(7200, alias="SESSION_KEY_TTL_S", ge=60)
    max_session_s: float = Field(14_400.0, alias="MAX_SESSION_S", gt=0)
    silence_timeout_s: float | None = Field(None, alias="SILENCE_TIMEOUT_S", gt=0)
    heartbeat_s: float = Field(2.0, alias="HEARTBEAT_S", gt=0)
    history_ttl_s: int = Field(600, alias="HISTORY_TTL_S", ge=1)
    history_kept_after: ReasonNames = Field(("timeout", "server_error"), alias="HISTORY_KEPT_AFTER")
    events_channel: str = Field("connection_events", alias="CONNECTION_EVENTS_CHANNEL")
    tts_control_channel: str = Field("tts_control", alias="TTS_CONTROL_CHANNEL")
    release_timeout_s: float = Field(2.0, alias="RELEASE_TIMEOUT_S", gt=0)

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str | None) -> str | None:
        if value is not None and not _REDIS_URL.fullmatch(value):
            raise ValueError("must be a URL that begins with redis://, rediss:// or unix://")
        try:
            urlsplit(value or "").port  # noqa: B018 - reading it is what checks it
        except ValueError:
            raise ValueError("must have a host and a port such as 127.0.0.1:6379") from None
        return value
