"""Settings of the stores, and of what a conversation leaves in them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, model_validator
from typing_extensions import Self

from config.kinds import Group, HttpUrl, JwtSecret

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class StoreSettings(Group):
    """Where memories and profiles live, and how long anybody waits for them."""

    data_dir: Path = Field(PROJECT_ROOT / "data", alias="DATA_DIR")
    supabase_url: HttpUrl | None = Field(None, alias="SUPABASE_URL")
    supabase_service_key: str | None = Field(
        None,
        validation_alias=AliasChoices("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEY"),
        repr=False,
    )
    supabase_anon_key: str | None = Field(
        None,
        validation_alias=AliasChoices("SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEY"),
        repr=False,
    )
    supabase_jwt_secret: JwtSecret | None = Field(None, alias="SUPABASE_JWT_SECRET", repr=False)
    supabase_signing_key: str | None = Field(None, alias="SUPABASE_JWT_SIGNING_KEY", repr=False)
    supabase_signing_key_id: str | None = Field(None, alias="SUPABASE_JWT_SIGNING_KEY_ID")
    request_timeout_s: float = Field(5.0, alias="STORE_TIMEOUT_S", gt=0)
    memory_enabled: bool = Field(True, alias="MEMORY_ENABLED")
    recall_deadline_ms: int = Field(150, alias="RECALL_DEADLINE_MS", ge=1)
    recall_limit: int = Field(8, alias="RECALL_LIMIT", ge=1, le=50)
    join_deadline_ms: int = Field(1000, alias="JOIN_DEADLINE_MS", ge=1)
    drain_deadline_s: float = Field(3.0, alias="DRAIN_DEADLINE_S", gt=0)
    outbox_max_mb: int = Field(256, alias="OUTBOX_MAX_MB", ge=1)
    retention_days: int | None = Field(None, alias="RETENTION_DAYS", ge=1, le=36_500)
    keep_transcripts: bool = Field(False, alias="KEEP_TRANSCRIPTS")
    transcript_retention_days: int = Field(30, alias="TRANSCRIPT_RETENTION_DAYS", ge=1, le=36_500)

    @property
    def supabase_key(self) -> str | None:
        """The key to use: the service-role key, or the anon key where there is no other."""
        return self.supabase_service_key or self.supabase_anon_key

    @property
    def mints_tokens(self) -> bool:
        """Whether requests act as the session's user instead of the service role."""
        return self.supabase_jwt_secret is not None or self.supabase_signing_key is not None

    @model_validator(mode="after")
    def _supabase_has_a_key(self) -> Self:
        if self.supabase_url is not None and self.supabase_key is None:
            raise ValueError(
                "SUPABASE_SERVICE_ROLE_KEY: set it to the project's service-role key, "
                "or unset SUPABASE_URL to keep memories in DATA_DIR"
            )
        if self.supabase_url and self.mints_tokens and self.supabase_service_key is None:
            raise ValueError(
                "SUPABASE_SERVICE_ROLE_KEY: set it as well, as it makes people's profiles, "
                "or unset SUPABASE_JWT_SECRET and SUPABASE_JWT_SIGNING_KEY"
            )
        return self


class ExtractionSettings(Group):
    """What of a conversation is remembered, and how facts are read from it."""

    least_transcript_confidence: float = Field(0.6, alias="TRANSCRIPT_CONFIDENCE", ge=0, le=1)
    extraction: Literal["auto", "rules", "off"] = Field("auto", alias="FACT_EXTRACTION")
    least_fact_confidence: float = Field(0.6, alias="FACT_CONFIDENCE", ge=0, le=1)
    deadline_s: float = Field(20.0, alias="FACT_DEADLINE_S", gt=0)
    wait_s: float = Field(4.0, alias="FACT_WAIT_S", ge=0)
    patterns: Path | None = Field(None, alias="FACT_PATTERNS")
