"""SIGTERM as an exception, so that a ``with`` ends what it started."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

_EXIT_CODE = 128 + int(signal.SIGTERM)


class ExitOnSigterm:
    """Lets SIGTERM raise SystemExit in the main thread, where it would end the process.

    Does nothing in other threads, and nothing where the program handles SIGTERM itself.
    """

    def __init__(self) -> None:
        self._installed = False

    def install(self) -> None:
        """Begin; from now on SIGTERM raises."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _exit)
            self._installed = True

    def ignore(self) -> None:
        """Let nothing interrupt the clean-up that has begun."""
        self._set(signal.SIG_IGN)

    def remove(self) -> None:
        """Leave SIGTERM as it was."""
        self._set(signal.SIG_DFL)
        self._installed = False

    def _set(self, handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
        if self._installed and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _exit(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's signature
    sys.exit(_EXIT_CODE)
