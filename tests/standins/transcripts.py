"""Where the stand-ins for speech recognition take their words from."""

from __future__ import annotations

import wave
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.standins.errors import ScriptError

SAMPLE_RATE = 16000
"""Of the PCM a `Transcribe` is given, in Hz."""

Transcribe = Callable[[bytes], str]
"""Turns one utterance, PCM 16 bit little-endian mono at 16 kHz, into words.

It runs in the stand-in's thread: no waiting. An empty text stands for "no words heard".
"""

_WINDOW_S = 0.02
_SPEECH_RMS = 300.0
_SURE_ENOUGH = 0.75
"""Whole recordings through Opus, noise and gain reach 0.97, cut ones 0.8, wrong ones 0.62."""


class Script:
    """The words to be heard, one line for each utterance.

    Args:
        lines: the lines, in order.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._lines = deque(lines)

    def add(self, *lines: str) -> None:
        """Append lines, at any time and from any thread."""
        self._lines.extend(lines)

    def __call__(self, pcm: bytes) -> str:
        """Take the next line, whatever the utterance sounds like.

        Raises:
            ScriptError: there are no lines left.
        """
        try:
            return self._lines.popleft()
        except IndexError:
            seconds = len(pcm) / 2 / SAMPLE_RATE
            raise ScriptError(f"{seconds:.2f} s of speech, but no lines left") from None


class KnownRecordings:
    """Recognises recordings by the course of their loudness.

    Words then follow what is really heard, whoever speaks and in whatever order.

    Args:
        recordings: WAV files, 16 bit mono, and what is said in each.
    """

    def __init__(self, recordings: Mapping[Path, str]) -> None:
        self._known = [(_loudness(read_wav(path)), words) for path, words in recordings.items()]

    def __call__(self, pcm: bytes) -> str:
        """Return the words of the recording most alike.

        Raises:
            ScriptError: none is alike.
        """
        heard = _loudness(pcm)
        likeness, words = max((_likeness(heard, known), words) for known, words in self._known)
        if likeness < _SURE_ENOUGH:
            raise ScriptError(f"speech like none of the recordings (likeness {likeness:.2f})")
        return words


def read_wav(path: Path) -> bytes:
    """Return a WAV file's samples as PCM at 16 kHz.

    Raises:
        ScriptError: it is not 16 bit mono.
    """
    with wave.open(str(path), "rb") as reader:
        if (reader.getnchannels(), reader.getsampwidth()) != (1, 2):
            raise ScriptError(f"{path.name} is not 16 bit mono; record it so")
        pcm = reader.readframes(reader.getnframes())
        return at_16_khz(pcm, reader.getframerate())


def at_16_khz(pcm: bytes, sample_rate: int) -> bytes:
    """Resample PCM, 16 bit mono, well enough for telling recordings apart."""
    if sample_rate == SAMPLE_RATE:
        return pcm
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    wanted = np.arange(len(samples) * SAMPLE_RATE // sample_rate) * (sample_rate / SAMPLE_RATE)
    resampled: bytes = np.interp(wanted, np.arange(len(samples)), samples).astype("<i2").tobytes()
    return resampled


def _loudness(pcm: bytes) -> npt.NDArray[Any]:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    window = int(_WINDOW_S * SAMPLE_RATE)
    windows = samples[: len(samples) // window * window].reshape(-1, window)
    levels = np.sqrt((windows**2).mean(axis=1))
    loud = np.flatnonzero(levels >= _SPEECH_RMS)
    if not len(loud):
        return np.zeros(1)
    loudness: npt.NDArray[Any] = np.log1p(levels[loud[0] : loud[-1] + 1] / 100.0)
    loudness -= loudness.mean()
    return loudness


def _likeness(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.correlate(one, other, mode="full").max()) / norm if norm else 0.0
