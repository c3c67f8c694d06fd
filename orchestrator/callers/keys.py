"""Keys of back ends and operators, kept and compared as hashes."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from hashlib import sha256


def hash_of(key: str) -> str:
    """Return the SHA-256 of a key, hex."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class KeyRing:
    """Knows keys by their hashes; no key can be read from it.

    Args:
        keys: the keys that are taken.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._hashes = tuple(hash_of(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def hash_of_known(self, key: str) -> str | None:
        """Return a key's hash where the key is one of these, else None; in constant time."""
        given = hash_of(key)
        matches = [hmac.compare_digest(given, known) for known in self._hashes]
        return given if any(matches) else None
