"""Tokens that let a request act as one person and nobody else.

Row level security compares each row with the token's ``sub``, so that a client with Alice's
token reaches none of Bob's rows, whatever it asks. A token lasts minutes and is renewed when
half its life is over: no request sends one that is about to expire.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt

from storage.errors import StorageRejectedError
from storage.signing_key import SigningKey

ISSUER = "voice-agent-memory"
"""Tells our tokens from those of Supabase Auth, whose issuer is the project's /auth/v1."""

LIFETIME_S = 600.0
MOST_CACHED = 256

_BACKDATED_S = 60
"""How much a database's clock may lag behind ours before it finds a token not yet issued."""


@dataclass(frozen=True)
class _Minted:
    token: str = field(repr=False)
    at: float


class UserTokens:
    """Mints tokens and keeps the latest one of each person; safe to call from any thread.

    Args:
        key: what signs them.
        lifetime_s: seconds from minting to expiry, whole ones.
        clock: seconds since the epoch; the wall clock, as the database judges by its own.
    """

    def __init__(
        self,
        key: SigningKey,
        *,
        lifetime_s: float = LIFETIME_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Minted] = OrderedDict()

    def token_for(self, user_uuid: str) -> str:
        """Return a token whose ``sub`` is the person, good for half its life at least.

        Raises:
            StorageRejectedError: ``user_uuid`` is not a uuid.
        """
        subject = _canonical(user_uuid)
        with self._lock:
            now = self._clock()
            kept = self._kept.get(subject)
            # A negative age: the clock was set back, and with it what the token may be.
            if kept is None or not 0 <= now - kept.at < self._lifetime_s / 2:
                kept = _Minted(self._mint(subject, now), now)
                self._kept[subject] = kept
            self._kept.move_to_end(subject)
            while len(self._kept) > MOST_CACHED:
                self._kept.popitem(last=False)
            return kept.token

    def _mint(self, subject: str, now: float) -> str:
        claims = {
            "iss": ISSUER,
            "aud": "authenticated",
            "role": "authenticated",
            "sub": subject,
            "iat": int(now) - _BACKDATED_S,
            "exp": int(now + self._lifetime_s),
        }
        headers = {"kid": self.key.key_id} if self.key.key_id else None
        return jwt.encode(claims, self.key.secret, self.key.algorithm, headers=headers)


def _canonical(user_uuid: str) -> str:
    try:
        return str(uuid.UUID(user_uuid))
    except (ValueError, AttributeError, TypeError):
        raise StorageRejectedError(
            "the user id is not a uuid; derive it with livekit_identity_to_uuid"
        ) from None
