"""The quality benchmark counts what it says it counts, and its dialogues are in order."""

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest

from benchmarks.dialogue import Dialogue, Expected, Turn, read_dialogues
from benchmarks.playing import played_by_fixed_answers, played_by_rules
from benchmarks.quality import DEFAULT
from benchmarks.scoring import Played, scored
from memory import Category, Memory
from memory.extraction.dates import find_day

NOON = datetime(2054, 3, 2, 12, tzinfo=timezone.utc)


def expected(key: str, value: str, day: date | None = None) -> Expected:
    return Expected("FACT", (key,), (value,), day, key)


def turn(text: str, *facts: Expected, keep: bool = True) -> Turn:
    return Turn(text, "", keep, facts, None, ())


def held(key: str, value: str, category: str = "FACT", **more) -> Memory:
    return Memory(key, "u", Category(category), key, value, NOON, **more)


def played(turns: list[Turn], kept: list[bool], *facts: Memory) -> Played:
    return Played(Dialogue("d", NOON, tuple(turns), ()), tuple(kept), facts)


def test_junk_is_what_should_not_have_been_kept_of_all_that_was():
    turns = [turn("a"), turn("b", keep=False), turn("c"), turn("d", keep=False)]
    score = scored([played(turns, [True, True, False, False], held("job", "nurse"))])
    assert (score.junk_turns, score.lost_turns, len(score.wrong)) == (["b"], ["c"], 1)
    assert score.rates()["junk_percent"] == pytest.approx(100 * 2 / 3)
    assert score.rates()["lost_turns_percent"] == 50


def test_a_fact_is_found_by_its_key_and_the_words_of_its_value():
    turns = [turn("a", expected("sister_name", "Ana"), expected("home_*", "Lyon"))]
    facts = [held("sister_name", "Anna"), held("home_city", "the city of Lyon", "GOAL")]
    score = scored([played(turns, [True], *facts)])
    assert (len(score.missed), len(score.wrong), score.expected_facts) == (1, 1, 2)
    assert score.rates()["category_percent"] == 0


def test_an_outdated_value_and_two_current_ones_are_contradictions():
    turns = [turn("a", expected("home", "Paris")), turn("b", expected("home", "Lyon"))]
    right = scored([played(turns, [True, True], held("home", "Lyon"))])
    assert (right.expected_facts, right.contradictions, right.wrong) == (1, [], [])
    outdated = scored([played(turns, [True, True], held("home", "Paris"))])
    assert (len(outdated.missed), len(outdated.contradictions)) == (1, 1)
    both = scored([played(turns, [True, True], held("home", "Lyon"), held("home", "Paris"))])
    assert len(both.contradictions) == 2


def test_a_plan_has_its_expiry_where_it_ends_with_its_day():
    found = find_day("tomorrow", date(2054, 3, 2))
    assert found is not None
    turns = [turn("a", expected("plan_exam", "exam", date(2054, 3, 3)))]
    right = held("plan_exam", "exam", expires_at=found.expires_at)
    assert scored([played(turns, [True], right)]).with_expiry == 1
    assert scored([played(turns, [True], held("plan_exam", "exam"))]).with_expiry == 0


def test_the_dialogues_have_two_hundred_turns_and_no_person_twice():
    dialogues = [each for file in DEFAULT for each in read_dialogues(file)]
    assert sum(len(each.turns) for each in dialogues) >= 200
    assert len({each.id for each in dialogues}) == len(dialogues)
    assert all(each.began_at > datetime.now(timezone.utc) for each in dialogues)


async def test_a_dialogue_is_played_by_rules_and_over_the_wire():
    dialogue = next(each for each in read_dialogues(DEFAULT[0]) if each.id == "sister-corrected")
    for play in (played_by_rules, played_by_fixed_answers):
        [result] = await play([dialogue])
        assert {m.key: m.value for m in result.facts}["sister_name"] == "Ana"
        assert not scored([result]).contradictions
