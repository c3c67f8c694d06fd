"""Speech made of one tone: its length tells the text's length, its pitch the voice.

`VOICE_FREQUENCIES` is the mapping, in Hz: alloy 300, ash 360, ballad 420, coral 480,
echo 540, fable 600, nova 660, onyx 720, sage 780, shimmer 840, verse 900, marin 960,
cedar 1020. They survive MP3 and Opus, and are far enough apart to be told from a recording.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import av
import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 24000
"""Of the provider's speech, in Hz."""

_VOICES = "alloy ash ballad coral echo fable nova onyx sage shimmer verse marin cedar".split()
VOICE_FREQUENCIES: Mapping[str, float] = MappingProxyType(
    {voice: 300.0 + 60.0 * index for index, voice in enumerate(_VOICES)}
)

_AMPLITUDE = 0.3
_FADE_S = 0.01
_BIT_RATE = 64_000


def tone(frequency: float, seconds: float, *, sample_rate: int = SAMPLE_RATE) -> bytes:
    """Return a tone as PCM, 16 bit little-endian mono, faded in and out.

    Args:
        frequency: in Hz.
        seconds: its length.
        sample_rate: in Hz.
    """
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    fade = np.clip(np.minimum(times, seconds - times) / _FADE_S, 0.0, 1.0)
    samples = _AMPLITUDE * fade * np.sin(2 * np.pi * frequency * times)
    return (samples * 32767).astype("<i2").tobytes()


@lru_cache(maxsize=64)
def encoded_tone(frequency: float, seconds: float, response_format: str) -> bytes:
    """Return a tone as ``pcm``, ``wav`` or ``mp3``, at 24 kHz mono.

    Raises:
        KeyError: the stand-ins do not make that format.
    """
    return _ENCODERS[response_format](tone(frequency, seconds))


def dominant_frequency(pcm: bytes, sample_rate: int) -> float:
    """Return the strongest frequency of a recording, in Hz; 0.0 for silence.

    Args:
        pcm: 16 bit little-endian mono.
        sample_rate: in Hz.
    """
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    if not samples.any():
        return 0.0
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * sample_rate / len(samples)


def voice_heard(pcm: bytes, sample_rate: int) -> str | None:
    """Return the voice whose tone is in a recording; None when it is none's.

    Args:
        pcm: 16 bit little-endian mono.
        sample_rate: in Hz.
    """
    heard = dominant_frequency(pcm, sample_rate)
    voice, frequency = min(VOICE_FREQUENCIES.items(), key=lambda item: abs(item[1] - heard))
    return voice if abs(frequency - heard) < 25.0 else None


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE)
        writer.writeframes(pcm)
    return file.getvalue()


def _mp3(pcm: bytes) -> bytes:
    samples: npt.NDArray[Any] = np.frombuffer(pcm, dtype="<i2").reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16p", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = _BIT_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "pcm": lambda pcm: pcm,
    "wav": _wav,
    "mp3": _mp3,
}
FORMATS = frozenset(_ENCODERS)
