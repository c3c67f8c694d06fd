"""Finds utterances in a stream of PCM by its energy.

Time is the audio's own, not the wall clock's: the same audio gives the same utterances,
however fast it arrives.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

WINDOW_S = 0.02
_PRE_ROLL_S = 0.1
_SHORTEST_SPEECH_S = 0.06


@dataclass(frozen=True)
class SpeechStarted:
    """Somebody began to speak.

    Attributes:
        at_s: seconds since the stream's start.
    """

    at_s: float


@dataclass(frozen=True)
class Utterance:
    """Somebody spoke and then was silent.

    Attributes:
        start_s: when the speech began, in seconds since the stream's start.
        end_s: when it ended.
        pcm: what was heard, with a little silence at both ends.
    """

    start_s: float
    end_s: float
    pcm: bytes


@dataclass
class _Speech:
    first_loud: int
    last_loud: int
    windows: list[bytes]
    loud_count: int = 0

    @property
    def is_long_enough(self) -> bool:
        return self.loud_count * WINDOW_S >= _SHORTEST_SPEECH_S

    def as_utterance(self) -> Utterance:
        end_s = (self.last_loud + 1) * WINDOW_S
        return Utterance(self.first_loud * WINDOW_S, end_s, b"".join(self.windows))


class UtteranceDetector:
    """Splits PCM, 16 bit little-endian mono, into utterances.

    Args:
        sample_rate: in Hz.
        threshold: root mean square, of 32768, from which a window of 20 ms is speech.
        silence_s: how long silence lasts, in seconds, before an utterance is over.
    """

    def __init__(self, sample_rate: int, *, threshold: float, silence_s: float) -> None:
        self._window_bytes = 2 * int(WINDOW_S * sample_rate)
        self._threshold = threshold
        self._silence_windows = round(silence_s / WINDOW_S)
        self._rest = b""
        self._position = 0
        self._before: deque[bytes] = deque(maxlen=round(_PRE_ROLL_S / WINDOW_S))
        self._speech: _Speech | None = None

    def feed(self, pcm: bytes) -> list[SpeechStarted | Utterance]:
        """Take more audio; return what it brought about, in order."""
        self._rest += pcm
        found: list[SpeechStarted | Utterance] = []
        while len(self._rest) >= self._window_bytes:
            window = self._rest[: self._window_bytes]
            self._rest = self._rest[self._window_bytes :]
            found += self._take_loud(window) if self._is_loud(window) else self._take_quiet(window)
            self._position += 1
        return found

    def flush(self) -> list[Utterance]:
        """End the utterance in progress, if there is one, and return it."""
        speech, self._speech = self._speech, None
        self._before.clear()
        return [speech.as_utterance()] if speech and speech.is_long_enough else []

    def _is_loud(self, window: bytes) -> bool:
        samples = np.frombuffer(window, dtype="<i2").astype(np.float64)
        return float(np.sqrt((samples**2).mean())) >= self._threshold

    def _take_loud(self, window: bytes) -> list[SpeechStarted]:
        if self._speech is None:
            self._speech = _Speech(self._position, self._position, [*self._before])
        speech = self._speech
        was_long_enough = speech.is_long_enough
        speech.windows.append(window)
        speech.last_loud = self._position
        speech.loud_count += 1
        has_begun = speech.is_long_enough and not was_long_enough
        return [SpeechStarted(speech.first_loud * WINDOW_S)] if has_begun else []

    def _take_quiet(self, window: bytes) -> list[Utterance]:
        if self._speech is None:
            self._before.append(window)
            return []
        self._speech.windows.append(window)
        is_over = self._position - self._speech.last_loud >= self._silence_windows
        return self.flush() if is_over else []
