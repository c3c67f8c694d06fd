"""How fast the OpenAI stand-in answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Timing:
    """Waits, in seconds; may be changed while the stand-in runs.

    Attributes:
        first_token_s: before the first word of a chat answer.
        token_s: before each further word.
        first_audio_s: before the first audio of a speech.
        audio_pace: seconds of waiting for each second of audio; 1.0 is real time.
        transcription_s: before a transcription.
        seconds_per_character: how long a text is spoken, for each of its characters.
    """

    first_token_s: float = 0.0
    token_s: float = 0.0
    first_audio_s: float = 0.0
    audio_pace: float = 0.0
    transcription_s: float = 0.0
    seconds_per_character: float = 0.06
