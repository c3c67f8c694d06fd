"""agent.py, with a note of until when its own audio track has something to play.

The notes are lines of ``time.monotonic()`` in the file that SOUND_FILE names: each is the
newest word on when the track falls silent, seconds on the clock that all processes share.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from livekit import rtc
from livekit.agents import JobProcess

import agent

_LOUD = 200

_capture, _clear = rtc.AudioSource.capture_frame, rtc.AudioSource.clear_queue


def _note(sounds_until: float) -> None:
    with Path(os.environ["SOUND_FILE"]).open("a", encoding="ascii") as notes:
        notes.write(f"{sounds_until:.6f}\n")


async def _captured(source: rtc.AudioSource, frame: rtc.AudioFrame) -> None:
    await _capture(source, frame)
    if max(frame.data, default=0) > _LOUD:
        _note(time.monotonic() + source.queued_duration)


def _cleared(source: rtc.AudioSource) -> None:
    _clear(source)
    _note(time.monotonic())


def prewarm(process: JobProcess) -> None:
    """Prepare a job process, and take the notes in it."""
    rtc.AudioSource.capture_frame = _captured  # type: ignore[assignment, method-assign]
    rtc.AudioSource.clear_queue = _cleared  # type: ignore[assignment, method-assign]
    agent.prewarm(process)


server = agent.server
server.setup_fnc = prewarm
