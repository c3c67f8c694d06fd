"""What a turn is about, and whether it is worth keeping."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import Category, categorise
from memory.gate import Heard, Verdict, judge
from memory.query import search_words


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("I love reading books", "INTEREST"),
        ("I\u2019m interested in astronomy", "INTEREST"),
        ("My favorite color is blue", "PREFERENCE"),
        ("I prefer tea over coffee", "PREFERENCE"),
        ("I don't like mushrooms", "PREFERENCE"),
        ("I want to learn Spanish this year", "GOAL"),
        ("My goal is to run a marathon", "GOAL"),
        ("I'm going to Rome next week", "PLAN"),
        ("I will call her tomorrow", "PLAN"),
        ("My sister is called Ana", "RELATIONSHIP"),
        ("I am married", "RELATIONSHIP"),
        ("I think the new law is a mistake", "OPINION"),
        ("I visited Japan in spring", "EXPERIENCE"),
        ("Last year was hard", "EXPERIENCE"),
        ("Our campaign continues on Friday", "CAMPAIGNS"),
        ("The lore of the northern realm", "LORE"),
        ("My presentation needs two more slides", "PRESENTATION"),
        ("I am a nurse", "FACT"),
        ("", "FACT"),
    ],
)
def test_a_sentence_belongs_to_the_category_its_words_say(text, category):
    assert Category(category) is categorise(text)


@given(st.text())
def test_any_text_has_a_category(text):
    assert categorise(text) in Category


@pytest.mark.parametrize(
    "text",
    ["uh", "yes okay", "Um, well...", "", "  ", "?!", "Thank you very much!", "mhm", "\U0001f600"],
)
def test_the_sound_of_talking_is_not_kept(text):
    assert judge(Heard(text)) is Verdict.FILLER


@pytest.mark.parametrize(
    "text",
    [
        "I am a nurse",
        "yes, blue",
        "Ana",
        "no sugar please",
        "\u0623\u062d\u0628 \u0627\u0644\u0642\u0631\u0627\u0621\u0629",
        "42",
    ],
)
def test_what_says_something_is_kept(text):
    assert judge(Heard(text)) is Verdict.KEPT


def test_a_question_is_searched_by_the_words_that_carry_meaning():
    assert search_words("What is my favorite_color? What IS it, please") == ["favorite", "color"]


@given(st.text(max_size=2000))
def test_search_words_are_words_each_once_and_not_too_many(text):
    words = search_words(text)
    assert len(words) == len(set(words)) <= 32
    assert all(word.isalnum() or any(c.isalnum() for c in word) or word for word in words)
