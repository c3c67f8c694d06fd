"""What is said in the room, as LiveKit's text streams have it."""

from __future__ import annotations

from collections.abc import Callable

from livekit import rtc
from livekit.rtc.data_stream import StreamError

TOPIC = "lk.transcription"

_SEGMENT = "lk.segment_id"
_FINAL = "lk.transcription_final"


class Transcripts:
    """Reads the streams, and tells of each all of the utterance so far.

    Of a person each interim is a stream of its own; of the agent one stream grows.

    Args:
        tell: takes who, the utterance's id, its text so far, and whether it is complete.
    """

    def __init__(self, tell: Callable[[str, str, str, bool], None]) -> None:
        self._tell = tell

    async def read(self, reader: rtc.TextStreamReader, who: str) -> None:
        """Read one stream to its end.

        Args:
            reader: the stream.
            who: ``user`` or ``agent``.
        """
        attributes = reader.info.attributes or {}
        segment = attributes.get(_SEGMENT, reader.info.stream_id)
        said = ""
        try:
            async for piece in reader:
                said += piece
                if who == "agent" and said.strip():
                    self._tell(who, segment, said, False)
        except StreamError:
            return  # its sender, or the room, has gone in the middle
        final = who == "agent" or attributes.get(_FINAL) == "true"
        if said.strip():
            self._tell(who, segment, said, final)
