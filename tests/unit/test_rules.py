"""Facts by rules: which sentence tells what."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import Category, Memory
from memory.extraction import PatternError, RuleModel, ToldTurn
from memory.extraction.dates import find_day
from memory.extraction.keys import singular
from memory.extraction.table import compiled, read_table

MONDAY = datetime(2026, 3, 2, 18, tzinfo=timezone.utc)
RULES = RuleModel()


def told(text: str, agent_said: str = "") -> ToldTurn:
    return ToldTurn(text, "item", MONDAY, agent_said)


def facts(text: str, agent_said: str = "", known: dict[str, str] | None = None) -> dict[str, str]:
    current = [
        Memory(str(n), "u", Category.FACT, key, value, MONDAY)
        for n, (key, value) in enumerate((known or {}).items())
    ]
    return {f.key: f.value for f in RULES.facts([told(text, agent_said)], current).facts}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My name is Anna.", {"first_name": "Anna"}),
        ("um, hi, I'm Anna", {"first_name": "Anna"}),
        ("you can call me Priya", {"first_name": "Priya"}),
        ("I want you to remember that my son is Leo", {"son_name": "Leo"}),
        ("Can you remember that I hate cilantro?", {"liking_cilantro": "dislikes cilantro"}),
        ("Could you note that I moved to Porto", {"home_city": "Porto"}),
        ("I don't want you to remember that I live in Rome", {}),
        ("I'm 74 years old.", {"age": "74"}),
        ("I am eighty-one years of age", {"age": "81"}),
        ("I live in Lyon.", {"home_city": "Lyon"}),
        ("i live in new york", {"home_city": "New York"}),
        ("I just moved to San Francisco last week", {"home_city": "San Francisco"}),
        ("I grew up in Rotterdam", {"hometown": "Rotterdam"}),
        ("I work as a nurse at Edouard Herriot", {"job": "nurse", "employer": "Edouard Herriot"}),
        ("I'm a software developer.", {"job": "software developer"}),
        ("I'm retired now", {"job": "retired"}),
        ("I study computer science at Imperial", {"studies": "computer science"}),
        ("My sister is called Ana", {"sister_name": "Ana"}),
        ("my sister's name is Ana", {"sister_name": "Ana"}),
        ("My mom's name is Rosa", {"mother_name": "Rosa"}),
        ("my older brother Luis is a pilot", {
            "older_brother_name": "Luis", "older_brother_job": "pilot"}),
        ("I have a brother named Luis", {"brother_name": "Luis"}),
        ("I'm married to Chris", {"marital_status": "married", "partner_name": "Chris"}),
        ("we have two kids", {"children": "2"}),
        ("my dog is called Rex", {"dog_name": "Rex"}),
        ("My favorite color is blue.", {"favorite_color": "blue"}),
        ("my favourite colour is sky blue", {"favorite_colour": "sky blue"}),
        ("I love hiking and chess.", {
            "liking_hiking": "likes hiking", "liking_chess": "likes chess"}),
        ("I can't stand mushrooms", {"liking_mushroom": "dislikes mushrooms"}),
        ("I'm not a big fan of techno", {"liking_techno": "does not like techno"}),
        ("I'm allergic to peanuts", {"allergy_peanut": "allergic to peanuts"}),
        ("I'm vegan", {"diet": "vegan"}),
        ("I speak Spanish and a little French", {
            "language_spanish": "speaks Spanish", "language_french": "speaks French"}),
        ("My goal is to open my own shop", {"goal_open_shop": "to open my own shop"}),
        ("I'm Anna and I live in Lyon", {"first_name": "Anna", "home_city": "Lyon"}),
        ("Did you know I moved to Lyon?", {"home_city": "Lyon"}),
    ],
)  # fmt: skip
def test_a_plain_sentence_tells_its_fact(text, expected):
    assert facts(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Do I live in Lyon?",
        "If I lived in Paris I'd be a painter",
        "I wish I lived in Hawaii",
        "I used to live in Paris",
        "I used to be a teacher",
        "My mom thinks I'm a doctor",
        "In my story the hero's sister is called Coral",
        "Imagine my name is Nemo",
        "I'm tired",
        "I'm a big fan",
        "I'm a bit sad",
        "I'm Spanish",
        "I like it",
        "I love you",
        "I'm going to the kitchen",
        "My sister is here",
        "Tell me my name",
    ],
)
def test_what_is_not_so_is_no_fact(text):
    assert facts(text) == {}


def test_what_may_be_so_is_an_unsure_fact():
    [fact] = RULES.facts([told("maybe I prefer tea")], []).facts or [None]
    assert fact is None or fact.confidence < 0.6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I work at Siemens, no wait, Bosch.", {"employer": "Bosch"}),
        ("My sister is called Anna, I mean Ana", {"sister_name": "Ana"}),
        ("I don't live in Boston anymore, I moved to Denver.", {"home_city": "Denver"}),
        ("My name is Harold, but please call me Harry", {"first_name": "Harry"}),
    ],
)
def test_of_what_is_said_twice_in_a_turn_the_last_holds(text, expected):
    assert facts(text) == expected


@pytest.mark.parametrize(
    ("text", "agent_said"),
    [
        ("no, my sister is called Ana", "Your sister Anna."),
        ("No, she's called Ana.", "And your sister is called Anna?"),
        ("it's Ana, not Anna", "I know your sister Anna."),
        ("not Anna, Ana", ""),
        ("No, it's Ana.", "So your sister is Anna?"),
    ],
)
def test_a_correction_goes_where_the_wrong_value_was(text, agent_said):
    assert facts(text, agent_said, {"job": "nurse", "sister_name": "Anna"}) == {
        "sister_name": "Ana"
    }


def test_a_correction_of_how_the_agent_calls_them_is_a_correction_of_the_name():
    assert facts("it's Zoe, not Zoey", "Hi Zoey!") == {"first_name": "Zoe"}


@pytest.mark.parametrize(
    ("asked", "answer", "expected"),
    [
        ("Hello! What may I call you?", "tom", {"first_name": "Tom"}),
        ("Where do you live?", "Lyon.", {"home_city": "Lyon"}),
        ("How old are you?", "thirty-four", {"age": "34"}),
        ("How are you?", "tom", {}),
    ],
)
def test_a_short_answer_tells_what_was_asked(asked, answer, expected):
    assert facts(answer, asked) == expected


def test_she_is_the_last_of_the_persons_people_who_may_be_a_she():
    assert facts("My sister came with my dad. She's called Ana.") == {"sister_name": "Ana"}
    earlier = [told("I got a cat")]
    [fact] = RULES.facts([told("She's called Olive.")], [], earlier).facts
    assert (fact.key, fact.value) == ("cat_name", "Olive")


@pytest.mark.parametrize(
    ("text", "key", "last_day"),
    [
        ("I have an exam on Friday", "plan_exam", "2026-03-06"),
        ("I'm flying to Rome next week", "plan_rome", "2026-03-15"),
        ("we're visiting my parents this weekend", "plan_parents", "2026-03-08"),
        ("I have a dentist appointment tomorrow", "plan_dentist_appointment", "2026-03-03"),
        ("Our wedding is on the fifth of May", "plan_wedding", "2026-05-05"),
    ],
)
def test_a_plan_expires_when_its_day_is_over_everywhere(text, key, last_day):
    [fact] = RULES.facts([told(text)], []).facts
    assert (fact.category, fact.key) == (Category.PLAN, key)
    assert fact.expires_at is not None
    assert fact.expires_at.isoformat()[:13] == f"{_day_after(last_day)}T12"


def test_a_plan_that_is_moved_keeps_its_key():
    turns = [told("I have an exam on Friday"), told("my exam got moved to Thursday")]
    first, moved = RULES.facts(turns, []).facts
    assert first.key == moved.key == "plan_exam"
    assert (first.turn, moved.turn) == (0, 1)
    assert "2026-03-05" in moved.value


@pytest.mark.parametrize(
    ("text", "last_day"),
    [
        ("tomorrow", "2026-03-03"),
        ("the day after tomorrow", "2026-03-04"),
        ("on Monday", "2026-03-09"),
        ("next month", "2026-04-30"),
        ("in two weeks", "2026-03-16"),
        ("in January", "2027-01-31"),
        ("on March 1st", "2027-03-01"),
        ("on the 1st", "2026-04-01"),
        ("on Friday the seventeenth of April", "2026-04-17"),
    ],
)
def test_a_day_ahead_is_found(text, last_day):
    found = find_day(f"we meet {text}", MONDAY.date())
    assert found is not None
    assert (found.last.isoformat(), found.without) == (last_day, "we meet")


@pytest.mark.parametrize(
    "text", ["last Friday", "yesterday", "I may go", "on the 31st of June", ""]
)
def test_a_day_that_is_over_or_is_none_is_not_found(text):
    assert find_day(text, MONDAY.date()) is None


@given(st.text(max_size=300), st.dates(date(1970, 1, 1), date(9000, 1, 1)))
def test_days_are_looked_for_in_any_text_on_any_day(text, today):
    for said in (text, f"{text} on the 31st", f"next month {text}"):
        found = find_day(said, today)
        assert found is None or found.last >= today


def test_the_same_thing_has_the_same_key_however_it_is_said():
    assert singular("mushrooms") == singular("the mushroom") == "mushroom"


def test_a_summary_says_who_the_person_is_and_nothing_that_passes():
    turns = [told("I'm Anna"), told("I live in Lyon"), told("I have an exam on Friday")]
    assert RULES.facts(turns, []).summary == "Called Anna, lives in Lyon."


@given(st.text(), st.text())
def test_any_text_is_read(text, agent_said):
    for fact in RULES.facts([told(text, agent_said)], []).facts:
        assert fact.key
        assert fact.value


_WORDS = (
    "i I'm am my sister's called named Anna Ana not no it's a the and but love like hate live in "
    "Lyon is was have two dogs favorite color on Friday tomorrow years old 34 to , . ? ! work at "
    "as nurse moved really never she he name call me"
).split()


@given(st.lists(st.sampled_from(_WORDS), max_size=40), st.lists(st.sampled_from(_WORDS)))
def test_any_text_of_the_words_of_the_table_is_read(said, agent_said):
    RULES.facts([told(" ".join(said), " ".join(agent_said))], [])


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "piece",
    [
        "my sister ",
        "I love a and ",
        "aaaa ",
        "I am a ",
        "my my favorite ",
        "is not ",
        "x, ",
        "on the ",
    ],
)
def test_a_very_long_text_takes_no_time_to_speak_of(piece):
    text = piece * (200_000 // len(piece))
    RULES.facts([told(text, text)], [])
    RULES.facts([told(f"my sister {text}", text)], [])


def test_an_operators_own_table_is_tried_first(tmp_path: Path):
    own = tmp_path / "own.txt"
    own.write_text(
        "# our members\nFACT | member_number | my [member] number is {number} | {number} | 0.9\n"
        "FACT | first_name | my name is {name} | Mx {name} | 0.9\n"
        "ANSWER | which club are you in | my number is {answer}\n"
    )
    rules = RuleModel(own)
    told_facts = rules.facts([told("My member number is 42. My name is Anna.")], []).facts
    assert {f.key: f.value for f in told_facts} == {"member_number": "42", "first_name": "Mx Anna"}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("FACT | key | said | value", "a row has 5 cells, this one has 4"),
        ("FICTION | key | said | value | 0.5", "there is no category FICTION"),
        ("FACT | key | my {dragon} | value | 0.5", "there is no slot {dragon}"),
        ("FACT | key | my [name | value | 0.5", "the brackets do not fit"),
        ("FACT | key | my name] is | value | 0.5", "the brackets do not fit"),
        ("FACT | key | my {name} | {place} | 0.5", "is not in what is said"),
        ("FACT | key | my name | {0} | 0.5", "is not in what is said"),
        ("FACT | key | my {name} | {name} | 7", "is not between 0 and 1"),
        ("FACT | key | {name} {name} | {name} | 0.5", "redefinition"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, row, problem):
    own = tmp_path / "own.txt"
    own.write_text(f"\n{row}\n")
    with pytest.raises(PatternError, match=r"own\.txt, line 2: .*" + problem.replace("{", r"\{")):
        read_table(own)


def test_a_table_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(PatternError, match="cannot be read"):
        read_table(tmp_path / "nowhere.txt")


def test_what_may_be_missing_may_stand_anywhere():
    assert compiled("[oh] my [dear] cat [here]$").match("my cat")
    assert compiled("[oh] my [dear] cat [here]$").match("oh my dear cat here.")
    assert not compiled("[oh] my [dear] cat [here]$").match("my cat there")


def _day_after(day: str) -> str:
    return date.fromordinal(date.fromisoformat(day).toordinal() + 1).isoformat()
