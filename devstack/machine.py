"""What the package is told about the machine: its variables, and where it may install.

The environment is read when somebody asks for `Machine.current`, never at import. Tests
pass a mapping of their own.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from devstack.errors import CancelledStartError, OverrideError

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def print_to_stderr(line: str) -> None:
    """Report one step, where standard output may be read by a program."""
    print(f"devstack: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Machine:
    """Where programs are looked for and where they are installed.

    Attributes:
        environ: the variables, as a process has them.
        cache_dir: the folder that installs and logs go to.
        report: is told one line about every step that takes long.
        cancelled: once set, installs and starts under way are given up.
    """

    environ: Mapping[str, str]
    cache_dir: Path
    report: Callable[[str], None] = print_to_stderr
    cancelled: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def current(
        cls, environ: Mapping[str, str] | None = None, cache_dir: Path | None = None
    ) -> Machine:
        """Describe this machine.

        Args:
            environ: the variables; this process's by default.
            cache_dir: where to install; by default what DEVSTACK_CACHE names, else
                ``.cache/devstack`` in the project's root.
        """
        variables = dict(os.environ if environ is None else environ)
        chosen = cache_dir or variables.get("DEVSTACK_CACHE") or PROJECT_ROOT / ".cache/devstack"
        return cls(variables, Path(chosen).expanduser().absolute())

    def cancellable(self) -> Machine:
        """Return the same machine for one more asker, who can cancel what it asked for."""
        return replace(self, cancelled=threading.Event())

    def raise_if_cancelled(self) -> None:
        """Give up when nobody wants the outcome any more.

        Raises:
            CancelledStartError: `cancelled` is set.
        """
        if self.cancelled.is_set():
            raise CancelledStartError("given up, because something else failed or was stopped")

    @property
    def install_dir(self) -> Path:
        """The folder for programs of this kind of machine: a cache may be shared."""
        return self.cache_dir / f"{platform.system()}-{platform.machine()}".lower()

    def which(self, program: str) -> Path | None:
        """Find a program on PATH, or return None. The path is absolute."""
        found = shutil.which(program, path=self.environ.get("PATH", os.defpath))
        return Path(found).absolute() if found else None

    def program_named_by(self, variable: str) -> Path | None:
        """Return the program that a variable names, or None where it is not set.

        Raises:
            OverrideError: it names something that is not a program.
        """
        named = self.environ.get(variable, "").strip()
        if not named:
            return None
        program = Path(named).expanduser().absolute()
        if not is_program(program):
            raise OverrideError(
                f"{variable} names {program}, which is not a program; correct it or unset it"
            )
        return program


def is_program(path: Path) -> bool:
    """Say whether the path is a file that this user may run."""
    return path.is_file() and os.access(path, os.X_OK)
