"""Frames that a client must not send, with what is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class BadFrame:
    """A frame, the code of its error frame, and the WebSocket's close code."""

    frame: str | bytes
    code: str
    close_code: int


BAD_TEXT = [
    BadFrame("", "invalid_json", 1007),
    BadFrame("not json", "invalid_json", 1007),
    BadFrame("[]", "invalid_json", 1007),
    BadFrame("[" * 16_000, "invalid_json", 1007),
    BadFrame("{}", "unknown_type", 1003),
    BadFrame('{"type": "audio"}', "unknown_type", 1003),
    BadFrame('{"type": ["text"]}', "unknown_type", 1003),
    BadFrame('{"type": "text"}', "invalid_text", 1007),
    BadFrame('{"type": "text", "text": " "}', "invalid_text", 1007),
    BadFrame('{"type": "text", "text": 5}', "invalid_text", 1007),
    BadFrame('{"type": "text", "text": "\\ud800"}', "invalid_text", 1007),
    BadFrame(json.dumps({"type": "text", "text": "x" * 4_001}), "text_too_long", 1009),
    BadFrame(json.dumps({"type": "end", "more": "x" * 20_000}), "frame_too_big", 1009),
]
BAD_AUDIO = [
    BadFrame(b"\0" * 641, "invalid_audio", 1007),
    BadFrame(b"", "audio_too_short", 1008),
    BadFrame(bytes(318), "audio_too_short", 1008),
    BadFrame(bytes(3_202), "audio_too_long", 1009),
]
