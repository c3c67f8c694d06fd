"""As whom Postgres can run: it refuses to run as root, and containers often are root.

First choice is a user namespace, in which root is known by another id and nothing else
changes, not even who owns the files. Where the kernel or the container forbids that, the
system's user ``nobody`` is taken, who then must own the data.
"""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import ServiceUnavailableError
from devstack.process import guarded

_PROBE_DEADLINE_S = 20.0


@dataclass(frozen=True)
class Identity:
    """Whom a program runs as.

    Attributes:
        guard_argument: how `devstack.guard` is told.
        owner: (uid, gid) that must own the program's files; None where that is us.
    """

    guard_argument: str
    owner: tuple[int, int] | None = None

    def give(self, folder: Path) -> None:
        """Let the program own a folder."""
        if self.owner is not None:
            os.chown(folder, *self.owner)


OURSELVES = Identity("-")


def unprivileged_identity(program: Path) -> Identity:
    """Choose an identity under which this program runs as somebody else than root.

    Args:
        program: is run with ``--version`` to see that the identity can.

    Returns:
        This user, where this is not root.

    Raises:
        ServiceUnavailableError: root can run it neither in a user namespace nor as nobody;
            the text has both reasons.
    """
    if os.geteuid() != 0:
        return OURSELVES
    reasons = []
    for candidate in (_in_user_namespace(), _as_nobody()):
        reason = _why_not(candidate, program)
        if reason is None:
            return candidate
        reasons.append(f"{candidate.guard_argument}: {reason}")
    raise ServiceUnavailableError(
        f"{program.name} refuses to run as root and cannot run as anybody else here; run this "
        f"as another user. Tried {'; '.join(reasons)}"
    )


def _in_user_namespace() -> Identity:
    # Any id but 0 would do, if initdb did not insist on one that has a name.
    somebody = next((user for user in pwd.getpwall() if user.pw_uid >= 1), None)
    uid, gid = (somebody.pw_uid, somebody.pw_gid) if somebody else (65534, 65534)
    return Identity(f"namespace:{uid}:{gid}")


def _as_nobody() -> Identity:
    try:
        user = pwd.getpwnam("nobody")
    except KeyError:
        return Identity("setuid:65534:65534", (65534, 65534))
    return Identity(f"setuid:{user.pw_uid}:{user.pw_gid}", (user.pw_uid, user.pw_gid))


def _why_not(identity: Identity, program: Path) -> str | None:
    command = guarded([str(program), "--version"], identity.guard_argument, signal.SIGKILL)
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_DEADLINE_S)
    except subprocess.TimeoutExpired:
        return f"no answer within {_PROBE_DEADLINE_S:.0f} s"
    return None if answer.returncode == 0 else answer.stderr.strip()
