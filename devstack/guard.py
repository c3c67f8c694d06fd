"""Become a server that ends with the process that asked for it.

Run as a script, by `devstack.process`, before every child:

    python -I -S guard.py PARENT_PID DEATH_SIGNAL IDENTITY PROGRAM [ARGUMENT...]

``PROGRAM`` is an absolute path. ``DEATH_SIGNAL`` is the number that Linux sends the child
when its parent ends, however it ends (prctl(2), PR_SET_PDEATHSIG). ``IDENTITY`` says under
which user the program runs: ``-`` for this one, ``namespace:UID:GID`` for a user namespace
in which this user is known by those ids, ``setuid:UID:GID`` for that user itself.

Only the standard library's core is imported: this is on the way of every start.
Exit status 126 where the guard could not do its part, 127 where there is no such program.
"""

from __future__ import annotations

import os
import signal
import sys

if sys.platform == "linux":
    # Before any change of user: the library may lie where only this one can read.
    import ctypes

PARENT_IS_GONE = 125
GUARD_FAILED = 126
NO_SUCH_PROGRAM = 127

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


def main(arguments: list[str]) -> int:
    """Prepare this process and replace it with the program; returns only on failure."""
    parent, death_signal, identity, *command = arguments
    try:
        _take_identity(identity)
        _die_with_parent(int(parent), int(death_signal))
    except OSError as error:
        print(f"guard: cannot run as {identity}: {error}", file=sys.stderr)
        return GUARD_FAILED
    _reset_signals()
    try:
        os.execv(command[0], command)  # noqa: S606 - without a shell is what is wanted
    except OSError as error:
        print(f"guard: cannot run {command[0]}: {error}", file=sys.stderr)
    return NO_SUCH_PROGRAM


def _take_identity(identity: str) -> None:
    if identity == "-":
        return
    kind, uid, gid = identity.split(":")
    if kind == "namespace":
        _enter_user_namespace(int(uid), int(gid))
    else:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))


def _enter_user_namespace(uid: int, gid: int) -> None:
    """Be known by these ids without any change of rights: user_namespaces(7)."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _call_c("unshare", _CLONE_NEWUSER)
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outside_uid} 1"),
        ("gid_map", f"{gid} {outside_gid} 1"),
    ):
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(file, content.encode())
        os.close(file)


def _die_with_parent(parent: int, death_signal: int) -> None:
    # A change of credentials clears the death signal, so this comes after it; and the
    # parent may have ended before this, in which case no signal will ever come.
    if sys.platform == "linux":
        _call_c("prctl", _PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(PARENT_IS_GONE)


def _call_c(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _reset_signals() -> None:
    # What is ignored stays ignored in the program: the interpreter ignores SIGPIPE and
    # SIGXFSZ, and shells start background jobs with SIGINT and SIGQUIT ignored.
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
