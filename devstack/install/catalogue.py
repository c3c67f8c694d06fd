"""Every program that the package knows how to find or to install."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path

from devstack.install.livekit_server import livekit_server
from devstack.install.postgres import postgres_bin_dir
from devstack.install.postgrest import postgrest
from devstack.install.redis_server import redis_server
from devstack.machine import Machine


class Program(str, Enum):
    """A program by the name that the command line takes."""

    LIVEKIT = "livekit"
    REDIS = "redis"
    POSTGRES = "postgres"
    POSTGREST = "postgrest"


_FINDERS: dict[Program, Callable[[Machine], Path]] = {
    Program.LIVEKIT: livekit_server,
    Program.REDIS: redis_server,
    Program.POSTGRES: postgres_bin_dir,
    Program.POSTGREST: postgrest,
}


def install(program: Program, machine: Machine) -> Path:
    """Find the program, or install it.

    Returns:
        The program; for Postgres the folder with its programs.

    Raises:
        OverrideError: the variable that names it is wrong.
        ServiceUnavailableError: it is not on this machine and cannot be installed here.
    """
    return _FINDERS[program](machine)
