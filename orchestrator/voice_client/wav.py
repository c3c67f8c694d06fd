"""WAV files as 16-bit mono PCM."""

from __future__ import annotations

import wave
from pathlib import Path

from livekit import rtc


class UnusableWavError(Exception):
    """The file is no 16-bit PCM WAV; the text says which."""


def read_wav(path: Path, sample_rate: int) -> bytes:
    """Return what a WAV file holds, as mono PCM at another sample rate.

    Raises:
        UnusableWavError: it is not there, or no 16-bit mono WAV file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getsampwidth(), file.getnchannels()) != (2, 1):
                raise UnusableWavError(f"{path}: must be 16 bit, mono")
            pcm, rate = file.readframes(file.getnframes()), file.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UnusableWavError(f"{path}: {error}") from error
    if rate == sample_rate:
        return pcm
    resampler = rtc.AudioResampler(rate, sample_rate)
    frame = rtc.AudioFrame(pcm, rate, 1, len(pcm) // 2)
    pieces = [*resampler.push(frame), *resampler.flush()]
    return b"".join(piece.data.tobytes() for piece in pieces)


def write_wav(path: Path, pcm: bytes, sample_rate: int) -> None:
    """Write mono PCM as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm)
