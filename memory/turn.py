"""What a person says once, and the memory that it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from memory.categories import categorise
from memory.model import TURN_KEY, NewMemory
from memory.writes import write_id


@dataclass(frozen=True)
class UserTurn:
    """Something the person said or typed.

    Attributes:
        text: what they said.
        item_id: the conversation item's id, unique within its session.
        said_at: seconds since the epoch.
        generation: the person's when they said it, which `Recorder.hear` fills in.
        agent_said: the agent's last words before it.
        confidence: of the transcription, 0 to 1; None where it was typed.
        recalled: the memories that recall gave the model for the turns before.
    """

    text: str
    item_id: str
    said_at: float
    generation: int | None = None
    agent_said: str = ""
    confidence: float | None = None
    recalled: tuple[str, ...] = ()

    @property
    def moment(self) -> datetime:
        """When it was said, UTC."""
        return datetime.fromtimestamp(self.said_at, timezone.utc)

    def as_memory(self, session_id: str) -> NewMemory:
        """Return the memory that it becomes in this session."""
        return NewMemory(
            category=categorise(self.text),
            key=f"{TURN_KEY}{int(self.said_at * 1000)}",
            value=self.text,
            created_at=self.moment,
            id=write_id(session_id, self.item_id, "turn"),
            session_id=session_id,
            next_free_key=True,
            generation=self.generation,
        )
