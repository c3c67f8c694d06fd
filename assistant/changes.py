"""What this session has changed in a person's memory, so that it can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memory import Memory, MemoryManager, NewMemory
from memory.forgetting import withdraw_all

_MOST_STEPS = 200


@dataclass(frozen=True)
class Change:
    """One thing that was changed.

    Attributes:
        what: what taking it back does, in words that can be spoken.
        take_back: does it; a blocking call.
        write_ids: the writes that it made, where it stored something.
    """

    what: str
    take_back: Callable[[], None]
    write_ids: tuple[str, ...] = ()


class Changes:
    """The changes of one session, in steps: all that one turn of the person caused is one."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, list[Change]]] = []

    def note(self, item_id: str, change: Change) -> None:
        """Note a change that the turn of this conversation item caused."""
        for known, changes in self._steps:
            if known == item_id:
                changes.append(change)
                return
        self._steps.append((item_id, [change]))
        del self._steps[:-_MOST_STEPS]

    def of(self, item_id: str) -> list[Change]:
        """Return the changes that a turn caused, oldest first."""
        return [change for known, changes in self._steps if known == item_id for change in changes]

    def last(self) -> tuple[str, list[Change]] | None:
        """Return the latest step, as its turn's item and its changes; None where there is none."""
        return self._steps[-1] if self._steps else None

    def drop(self, item_id: str) -> None:
        """Drop the step of a turn: it is taken back, or must not be."""
        self._steps = [step for step in self._steps if step[0] != item_id]

    def drop_write(self, write_id: str) -> None:
        """Drop the change that made this write, because it is withdrawn."""
        for _, changes in self._steps:
            changes[:] = [each for each in changes if write_id not in each.write_ids]
        self._steps = [step for step in self._steps if step[1]]

    def forget(self) -> None:
        """Drop all steps."""
        self._steps.clear()


def stored(memory: MemoryManager, made: Memory, what: str) -> Change:
    """Return the change of having stored a memory; what was derived from it goes with it."""

    def take_back() -> None:
        withdraw_all(memory, [made.id])

    return Change(what, take_back, (made.id,))


def forgotten(memory: MemoryManager, values: Sequence[Memory], what: str) -> Change:
    """Return the change of having forgotten these values, current and superseded."""

    def take_back() -> None:
        memory.store_all(
            [_again(value) for value in sorted(values, key=lambda value: value.position)]
        )

    return Change(what, take_back)


def _again(value: Memory) -> NewMemory:
    return NewMemory(
        category=value.category,
        key=value.key,
        value=value.value,
        created_at=value.created_at,
        id=value.id,
        session_id=value.session_id,
        confidence=value.confidence,
        source_id=value.source_id,
        expires_at=value.expires_at,
    )
