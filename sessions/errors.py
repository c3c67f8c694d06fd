"""What can go wrong with the state of sessions."""

from __future__ import annotations


class SessionsError(Exception):
    """Base of the errors of this package."""


class StateUnreachableError(SessionsError):
    """Redis did not answer; try again, and look at REDIS_URL and at the server."""


class SessionExistsError(SessionsError):
    """A session of this id is there already."""


class SessionEndedError(SessionsError):
    """The session has ended and does not come back; start a new one."""


class TooManySessionsError(SessionsError):
    """The creator has as many live sessions as they may have; end one first."""
