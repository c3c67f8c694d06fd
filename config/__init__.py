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
from typing import Any

from dotenv import dotenv_values
from pydantic import AliasChoices, ValidationError

from config.kinds import (
    Group,
    HttpUrl,
    Language,
    LiveKitUrl,
    TimeZone,
    language_tag,
    time_zone_name,
)
from config.orchestrator import OrchestratorSettings
from config.providers import ProviderSettings
from config.sessions import SessionSettings
from config.store import PROJECT_ROOT, ExtractionSettings, StoreSettings
from config.worker import WorkerSettings

__all__ = [
    "PROJECT_ROOT",
    "ConfigError",
    "ExtractionSettings",
    "HttpUrl",
    "Language",
    "LiveKitUrl",
    "OrchestratorSettings",
    "ProviderSettings",
    "SessionSettings",
    "Settings",
    "StoreSettings",
    "TimeZone",
    "WorkerSettings",
    "language_tag",
    "time_zone_name",
    "variables",
]


class ConfigError(Exception):
    """A setting is missing or unusable; the text names the variable and the mend."""


class Settings(Group):
    """All settings of one process."""

    worker: WorkerSettings
    store: StoreSettings
    providers: ProviderSettings
    extraction: ExtractionSettings
    sessions: SessionSettings
    orchestrator: OrchestratorSettings

    @property
    def livekit_public_url(self) -> str:
        """The LiveKit URL that clients are given; empty where there is none."""
        return self.orchestrator.livekit_public_url or self.worker.livekit_url or ""

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
            groups: dict[str, Any] = {
                name: group.model_validate(variables) for name, group in _GROUPS.items()
            }
            return cls(**groups)
        except ValidationError as error:
            raise ConfigError(_first_problem(error)) from None


_GROUPS: dict[str, type[Group]] = {
    "worker": WorkerSettings,
    "store": StoreSettings,
    "providers": ProviderSettings,
    "extraction": ExtractionSettings,
    "sessions": SessionSettings,
    "orchestrator": OrchestratorSettings,
}


def variables() -> list[str]:
    """Return the names of all variables that settings are read from."""
    names: list[str] = []
    for group in _GROUPS.values():
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
