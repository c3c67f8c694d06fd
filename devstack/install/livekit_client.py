"""LiveKit's JavaScript SDK for clients, from npm: one file that imports nothing."""

from __future__ import annotations

import tarfile
from pathlib import Path

from devstack.errors import ServiceUnavailableError
from devstack.install.cache import installed_folder
from devstack.install.node import ADVICE, npm, npm_environment
from devstack.install.step import Step, run_step
from devstack.machine import Machine

PACKAGE = "livekit-client@2.23.0"
_MODULE = "dist/livekit-client.esm.mjs"


def livekit_client(machine: Machine) -> Path:
    """Find or install the SDK.

    Returns:
        Its ES module.

    Raises:
        ServiceUnavailableError: it is not in the cache and cannot be downloaded here.
    """

    def install(folder: Path, scratch: Path) -> None:
        _install(machine, folder, scratch)

    return installed_folder(machine, PACKAGE.replace("@", "-"), install) / Path(_MODULE).name


def _install(machine: Machine, folder: Path, scratch: Path) -> None:
    command = npm(machine, scratch, ADVICE)
    environ = npm_environment(machine.environ, command)
    pack = [*command, "pack", "--pack-destination", str(scratch), PACKAGE]
    run_step(machine, Step(f"downloading {PACKAGE} with npm", pack, environ, scratch, ADVICE))
    (archive,) = scratch.glob("*.tgz")
    with tarfile.open(archive) as content:
        module = content.extractfile(f"package/{_MODULE}")
        if module is None:
            raise ServiceUnavailableError(f"{PACKAGE} has no {_MODULE}; {ADVICE}")
        (folder / Path(_MODULE).name).write_bytes(module.read())
