"""A question is read for the words that carry meaning, and for the time it is about."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import MemoryInputError
from memory.periods import Period, periods_in
from memory.query import read_question, search_words
from memory.words import forms_of, stem, words_of

NOW = datetime(2026, 5, 20, 12, tzinfo=timezone.utc)  # a Wednesday


def terms(text: str) -> list[str]:
    return [term.word for term in read_question(text, NOW).terms]


def test_words_that_carry_meaning_are_terms_and_each_stem_is_one():
    assert terms("What did I tell you about my sister's paintings? I painted one!") == [
        "sister",
        "paintings",
        "one",
    ]


@pytest.mark.parametrize("text", ["", "?!", "What did you say?", "it's, don't, I'd", "\u200d"])
def test_a_question_without_such_words_has_no_terms(text):
    assert terms(text) == []


def test_words_that_frame_a_question_weigh_less_than_what_it_is_about():
    kind, dog = read_question("What kind of dog?", NOW).terms
    assert kind.weight < dog.weight == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Who is Will?", ["will"]),
        ("What did Will do last May?", ["will", "last", "may"]),
        ("Will's dog", ["will", "dog"]),
        ("Will you sing?", ["sing"]),
        ("What Will I Do", []),
        ("who will sing", ["sing"]),
    ],
)
def test_a_name_that_is_also_a_verb_is_a_term_by_its_capital_letter(text, expected):
    assert terms(text) == expected


def test_irregular_forms_have_one_stem_and_are_all_searched_for():
    assert stem("bought") == stem("buying") == stem("buy")
    assert set(forms_of("buying")) == {"buying", "buy", "bought"}
    assert forms_of("walked") == ("walked",)
    assert stem("children") == stem("child")


def test_accents_make_no_other_stem_and_other_scripts_are_words():
    assert stem("caf\u00e9") == stem("cafe")
    assert words_of("\u0435\u0434\u0430, Stra\u00dfe_1") == [
        "\u0435\u0434\u0430",
        "stra\u00dfe",
        "1",
    ]


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("When did I move?", True),
        ("What year was that?", True),
        ("how long ago was it", True),
        ("Where was I?", False),
        ("What did I say whenever I called?", False),
    ],
)
def test_a_question_for_a_time_is_known_by_its_words(text, asks):
    assert read_question(text, NOW).asks_when == asks


def days(first: tuple[int, int, int], last: tuple[int, int, int]) -> tuple[date, date]:
    return date(*first), date(*last)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("last May", (2026, 5, 1), (2026, 5, 31)),
        ("last June", (2025, 6, 1), (2025, 6, 30)),
        ("in March 2023", (2023, 3, 1), (2023, 3, 31)),
        ("in 2023?", (2023, 1, 1), (2023, 12, 31)),
        ("yesterday", (2026, 5, 19), (2026, 5, 19)),
        ("this morning", (2026, 5, 20), (2026, 5, 20)),
        ("two weeks ago", (2026, 5, 3), (2026, 5, 9)),
        ("a couple of days ago", (2026, 5, 18), (2026, 5, 18)),
        ("3 months ago", (2026, 2, 4), (2026, 3, 6)),
        ("last month", (2026, 4, 1), (2026, 4, 30)),
        ("last year", (2025, 1, 1), (2025, 12, 31)),
        ("last week", (2026, 5, 6), (2026, 5, 20)),
        ("this year", (2026, 1, 1), (2026, 5, 20)),
        ("on Monday", (2026, 5, 18), (2026, 5, 20)),
        ("on May 3, 2023", (2023, 5, 3), (2023, 5, 10)),
        ("on the 3rd of May 2023", (2023, 5, 3), (2023, 5, 10)),
        ("on 2023-05-03", (2023, 5, 3), (2023, 5, 10)),
    ],
)
def test_a_time_that_is_named_is_a_period(text, first, last):
    [period] = periods_in(f"What did I do {text}", NOW)
    assert (period.first, period.last) == days(first, last)


def test_a_month_without_a_year_is_that_month_of_any_year():
    [period] = periods_in("What did I do in August?", NOW)
    assert period.holds(NOW.replace(year=2020, month=8))
    assert period.holds(NOW.replace(month=8))
    assert not period.holds(NOW.replace(month=7))


@pytest.mark.parametrize(
    "text", ["You may go", "May I ask?", "I march daily", "a date", "twenty years", "at 2023 Main"]
)
def test_what_only_looks_like_a_time_is_none(text):
    found = periods_in(text, NOW)
    assert [p for p in found if p.weight == 1.0] == []


@pytest.mark.parametrize(
    ("text", "helping"),
    [
        ("What did I do last May?", ["may"]),
        ("Where was I in May?", ["may"]),
        ("What did I tell you in August 2026?", ["august", "2026"]),
        ("What did we talk about yesterday?", []),
        ("Tell me what happened two weeks ago", []),
        ("How did I feel on Monday?", ["feel", "monday"]),
        ("2023-05-03", ["2023"]),
    ],
)
def test_a_question_of_nothing_but_a_time_is_known_and_what_helps_to_find_it(text, helping):
    beside = read_question(text, NOW).beside_the_time
    assert beside is not None
    assert [term.word for term in beside] == helping


@pytest.mark.parametrize(
    "text", ["Where did I travel last May?", "What is the weather today?", "What did I do?", ""]
)
def test_a_question_about_something_is_none_of_a_time_alone(text):
    assert read_question(text, NOW).beside_the_time is None


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("What did I do today?", True),
        ("tell me about yesterday", True),
        ("And last May?", True),
        ("How are you today?", False),
        ("I did it yesterday.", False),
        ("In May.", False),
    ],
)
def test_what_asks_for_something_told_is_known_from_what_is_said(text, asks):
    assert read_question(text, NOW).asks is asks


def test_the_last_day_of_all_is_a_period_too():
    [period] = periods_in("9999-12-31", NOW)
    assert period.first == period.last == period.day == date.max


def test_a_year_narrows_down_less_than_a_day():
    [year], [day] = periods_in("in 2025", NOW), periods_in("yesterday", NOW)
    assert year.weight < day.weight


@given(st.text(max_size=300), st.datetimes(timezones=st.just(timezone.utc)))
def test_any_text_can_be_read_and_is_read_alike_each_time(text, now):
    question = read_question(text, now)
    assert question == read_question(text, now)
    assert len(question.terms) <= 32
    assert len({term.stem for term in question.terms}) == len(question.terms)


_pieces = st.sampled_from(
    """
    last in may May 2023 3rd 31 february 999 years ago a of couple monday yesterday 2023-99-99
    0001-01-01 week on june 9999
    """.split()
)


@given(
    st.lists(_pieces, max_size=12).map(" ".join),
    st.timedeltas(timedelta(days=-15_000), timedelta(days=300_000)).map(lambda age: NOW + age),
)
def test_dates_in_any_order_make_periods_that_begin_before_they_end(text, now):
    for period in periods_in(text, now):
        assert isinstance(period, Period)
        if period.first is not None and period.last is not None:
            assert period.first <= period.last
        assert period.holds(now) in (True, False)
        assert period.holds(now - timedelta(days=300)) in (True, False)


def test_of_a_speech_the_beginning_is_read():
    text = " ".join(f"word{n}" for n in range(1_000))
    assert search_words(text) == [f"word{n}" for n in range(32)]
    assert len(read_question("x" * 100_000, NOW).terms) == 1


def test_what_is_not_text_is_refused():
    with pytest.raises(MemoryInputError, match="not text"):
        read_question(None, NOW)  # type: ignore[arg-type]
