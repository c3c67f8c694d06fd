"""The agent's voice as the client gets it: at its sample rate, without long silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from livekit import rtc

_FRAME_MS = 20
_ROOM_RATE = 48_000
_SILENCE = 50
"""The loudest sample, of 32 767, of what counts as silence."""
_PAUSE_S = 0.5
"""Silence that is still sent: a pause within what is spoken."""


def native_rate(sample_rate: int) -> int:
    """Return the rate at which LiveKit takes and gives audio for a client's rate.

    It works in pieces of 10 ms, which must be whole samples.
    """
    return sample_rate if sample_rate % 100 == 0 else _ROOM_RATE


class Converter:
    """Changes PCM from one sample rate to another, piece after piece.

    Args:
        from_rate: in Hz.
        to_rate: in Hz.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._from_rate = from_rate
        self._resampler = rtc.AudioResampler(from_rate, to_rate) if from_rate != to_rate else None

    def convert(self, pcm: bytes) -> Iterator[rtc.AudioFrame]:
        """Yield what a piece of 16-bit mono PCM becomes; what is missing comes with the next."""
        frame = rtc.AudioFrame(pcm, self._from_rate, 1, len(pcm) // 2)
        yield from [frame] if self._resampler is None else self._resampler.push(frame)


class AgentVoice:
    """Passes one track's audio on.

    Args:
        sample_rate: the client's, in Hz.
        deliver: takes pieces of 16-bit mono PCM.
    """

    def __init__(self, sample_rate: int, deliver: Callable[[bytes], None]) -> None:
        self._sample_rate = sample_rate
        self._deliver = deliver
        self._silent_s = _PAUSE_S
        self._hushed = False

    def hush(self) -> None:
        """Pass nothing on until `unhush`."""
        self._hushed = True
        self._silent_s = _PAUSE_S

    def unhush(self) -> None:
        """Pass the voice on again."""
        self._hushed = False

    async def play(self, track: rtc.RemoteAudioTrack) -> None:
        """Pass a track's audio on until it ends."""
        rate = native_rate(self._sample_rate)
        convert = Converter(rate, self._sample_rate)
        stream = rtc.AudioStream(
            track, sample_rate=rate, num_channels=1, frame_size_ms=_FRAME_MS, capacity=100
        )
        try:
            async for event in stream:
                frame = event.frame
                if self._is_wanted(frame):
                    for piece in convert.convert(frame.data.tobytes()):
                        self._deliver(piece.data.tobytes())
        finally:
            await stream.aclose()

    def _is_wanted(self, frame: rtc.AudioFrame) -> bool:
        if self._hushed:
            return False
        if max(frame.data, default=0) > _SILENCE:
            self._silent_s = 0.0
            return True
        self._silent_s += frame.samples_per_channel / frame.sample_rate
        return self._silent_s <= _PAUSE_S
