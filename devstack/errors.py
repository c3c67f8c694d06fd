"""What can go wrong with the local servers.

DevstackError
├── ServiceUnavailableError   this machine cannot have the server; the text says what is missing
├── OverrideError             a variable such as REDIS_SERVER_BIN names something unusable
├── ServerStartError          the server ended or stayed silent while it was starting
├── ServerEndedError          a server that should be running has ended
└── CancelledStartError       whoever asked for a start or an install wants it no more
"""

from __future__ import annotations

from pathlib import Path


class DevstackError(Exception):
    """Base of every failure of the local servers."""


class ServiceUnavailableError(DevstackError):
    """This machine cannot have the server; the text says what to install or to set."""


class OverrideError(DevstackError):
    """A variable that names a program or folder of the user's own cannot be used."""


class _LoggedError(DevstackError):
    def __init__(self, server: str, reason: str, log_file: Path, last_lines: str) -> None:
        self.server = server
        self.log_file = log_file
        self.last_lines = last_lines
        super().__init__(f"{server} {reason}; its log is {log_file} and ends:\n{last_lines}")


class ServerStartError(_LoggedError):
    """The server ended or stayed silent while it was starting; see the log it names."""


class ServerEndedError(_LoggedError):
    """A server that should be running has ended; see the log it names."""


class CancelledStartError(DevstackError):
    """A start or an install was given up because of something else that failed."""
