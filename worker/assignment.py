"""What a runner (`worker.runner`) is told by whoever started it."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Assignment:
    """What a runner is to serve.

    Attributes:
        room: the LiveKit room, which is there.
        metadata: what the job reads as its dispatch's metadata.
    """

    room: str
    metadata: str

    def as_line(self) -> bytes:
        """Return what `read` reads."""
        return json.dumps({"room": self.room, "metadata": self.metadata}).encode() + b"\n"

    @classmethod
    def read(cls, line: str) -> Assignment | None:
        """Return what a line says, or None where it says nothing.

        Raises:
            ValueError: it is no assignment.
        """
        if not line.strip():
            return None
        given = json.loads(line)
        try:
            return cls(room=str(given["room"]), metadata=str(given["metadata"]))
        except (KeyError, TypeError) as error:
            raise ValueError("an assignment has a room and metadata") from error
