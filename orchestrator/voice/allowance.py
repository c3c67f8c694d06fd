"""How much a client may send: so much a second, and a burst."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.voice.frames import (
    BYTES_PER_SAMPLE,
    FORBIDDEN,
    Audio,
    BadFrameError,
    ClientFrame,
)

_AUDIO_PER_S = 2.0
"""Seconds of audio in a second: a client's clock may be off, a network may have held back."""
_AUDIO_BURST = 10.0
_NOTICES_PER_S = 10.0
_NOTICES_BURST = 20.0


class Allowance:
    """A token bucket.

    Args:
        per_s: what comes back in a second.
        burst: the most that can be there, and what is there at first.
        clock: seconds, only ever growing.
    """

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._clock = clock
        self._at = clock()

    def spend(self, amount: float) -> bool:
        """Take an amount; False, and nothing is taken, where there is not as much."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if amount > self._left:
            return False
        self._left -= amount
        return True


class ClientRates:
    """What one client may send.

    Args:
        sample_rate: in Hz.
        clock: seconds, only ever growing.
    """

    def __init__(self, sample_rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_s = sample_rate * BYTES_PER_SAMPLE
        self._audio = Allowance(_AUDIO_PER_S, _AUDIO_BURST, clock)
        self._notices = Allowance(_NOTICES_PER_S, _NOTICES_BURST, clock)

    def check(self, frame: ClientFrame) -> None:
        """Count a frame.

        Raises:
            BadFrameError: the client sends too much.
        """
        if isinstance(frame, Audio):
            if not self._audio.spend(len(frame.pcm) / self._bytes_per_s):
                raise BadFrameError("too_fast", FORBIDDEN, "send audio at its own pace")
        elif not self._notices.spend(1):
            raise BadFrameError("too_fast", FORBIDDEN, "send 10 text frames a second or fewer")
