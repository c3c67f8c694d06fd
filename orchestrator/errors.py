"""What the orchestrator answers when it cannot do what was asked."""

from __future__ import annotations

from collections.abc import Mapping


class OrchestratorError(Exception):
    """Base of the errors that become an HTTP answer.

    Args:
        detail: what is wrong and what to do, for the caller; nothing secret, nothing inner.
        headers: headers of the answer.
    """

    status = 500

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})


class BadRequestError(OrchestratorError):
    """What was sent cannot be used."""

    status = 400


class UnauthorizedError(OrchestratorError):
    """There is no credential, or none that is valid."""

    status = 401

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class ForbiddenError(OrchestratorError):
    """The caller is known and may not do this."""

    status = 403


class NotFoundError(OrchestratorError):
    """There is no such thing, or it is somebody else's."""

    status = 404


class ConflictError(OrchestratorError):
    """What is there already does not allow it."""

    status = 409


class TooLargeError(OrchestratorError):
    """The body is larger than MAX_BODY_BYTES."""

    status = 413


class TooManyError(OrchestratorError):
    """A limit is reached.

    Args:
        detail: which, and what to do.
        retry_after_s: seconds after which it may be tried again.
    """

    status = 429

    def __init__(self, detail: str, *, retry_after_s: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after_s))})


class UnavailableError(OrchestratorError):
    """Redis, LiveKit or the spawner is out of reach."""

    status = 503

    def __init__(self, detail: str, *, retry_after_s: int = 2) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})
