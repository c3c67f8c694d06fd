"""Compares what is remembered after a dialogue with what should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.dialogue import Dialogue, Expected
from memory import Memory


@dataclass(frozen=True)
class Played:
    """What was remembered of a dialogue.

    Attributes:
        dialogue: what was said.
        kept: for each turn, whether it became a memory.
        facts: the facts that are current in the end.
    """

    dialogue: Dialogue
    kept: tuple[bool, ...]
    facts: tuple[Memory, ...]


@dataclass
class Score:
    """Counts over several dialogues, and what went wrong, each."""

    turns: int = 0
    kept_turns: int = 0
    worth_keeping: int = 0
    kept_facts: int = 0
    expected_facts: int = 0
    in_category: int = 0
    passing_facts: int = 0
    with_expiry: int = 0
    junk_turns: list[str] = field(default_factory=list)
    lost_turns: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """All memories that were kept."""
        return self.kept_turns + self.kept_facts

    def rates(self) -> dict[str, float]:
        """Return the shares, in percent."""
        found = self.expected_facts - len(self.missed)
        return {
            "junk_percent": _percent(len(self.junk_turns) + len(self.wrong), self.kept),
            "lost_turns_percent": _percent(len(self.lost_turns), self.worth_keeping),
            "missed_percent": _percent(len(self.missed), self.expected_facts),
            "wrong_percent": _percent(len(self.wrong), self.kept_facts),
            "category_percent": _percent(self.in_category, found),
            "expiry_percent": _percent(self.with_expiry, self.passing_facts),
        }


def scored(played: Sequence[Played]) -> Score:
    """Return the score over all dialogues."""
    score = Score()
    for each in played:
        _score_turns(score, each)
        _score_facts(score, each)
    return score


def _score_turns(score: Score, played: Played) -> None:
    for turn, kept in zip(played.dialogue.turns, played.kept, strict=True):
        score.turns += 1
        score.kept_turns += kept
        score.worth_keeping += turn.keep
        if kept and not turn.keep:
            score.junk_turns.append(turn.text)
        if turn.keep and not kept:
            score.lost_turns.append(turn.text)


def _score_facts(score: Score, played: Played) -> None:
    told = [fact for turn in played.dialogue.turns for fact in turn.facts]
    current = {fact.thing: fact for fact in told}
    score.kept_facts += len(played.facts)
    score.expected_facts += len(current)
    for expected in current.values():
        _score_one(score, expected, played)
    outdated = [fact for fact in told if current[fact.thing] is not fact]
    for memory in played.facts:
        if any(_is(fact, memory) for fact in (*current.values(), *played.dialogue.also)):
            continue
        score.wrong.append(f"{played.dialogue.id}: {_shown(memory)}")
        if any(_is(fact, memory) for fact in outdated):
            score.contradictions.append(f"{played.dialogue.id}: outdated {_shown(memory)}")


def _score_one(score: Score, expected: Expected, played: Played) -> None:
    found = [memory for memory in played.facts if _is(expected, memory)]
    if not found:
        wanted = f"{expected.category} {expected.keys[0]}: {expected.values[0]}"
        score.missed.append(f"{played.dialogue.id}: {wanted}")
        return
    score.in_category += found[0].category.value == expected.category
    if expected.last_day is not None:
        score.passing_facts += 1
        score.with_expiry += any(expected.expires_with(memory) for memory in found)
    if any("*" in key for key in expected.keys):
        return
    others = [
        fact
        for turn in played.dialogue.turns
        for fact in turn.facts
        if fact.thing != expected.thing
    ]
    values = {
        memory.value
        for memory in played.facts
        if expected.has_key(memory) and not any(_is(other, memory) for other in others)
    }
    if len(values) > 1:
        score.contradictions.append(f"{played.dialogue.id}: {sorted(values)}")


def _is(expected: Expected, memory: Memory) -> bool:
    return expected.has_key(memory) and expected.has_value(memory)


def _shown(memory: Memory) -> str:
    return f"{memory.category.value} {memory.key}: {memory.value}"


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
