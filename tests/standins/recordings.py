"""The recordings in ``tests/data`` and what is said in them."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from livekit import rtc

_DATA = Path(__file__).parent.parent / "data"

MY_NAME_IS_ANNA = _DATA / "speech_my_name_is_anna.wav"
FAVORITE_COLOR_BLUE = _DATA / "speech_favorite_color_blue.wav"
WHAT_IS_MY_FAVORITE_COLOR = _DATA / "speech_what_is_my_favorite_color.wav"

RECORDINGS: Mapping[Path, str] = MappingProxyType(
    {
        MY_NAME_IS_ANNA: "Hello, my name is Anna.",
        FAVORITE_COLOR_BLUE: "My favorite color is blue.",
        WHAT_IS_MY_FAVORITE_COLOR: "What is my favorite color?",
    }
)


def whole_frame(path: Path) -> rtc.AudioFrame:
    """Return a WAV file, 16 bit, as one audio frame."""
    with wave.open(str(path), "rb") as reader:
        frames, channels = reader.getnframes(), reader.getnchannels()
        return rtc.AudioFrame(reader.readframes(frames), reader.getframerate(), channels, frames)
