"""Who calls, whom they may act for, and which sessions are theirs."""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from orchestrator.errors import BadRequestError, ForbiddenError
from sessions.model import SessionRecord, SessionStyle

NAMESPACE_PREFIX = "ns:"
ANONYMOUS_PREFIX = "anon:"
RESERVED_PREFIXES = (NAMESPACE_PREFIX, ANONYMOUS_PREFIX)
"""Identities that we hand out ourselves, so that nobody may name one as theirs."""

NAMESPACE_SESSIONS = "a namespace creates its sessions by POST /api/v1/sessions"
"""Where MAX_SESSIONS_PER_USER counts them."""

_CREATOR_LENGTH = 32


class CallerKind(str, Enum):
    """What kind of caller it is."""

    BACKEND = "backend"
    OPERATOR = "operator"
    USER = "user"
    NAMESPACE = "namespace"
    DEVELOPMENT = "development"


@dataclass(frozen=True)
class Caller:
    """A caller whose credential has been checked.

    Attributes:
        kind: what they are.
        creator: names them in what they make, as an opaque text that tells nothing.
        identity: the one person whom they are: a user's ``sub``, a namespace's ``ns:...``,
            the browser's ``anon:...`` in development; None for those who are nobody.
    """

    kind: CallerKind
    creator: str
    identity: str | None = None

    def user_for(self, identity: str | None, *, field: str = "identity") -> str:
        """Return the identity of the person for whom the caller acts.

        Memory hangs on it, so that nobody may choose somebody else's.

        Args:
            identity: whom the caller names, or None.
            field: what the caller calls that, for the error.

        Raises:
            BadRequestError: a back end names nobody, or somebody of a reserved prefix.
            ForbiddenError: it is somebody for whom the caller may not act.
        """
        if self.kind is CallerKind.OPERATOR:
            raise ForbiddenError("an operator key acts for nobody; use an API key")
        if self.kind is CallerKind.BACKEND:
            return _named(identity, field)
        if self.kind is CallerKind.DEVELOPMENT and identity:
            return identity
        if self.identity is None or identity not in (None, "", self.identity):
            raise ForbiddenError(f"{field}: this credential acts for its own user only")
        return self.identity

    def user_called(self, name: str) -> str:
        """Return for whom a session starts; a user's own token says so, whatever the name.

        Raises:
            BadRequestError: the name has a reserved prefix.
            ForbiddenError: the caller acts for nobody, or is a namespace.
        """
        if self.kind is CallerKind.NAMESPACE:
            raise ForbiddenError(NAMESPACE_SESSIONS)
        return self.user_for(None if self.kind is CallerKind.USER else name, field="userName")

    def may_reach(self, record: SessionRecord) -> bool:
        """Whether the caller may see and end a session: its creator may, and operators.

        In development nobody is told apart, so that namespaces' sessions are reached too.
        """
        if self.kind is CallerKind.OPERATOR or record.creator == self.creator:
            return True
        in_namespace = record.style is SessionStyle.NAMESPACE
        return self.kind is CallerKind.DEVELOPMENT and in_namespace


def new_anonymous_identity() -> str:
    """Return the identity of a person who has not said who they are."""
    return f"{ANONYMOUS_PREFIX}{uuid.uuid4()}"


def creator_id(secret: bytes, name: str) -> str:
    """Return what names a caller in the sessions they make.

    Args:
        secret: known to all orchestrators of one LiveKit project, and to nobody else.
        name: such as ``user:...``, ``key:...`` or ``ns:...``.
    """
    # surrogatepass: a name that came as JSON may hold what UTF-8 does not have.
    digest = hmac.new(secret, name.encode("utf-8", "surrogatepass"), sha256)
    return digest.hexdigest()[:_CREATOR_LENGTH]


def _named(identity: str | None, field: str) -> str:
    if not identity:
        raise BadRequestError(f"{field}: name the user for whom you call")
    if identity.startswith(RESERVED_PREFIXES):
        reserved = " or ".join(RESERVED_PREFIXES)
        raise BadRequestError(f"{field}: must not begin with {reserved}")
    return identity
