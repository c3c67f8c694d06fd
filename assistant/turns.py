"""The latest turns of the person, and what was recalled to answer them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from memory import Memory

_MOST_TURNS = 50


@dataclass
class Turn:
    """Something the person said in this session.

    Attributes:
        number: counts the session's turns, from 1.
        item_id: the conversation item's id.
        text: what they said.
        recalled: the memories that the answer could draw on, best first.
        is_looked_up: whether a tool gave these to the model, and not recall.
    """

    number: int
    item_id: str
    text: str
    recalled: list[Memory] = field(default_factory=list)
    is_looked_up: bool = False


class Turns:
    """Keeps the last turns of one session, for the tools that speak of "that"."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque(maxlen=_MOST_TURNS)
        self._count = 0
        self._found: tuple[str, Sequence[Memory]] = ("", ())
        self._erased = False

    @property
    def are_erased(self) -> bool:
        """Whether the turn that is being answered is from before the person was erased."""
        return self._erased

    @property
    def current(self) -> Turn:
        """The latest turn; an empty one, number 0, before the first."""
        return self._turns[-1] if self._turns else Turn(0, "", "")

    def hear(self, item_id: str, text: str) -> None:
        """Note a turn of the person."""
        self._count += 1
        self._erased = False
        turn = Turn(self._count, item_id, text)
        found_for, memories = self._found
        if found_for == text:
            turn.recalled += memories
        self._turns.append(turn)

    def note_recalled(self, text: str, memories: Sequence[Memory]) -> None:
        """Note what was found for a turn, which may be noted itself only after this."""
        self._found = (text, memories)
        if self.current.text == text and not self.current.is_looked_up:
            self.current.recalled = list(memories)

    def note_looked_up(self, memories: Sequence[Memory]) -> None:
        """Note what a tool told the model: this, and not what recall found, is "that" now."""
        self.current.recalled = list(memories)
        self.current.is_looked_up = True

    def before_current(self) -> list[Turn]:
        """Return the turns before the latest, the last first."""
        return list(self._turns)[-2::-1] if len(self._turns) > 1 else []

    def since(self, number: int) -> list[Turn]:
        """Return the turns after the one of this number, oldest first."""
        return [turn for turn in self._turns if turn.number > number]

    def forget_earlier(self) -> None:
        """Forget all turns but the latest."""
        while len(self._turns) > 1:
            self._turns.popleft()

    def erase(self) -> None:
        """Forget all turns, because the person was erased; the count goes on."""
        self._turns.clear()
        self._found = ("", ())
        self._erased = True
