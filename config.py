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
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

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


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class WorkerSettings(_Group):
    """How the worker registers, how much it takes, and how long it waits."""

    livekit_url: str | None = Field(None, alias="LIVEKIT_URL")
    livekit_api_key: str | None = Field(None, alias="LIVEKIT_API_KEY")
    livekit_api_secret: str | None = Field(None, alias="LIVEKIT_API_SECRET", repr=False)
    agent_name: str = Field("", alias="LIVEKIT_AGENT_NAME")
    host: str = Field("127.0.0.1", alias="WORKER_HOST")
    port: int | None = Field(None, alias="WORKER_PORT", ge=0, le=65535)
    max_jobs: int = Field(50, alias="MAX_JOBS", ge=1)
    idle_processes: int | None = Field(None, alias="IDLE_PROCESSES", ge=0)
    participant_timeout_s: float = Field(60.0, alias="PARTICIPANT_TIMEOUT_S", gt=0)
    job_shutdown_timeout_s: float = Field(10.0, alias="JOB_SHUTDOWN_TIMEOUT_S", gt=0)
    sip_verified_when: tuple[tuple[str, str], ...] = Field((), alias="SIP_VERIFIED_WHEN")
    log_personal_data: bool | None = Field(None, alias="LOG_PERSONAL_DATA")

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
    request_timeout_s: float = Field(5.0, alias="STORE_TIMEOUT_S", gt=0)
    memory_enabled: bool = Field(True, alias="MEMORY_ENABLED")
    recall_deadline_ms: int = Field(150, alias="RECALL_DEADLINE_MS", ge=1)
    recall_limit: int = Field(8, alias="RECALL_LIMIT", ge=1, le=50)
    join_deadline_ms: int = Field(1000, alias="JOIN_DEADLINE_MS", ge=1)
    drain_deadline_s: float = Field(3.0, alias="DRAIN_DEADLINE_S", gt=0)

    @property
    def supabase_key(self) -> str | None:
        """The key to use: the service-role key, or the anon key where there is no other."""
        return self.supabase_service_key or self.supabase_anon_key

    @model_validator(mode="after")
    def _supabase_has_a_key(self) -> Self:
        if self.supabase_url is not None and self.supabase_key is None:
            raise ValueError(
                "SUPABASE_SERVICE_ROLE_KEY: set it to the project's service-role key, "
                "or unset SUPABASE_URL to keep memories in DATA_DIR"
            )
        return self


class ProviderSettings(_Group):
    """Which models hear, think and speak, and how to reach them."""

    openai_api_key: str | None = Field(None, alias="OPENAI_API_KEY", repr=False)
    openai_base_url: HttpUrl | None = Field(None, alias="OPENAI_BASE_URL")
    openai_model: str = Field("gpt-5.4-mini", alias="OPENAI_MODEL")
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
    language: str = Field("en", alias="AGENT_LANGUAGE", min_length=2)
    time_zone: str = Field("UTC", alias="AGENT_TIME_ZONE")


class Settings(_Group):
    """All settings of one process."""

    worker: WorkerSettings
    store: StoreSettings
    providers: ProviderSettings

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
            )
        except ValidationError as error:
            raise ConfigError(_first_problem(error)) from None


def _process_environment() -> dict[str, str]:
    env_file = os.environ.get("ENV_FILE", str(PROJECT_ROOT / ".env"))
    from_file = dotenv_values(env_file) if Path(env_file).is_file() else {}
    return {name: value or "" for name, value in {**from_file, **os.environ}.items()}


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    what = problem["msg"].removeprefix("Value error, ")
    variable = f"{problem['loc'][0]}: " if problem["loc"] else ""
    return f"{variable}{what}. See .env.example."
