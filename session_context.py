"""Whom this job serves: the one source of truth about the current user.

Outside of a LiveKit job the user is an immutable value in a ContextVar, so that two
asyncio tasks or threads with different users never see each other's.

Inside a job a ContextVar set by the entrypoint is not enough: shutdown callbacks and,
after connect, typed turns run in contexts that were copied before it was set. One job
process serves exactly one person, so the worker's ``setup_fnc`` makes a `JobBinding`
before the job's first task exists, and the entrypoint fills it once. Every accessor reads
the binding first.

Identity to uuid: uuid5 (RFC 9562, section 5.5) in the namespace below over the identity
exactly as LiveKit gives it, case and spaces included.
"""

from __future__ import annotations

import threading
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, replace

IDENTITY_NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
"""RFC 9562's DNS namespace, which existing deployments already derive their ids from."""

DEFAULT_USER_UUID = "00000000-0000-4000-8000-000000000001"
"""The user of scripts and shells that named nobody. A version 4 id: no identity's uuid5."""


class SessionContextError(Exception):
    """Base of the errors of this module."""


class IdentityError(SessionContextError, ValueError):
    """The identity is empty or is not text; pass the participant's identity."""


class NoSessionUserError(SessionContextError, RuntimeError):
    """The job has bound nobody yet, or serves somebody who is not remembered."""


class SessionUserConflictError(SessionContextError, RuntimeError):
    """The job already serves somebody; a job serves one person from start to end."""


@dataclass(frozen=True)
class SessionUser:
    """A person as the rest of the system knows them.

    Attributes:
        identity: the identity exactly as LiveKit gave it.
        uuid: the uuid5 derived from it, lower-case with hyphens.
        generation: how often they had been erased when the store was last asked; None
            while it was not.
        remembered: whether they want to be; None where the store was asked and has not said.
    """

    identity: str
    uuid: str
    generation: int | None = None
    remembered: bool | None = True


class JobBinding:
    """The user of one job: empty at first, filled once, never somebody else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._user: SessionUser | None = None

    @property
    def user(self) -> SessionUser | None:
        """The bound user, or None while nobody is bound."""
        return self._user

    def fill(self, user: SessionUser) -> None:
        """Bind the job to a user; binding the same user again is a no-op.

        Raises:
            SessionUserConflictError: the job serves somebody else.
        """
        with self._lock:
            if self._user is None:
                self._user = user
            elif self._user.identity != user.identity:
                raise SessionUserConflictError(
                    "this job already serves another user; start a new job for a new user"
                )

    def set_generation(self, generation: int) -> None:
        """Note the bound user's generation.

        Raises:
            NoSessionUserError: nobody is bound.
        """
        with self._lock:
            self._user = replace(_needed(self._user), generation=generation)

    def set_remembered(self, remembered: bool | None) -> None:
        """Note whether the bound user wants to be remembered.

        Raises:
            NoSessionUserError: nobody is bound.
        """
        with self._lock:
            self._user = replace(_needed(self._user), remembered=remembered)


_context_user: ContextVar[SessionUser | None] = ContextVar("session_user", default=None)
_context_binding: ContextVar[JobBinding | None] = ContextVar("job_binding", default=None)
_process_binding: JobBinding | None = None
"""What raw threads and executors see, whose contexts were not copied from the job's."""


def bind_job() -> JobBinding:
    """Make the binding of a job, before any of the job's tasks exists.

    In a process that serves one job the binding also holds where contexts are not copied.
    Where a process serves several (LiveKit's THREAD executor can), code in a raw thread is
    told that there is no user, as nobody knows which.

    Returns:
        The empty binding, already in the current context.
    """
    global _process_binding
    binding = JobBinding()
    _context_binding.set(binding)
    _process_binding = binding if _process_binding is None else JobBinding()
    return binding


def livekit_identity_to_uuid(identity: str) -> str:
    """Derive a person's id from a LiveKit identity.

    Args:
        identity: the participant's identity, used as it is.

    Returns:
        The uuid5 as text, always the same for the same identity.

    Raises:
        IdentityError: the identity is empty or not encodable text.
    """
    if not isinstance(identity, str) or not identity:
        raise IdentityError("the identity is empty; pass the participant's identity")
    try:
        return str(uuid.uuid5(IDENTITY_NAMESPACE, identity))
    except UnicodeEncodeError:
        raise IdentityError("the identity is not valid Unicode text") from None


def set_session_user(identity: str) -> str:
    """Say whom the current context serves; inside a job, fill the job's binding.

    Args:
        identity: the participant's identity.

    Returns:
        The person's uuid.

    Raises:
        IdentityError: the identity is empty or not text.
        SessionUserConflictError: the job already serves somebody else.
    """
    user = SessionUser(identity=identity, uuid=livekit_identity_to_uuid(identity))
    binding = _current_binding()
    if binding is not None:
        binding.fill(user)
    else:
        _context_user.set(user)
    return user.uuid


def get_session_user_uuid() -> str | None:
    """Return the bound user's uuid, or None when nobody is bound."""
    user = _bound_user()
    return user.uuid if user else None


def get_session_identity() -> str | None:
    """Return the bound user's identity, or None when nobody is bound."""
    user = _bound_user()
    return user.identity if user else None


def set_session_generation(generation: int) -> None:
    """Note how often the bound user has been erased, as the store says.

    What the session writes from now on carries this number, and the store drops a write
    whose number is older than its own: what was told before an erasure stays erased.

    Raises:
        NoSessionUserError: nobody is bound.
    """
    binding = _current_binding()
    if binding is not None:
        binding.set_generation(generation)
    else:
        _context_user.set(replace(_needed(_context_user.get()), generation=generation))


def get_session_generation() -> int | None:
    """Return the bound user's generation, or None where nobody is bound or it is unknown."""
    user = _bound_user()
    return user.generation if user else None


def set_session_remembered(remembered: bool | None) -> None:
    """Note whether the bound user wants to be remembered, as the store says.

    Args:
        remembered: None where the store was asked and has not said.

    Raises:
        NoSessionUserError: nobody is bound.
    """
    binding = _current_binding()
    if binding is not None:
        binding.set_remembered(remembered)
    else:
        _context_user.set(replace(_needed(_context_user.get()), remembered=remembered))


def get_session_remembered() -> bool | None:
    """Return whether the bound user wants to be remembered; None where nobody could say yet.

    True where nobody is bound, or where the store was never asked.
    """
    user = _bound_user()
    return user.remembered if user else True


def get_current_user() -> str:
    """Return the uuid under which the current code reads and writes.

    Returns:
        The bound user's uuid; outside of a job and with nobody bound, the fixed default
        user's.

    Raises:
        NoSessionUserError: this is a job and nobody is bound, so that there is nobody
            whose data may be touched.
    """
    user = _bound_user()
    if user is not None:
        return user.uuid
    if _current_binding() is not None:
        raise NoSessionUserError(
            "this job has no session user; call set_session_user(participant.identity) first"
        )
    return get_or_create_default_user()


def get_or_create_default_user() -> str:
    """Return the uuid of the one default user, for shells and scripts that named nobody."""
    return DEFAULT_USER_UUID


def _needed(user: SessionUser | None) -> SessionUser:
    if user is None:
        raise NoSessionUserError("bind a user before what is known of them")
    return user


def _current_binding() -> JobBinding | None:
    return _context_binding.get() or _process_binding


def _bound_user() -> SessionUser | None:
    binding = _current_binding()
    return binding.user if binding is not None else _context_user.get()
