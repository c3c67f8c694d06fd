"""Settings of the orchestrator."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from config.kinds import Group, HttpUrl, LiveKitUrl


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError("must be addresses or networks such as 10.0.0.0/8") from None


def _api_key(value: str) -> str:
    if len(value) < _SHORTEST_API_KEY:
        raise ValueError(f"each key must have {_SHORTEST_API_KEY} characters or more")
    return value


def _origin(value: str) -> str:
    if value == "*" or not value.startswith(("http://", "https://")):
        raise ValueError("must be origins such as https://app.example.com; * is not taken")
    return value.rstrip("/")


_SHORTEST_API_KEY = 16

Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
ApiKeys = Annotated[tuple[Annotated[str, AfterValidator(_api_key)], ...], BeforeValidator(_split)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_split)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_split)]


class OrchestratorSettings(Group):
    """Where the orchestrator listens, whom it serves, and how it starts and ends sessions."""

    host: str = Field("127.0.0.1", alias="ORCHESTRATOR_HOST")
    port: int = Field(8000, alias="ORCHESTRATOR_PORT", ge=0, le=65535)
    mode: Literal["production", "development"] = Field("production", alias="ORCHESTRATOR_MODE")
    api_keys: ApiKeys = Field((), alias="ORCHESTRATOR_API_KEYS", repr=False)
    operator_keys: ApiKeys = Field((), alias="ORCHESTRATOR_OPERATOR_KEYS", repr=False)
    jwks_url: HttpUrl | None = Field(None, alias="SUPABASE_JWKS_URL")
    jwt_issuer: str | None = Field(None, alias="SUPABASE_JWT_ISSUER")
    jwt_audience: str = Field("authenticated", alias="SUPABASE_JWT_AUDIENCE")
    livekit_public_url: LiveKitUrl | None = Field(None, alias="LIVEKIT_PUBLIC_URL")
    agent_names: Names = Field((), alias="AGENT_NAMES")
    cors_origins: Origins = Field((), alias="CORS_ORIGINS")
    trusted_proxies: Networks = Field((), alias="TRUSTED_PROXIES")
    max_body_bytes: int = Field(65_536, alias="MAX_BODY_BYTES", ge=1024)
    rate_limit: str = Field("60/minute", alias="RATE_LIMIT", pattern=r"^\d+\s*/\s*[a-z]+$")
    webhook_allow_unsigned: bool = Field(False, alias="WEBHOOK_ALLOW_UNSIGNED")
    session_webhook_url: HttpUrl | None = Field(None, alias="SESSION_WEBHOOK_URL")
    session_webhook_secret: str | None = Field(None, alias="SESSION_WEBHOOK_SECRET", repr=False)
    max_sessions_per_user: int = Field(5, alias="MAX_SESSIONS_PER_USER", ge=1)
    session_ttl_hours: float = Field(24.0, alias="SESSION_TTL_HOURS", gt=0)
    encryption_enabled: bool = Field(True, alias="ENCRYPTION_ENABLED")
    one_session_per_user: bool = Field(False, alias="ONE_SESSION_PER_USER")
    connect_within_s: float = Field(30.0, alias="CONNECT_WITHIN_S", gt=0)
    spawner: Literal["livekit", "celery"] = Field("livekit", alias="SPAWNER")
    celery_broker_url: str | None = Field(None, alias="CELERY_BROKER_URL", repr=False)
    ready_within_s: float = Field(6.0, alias="READY_WITHIN_S", gt=0)
    dispatch_retries: int = Field(2, alias="DISPATCH_RETRIES", ge=0)
    reconcile_every_s: float = Field(60.0, alias="RECONCILE_EVERY_S", gt=0)
    reconcile_age_s: float = Field(30.0, alias="RECONCILE_AGE_S", ge=0)
    term_grace_s: float = Field(5.0, alias="TERM_GRACE_S", gt=0)
    voice_ping_s: float = Field(5.0, alias="VOICE_PING_S", gt=0)
