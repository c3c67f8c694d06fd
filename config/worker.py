"""Settings of the worker."""

from __future__ import annotations

from pydantic import Field, field_validator

from config.kinds import Group, LiveKitUrl


class WorkerSettings(Group):
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

    @property
    def livekit_is_configured(self) -> bool:
        """Whether there is a LiveKit server, with its key."""
        return None not in (self.livekit_url, self.livekit_api_key, self.livekit_api_secret)

    @field_validator("sip_verified_when", mode="before")
    @classmethod
    def _attribute_pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [tuple(part.strip().split("=", 1)) for part in value.split(",") if part.strip()]
        if any(len(pair) != 2 or not all(pair) for pair in pairs):
            raise ValueError("must be attribute=value pairs separated by commas")
        return pairs
