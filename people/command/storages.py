"""Which storage and whose data a command is about."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from config import ConfigError, Settings
from session_context import get_current_user, set_session_user
from storage import Storage, open_storage

BACK_ENDS = ("sqlite", "supabase")
BackEnd = Literal["sqlite", "supabase"]


def add_identity(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Let a command say whose data it is about."""
    default = "" if required else " (default: the local user of python -m assistant.chat)"
    parser.add_argument(
        "--identity",
        required=required,
        help=f"the person's LiveKit identity, exactly as in their token{default}",
    )


def bind(arguments: argparse.Namespace) -> str:
    """Make the named person the current user, and return their uuid.

    Raises:
        IdentityError: the identity is empty.
    """
    if arguments.identity is not None:
        return set_session_user(arguments.identity)
    return get_current_user()


@contextmanager
def opened(back_end: BackEnd | None = None) -> Iterator[Storage]:
    """Open the storage that the environment names, or one of the two by name.

    Raises:
        ConfigError: the environment does not say how to reach it.
    """
    settings = Settings.from_environment().store
    if back_end == "sqlite":
        settings = settings.model_copy(update={"supabase_url": None})
    if back_end == "supabase" and settings.supabase_url is None:
        raise ConfigError("SUPABASE_URL: set it, and SUPABASE_SERVICE_ROLE_KEY, to reach Supabase")
    storage = open_storage(settings)
    try:
        if back_end == "supabase" and storage.supabase is None:
            raise ConfigError("SUPABASE_SERVICE_ROLE_KEY: the key there is may not write")
        yield storage
    finally:
        storage.close()
