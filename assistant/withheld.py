"""What of a session no other may hear of: what was said in a pause, or is taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from livekit.agents.llm import ChatItem, ChatMessage

from memory import Memory
from memory.recorder import Recorder


class Withheld:
    """Knows which items of one session end with it.

    Args:
        recorder: knows which turns are not kept: those of a pause, and requests.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._answered: dict[str, str] = {}
        self._forgotten: set[str] = set()

    def note_answer(self, item_id: str, turn: str) -> None:
        """Note which turn of the person, by its item's id, the agent answered with an item."""
        self._answered[item_id] = turn

    def forget(self, memories: Sequence[Memory]) -> None:
        """Withhold the turns among the memories that are forgotten."""
        self._forgotten.update(memory.id for memory in memories)

    def without(self, items: Iterable[ChatItem]) -> list[ChatItem]:
        """Return the items that may be kept, oldest first.

        An answer goes with the turn that it answers and with the one that it comes after: it
        may say again what was said in either.
        """
        kept: list[ChatItem] = []
        is_withheld = False
        for item in items:
            if isinstance(item, ChatMessage) and item.role == "user":
                is_withheld = self._holds(item.id)
            if not is_withheld and not self._holds(self._answered.get(item.id)):
                kept.append(item)
        return kept

    def _holds(self, turn: str | None) -> bool:
        if turn is None:
            return False
        turn_id = self._recorder.turn_id(turn)
        return turn_id in self._forgotten or self._recorder.is_taken_back(turn_id)
