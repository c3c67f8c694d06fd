"""The environment, read once into frozen settings.

Every variable is listed here with its default and in ``.env.example`` with its
explanation; nothing else in the project reads the environment. Nothing happens at
import: callers ask for `Settings.from_environment()` when they start.

Errors:
    ConfigError: a variable is missing or has a value that cannot be used. Its text
    names the variable and says what to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Self

PROJECT_ROOT = Path(__file__).resolve().parent


class ConfigError(Exception):
    """A setting is missing or unusable; the text names the variable and the mend."""


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


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class WorkerSettings(_Group):
    """How the worker registers, how much it takes, and how long it waits."""

    livekit_url: LiveKitUrl | None = Field(None, alias="LIVEKIT_URL")
    livekit_api_key: str | None = Field(None, alias="LIVEKIT_API_KEY")
    livekit_api_secret: str | None = Field(None, alias="LIVEKIT_API_SECRET", repr=False)
    agent_name: str = Field("", alias="LIVEKIT_AGENT_NAME")
    host: str = Field("127.0.0.1", alias="WORKER_HOST")
    port: int | None = Field(None, alias="WORKER_PORT", ge=0, le=65535)
    max_jobs: int = Field(50, alias="MAX_JOBS", ge=1)
    idle_processes: int | None = Field(None, alias="IDLE_PROCESSES", ge=0)
    participant_timeout_s: float = Field(60.0, alias="PARTICIPANT_TIMEOUT_S", gt=0)
    reconnect_grace_s: float = Field(30.0, alias="RECONNECT_GRACE_S", gt=0)
    job_shutdown_timeout_s: float = Field(10.0, alias="JOB_SHUTDOWN_TIMEOUT_S", gt=0)
    sip_verified_when: tuple[tuple[str, str], ...] = Field((), alias="SIP_VERIFIED_WHEN")
    log_personal_data: bool | None = Field(None, alias="LOG_PERSONAL_DATA")
    prometheus_port: int | None = Field(None, alias="PROMETHEUS_PORT", ge=0, le=65535)

    @field_validator("sip_verified_when", mode="before")
    @classmethod
    def _attribute_pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [tuple(part.strip().split("=", 1)) for part in value.split(",") if part.strip()]
        if any(len(pair) != 2 or not all(pair) for pair in pairs):
            raise ValueError("must be attribute=value pairs separated by commas")
        return pairs


class StoreSettings(_Group):
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


class ExtractionSettings(_Group):
    """What of a conversation is remembered, and how facts are read from it."""

    least_transcript_confidence: float = Field(0.6, alias="TRANSCRIPT_CONFIDENCE", ge=0, le=1)
    extraction: Literal["auto", "rules", "off"] = Field("auto", alias="FACT_EXTRACTION")
    least_fact_confidence: float = Field(0.6, alias="FACT_CONFIDENCE", ge=0, le=1)
    deadline_s: float = Field(20.0, alias="FACT_DEADLINE_S", gt=0)
    wait_s: float = Field(4.0, alias="FACT_WAIT_S", ge=0)
    patterns: Path | None = Field(None, alias="FACT_PATTERNS")


class ProviderSettings(_Group):
    """Which models hear, think and speak, and how to reach them."""

    openai_api_key: str | None = Field(None, alias="OPENAI_API_KEY", repr=False)
    openai_base_url: HttpUrl | None = Field(None, alias="OPENAI_BASE_URL")
    openai_model: str = Field("gpt-5.4-mini", alias="OPENAI_MODEL")
    openai_fact_model: str | None = Field(None, alias="OPENAI_FACT_MODEL")
    openai_stt_model: str = Field("gpt-transcribe", alias="OPENAI_STT_MODEL")
    openai_tts_model: str = Field("gpt-4o-mini-tts", alias="OPENAI_TTS_MODEL")
    openai_tts_voice: str = Field("alloy", alias="OPENAI_TTS_VOICE")
    deepgram_api_key: str | None = Field(None, alias="DEEPGRAM_API_KEY", repr=False)
    deepgram_base_url: HttpUrl = Field(
        "https://api.deepgram.com/v1/listen", alias="DEEPGRAM_BASE_URL"
    )
    deepgram_model: str = Field("nova-3", alias="DEEPGRAM_MODEL")
    turn_detection: Literal["model", "vad"] = Field("model", alias="TURN_DETECTION")
    allow_scripted_model: bool = Field(False, alias="ALLOW_SCRIPTED_MODEL")
    language: Language = Field("en", alias="AGENT_LANGUAGE")
    time_zone: TimeZone = Field("UTC", alias="AGENT_TIME_ZONE")


class Settings(_Group):
    """All settings of one process."""

    worker: WorkerSettings
    store: StoreSettings
    providers: ProviderSettings
    extraction: ExtractionSettings

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Args:
            environ: the variables; by default this process's environment over the
                ``.env`` file in the project's root. ``ENV_FILE`` names another file.

        Returns:
            The settings, frozen. A variable set to the empty text counts as unset.

        Raises:
            ConfigError: a value cannot be used; the text names its variable.
        """
        given = _process_environment() if environ is None else environ
        variables = {name: value for name, value in given.items() if value.strip()}
        try:
            return cls(
                worker=WorkerSettings.model_validate(variables),
                store=StoreSettings.model_validate(variables),
                providers=ProviderSettings.model_validate(variables),
                extraction=ExtractionSettings.model_validate(variables),
            )
        except ValidationError as error:
            raise ConfigError(_first_problem(error)) from None


def variables() -> list[str]:
    """Return the names of all variables that settings are read from."""
    names: list[str] = []
    for group in (WorkerSettings, StoreSettings, ProviderSettings, ExtractionSettings):
        for field in group.model_fields.values():
            alias = field.validation_alias or field.alias
            choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
            names += [str(choice) for choice in choices]
    return names


def _process_environment() -> dict[str, str]:
    env_file = os.environ.get("ENV_FILE", str(PROJECT_ROOT / ".env"))
    from_file = dotenv_values(env_file) if Path(env_file).is_file() else {}
    return {name: value or "" for name, value in {**from_file, **os.environ}.items()}


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    what = problem["msg"].removeprefix("Value error, ")
    variable = f"{problem['loc'][0]}: " if problem["loc"] else ""
    return f"{variable}{what}. See .env.example."
