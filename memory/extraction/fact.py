"""What extraction takes and gives: turns in, facts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from memory.model import Category, Memory


class ExtractionError(Exception):
    """Base of what goes wrong between turns and facts."""


class FactModelError(ExtractionError):
    """A fact model gave nothing that can be used; another one must read these turns."""


@dataclass(frozen=True)
class ToldTurn:
    """A turn that the gate kept.

    Attributes:
        text: what the person said.
        item_id: the conversation item's id, unique within its session.
        said_at: when, with a time zone.
        agent_said: the agent's last words before it.
        memory_id: the memory that holds the turn; None where it is not stored itself.
        generation: the person's when they said it.
    """

    text: str
    item_id: str
    said_at: datetime
    agent_said: str = ""
    memory_id: str | None = None
    generation: int | None = None


@dataclass(frozen=True)
class Fact:
    """Something that is true of the person, as far as we can tell.

    Attributes:
        turn: the place, from 0, of the turn that told it among the turns that were read.
        category: what it is about.
        key: its name, snake_case, the same for the same thing at all times: ``sister_name``.
        value: what is so now, in a few words.
        confidence: how sure we are, 0 to 1.
        expires_at: when it stops to be true; None where it lasts.
    """

    turn: int
    category: Category
    key: str
    value: str
    confidence: float
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Extraction:
    """What a fact model made of some turns.

    Attributes:
        facts: in the order told; a later one of the same key is the one that holds.
        summary: a short text about the person, or None where the model wrote none.
    """

    facts: tuple[Fact, ...] = ()
    summary: str | None = None


class FactModel(Protocol):
    """Turns what was said into facts."""

    async def read(
        self,
        turns: Sequence[ToldTurn],
        known: Sequence[Memory],
        earlier: Sequence[ToldTurn] = (),
    ) -> Extraction:
        """Return the facts that the turns tell.

        Args:
            turns: what was said, in order.
            known: the facts that are current, whose keys are to be used again for the same
                things: so a correction supersedes, and history stays in one place.
            earlier: turns that were read before, for what "she" or "there" means.

        Raises:
            FactModelError: there is no usable answer.
        """
        ...
