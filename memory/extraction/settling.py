"""From what a fact model answered to what is stored: checked, under the keys that are in use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from memory.extraction.fact import Fact, ToldTurn
from memory.model import MAX_KEY_LENGTH, MAX_VALUE_LENGTH, TURN_KEY, Category, Memory, NewMemory
from memory.recorder import write_id

_KEY = re.compile(r"[^\W\d_A-Z][^\WA-Z]*")
_LONGEST_VALUE = 500


def settled(
    facts: Sequence[Fact],
    turns: Sequence[ToldTurn],
    known: Sequence[Memory],
    *,
    session_id: str,
    least_confidence: float,
) -> list[NewMemory]:
    """Return the memories to store.

    A fact is left out where it is unsure, has no usable key or value, or belongs to no turn.
    One whose key is current in other categories goes there, so that it supersedes and none of
    them contradicts it. Of the facts of one turn and key the last one is kept.

    Args:
        facts: what the model gave.
        turns: what it read; each fact takes its time, source and generation from its turn.
        known: the facts that are current.
        session_id: makes the ids of this session's writes its own.
        least_confidence: below it a fact is left out.
    """
    usable = [
        replace(fact, category=category)
        for fact in facts
        if fact.confidence >= least_confidence and _is_usable(fact, len(turns))
        for category in _categories(fact, known)
    ]
    last = {(fact.turn, fact.category, fact.key): fact for fact in usable}
    memories: list[NewMemory] = []
    for number, turn in enumerate(turns):
        of_turn = [fact for fact in last.values() if fact.turn == number]
        for ordinal, fact in enumerate(of_turn):
            made_by = write_id(session_id, turn.item_id, "fact", ordinal)
            memories.append(_memory(fact, turn, made_by, session_id))
    return memories


def _memory(fact: Fact, turn: ToldTurn, made_by: str, session_id: str) -> NewMemory:
    return NewMemory(
        category=fact.category,
        key=fact.key,
        value=fact.value.strip(),
        created_at=turn.said_at,
        id=made_by,
        session_id=session_id,
        generation=turn.generation,
        confidence=fact.confidence,
        source_id=turn.memory_id,
        expires_at=fact.expires_at,
    )


def _is_usable(fact: Fact, turns: int) -> bool:
    return (
        0 <= fact.turn < turns
        and fact.confidence <= 1
        and bool(_KEY.fullmatch(fact.key))
        and len(fact.key) <= MAX_KEY_LENGTH
        and not fact.key.startswith(TURN_KEY)
        and bool(fact.value.strip())
        and len(fact.value) <= min(_LONGEST_VALUE, MAX_VALUE_LENGTH)
        and fact.value.isprintable()
    )


def _categories(fact: Fact, known: Sequence[Memory]) -> list[Category]:
    in_use = {memory.category for memory in known if memory.key == fact.key}
    return sorted(in_use) or [fact.category]
