"""What a question is about ranks first: by rare words, by what stands beside, by who and when."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.candidates import NOTHING, Candidate, Candidates
from memory.moments import microseconds, moment_of
from memory.query import read_question
from memory.ranking import Ranked, rank

NOW = datetime(2026, 5, 20, 12, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(days=3_000)


def told(
    value: str | None,
    *,
    told_at: datetime = LONG_AGO,
    session: str | None = None,
    place: int | None = None,
    key: str = "user_input_1",
    asks: bool | None = None,
    id: str | None = None,  # noqa: A002 - the candidate's own name for it
) -> Candidate:
    asking = "?" in (value or "") if asks is None else asks
    hit_key = None if value is None else key
    made_id = id or str(uuid.uuid4())
    return Candidate(made_id, microseconds(told_at), session, place, asking, hit_key, value)


def ranked(
    text: str, found: Sequence[Candidate], *frequencies: int, total: int = 1_000
) -> list[Ranked]:
    question = read_question(text, NOW)
    counts = [*frequencies, *[10] * len(question.terms)][: len(question.terms)]
    return rank(question, Candidates(total, counts, found, lambda _: []), NOW)


def order(text: str, found: Sequence[Candidate], *frequencies: int) -> list[str]:
    values = {each.id: each.value or "(neighbour)" for each in found}
    return [values[each.id] for each in ranked(text, found, *frequencies)]


def test_the_rarer_word_counts_more():
    found = [told("I like tea"), told("I like sailing")]
    assert order("tea or sailing", found, 300, 3) == ["I like sailing", "I like tea"]


def test_more_of_the_question_counts_more():
    found = [told("my red bicycle"), told("my red car"), told("my old bicycle was red and fast")]
    assert order("red bicycle", found)[-1] == "my red car"


def test_words_are_compared_by_their_stem():
    found = [told("we went sailing"), told("we sang")]
    assert order("who sails", found, 5) == ["we went sailing"]


def test_a_key_says_what_a_memory_is_about_and_that_of_a_turn_says_nothing():
    named, turn = told("blue", key="favorite_color"), told("my input", key="user_input_12")
    assert order("favorite color", [named]) == ["blue"]
    assert order("user", [told("hello", key="user_input_12")]) == []
    assert order("input", [turn]) == ["my input"]


def test_the_answer_ranks_high_by_the_question_before_it():
    asked = told("Which instrument do you play?", session="s", place=1)
    answer = told(None, session="s", place=2)
    elsewhere = told(None, session="t", place=2)
    before = told(None, session="s", place=0)
    ids = [each.id for each in ranked("instrument", [elsewhere, before, answer, asked])]
    assert set(ids) == {asked.id, answer.id, before.id}
    assert ids.index(answer.id) < ids.index(before.id)


def test_nearer_neighbours_of_a_hit_rank_higher():
    near, far = told(None, session="s", place=2), told(None, session="s", place=3)
    hit = told("my cello", session="s", place=1)
    assert [each.id for each in ranked("cello", [far, near, hit])] == [hit.id, near.id, far.id]


def test_what_somebody_said_ranks_before_what_was_said_to_them():
    found = [told("Bob: Alice, the trip was fun"), told("Alice: Bob, the trip was fun")]
    assert order("What did Alice say about the trip?", found, 500)[0].startswith("Alice: ")


def test_what_was_told_in_the_time_that_is_named_ranks_first():
    then = datetime(2025, 8, 3, tzinfo=timezone.utc)
    found = [told("a trip to Rome", told_at=then.replace(month=2)), told("a trip", told_at=then)]
    assert order("Which trip to Rome did I take?", found)[0] == "a trip to Rome"
    assert order("Which trip did I take last August?", found)[0] == "a trip"


def test_when_is_answered_by_what_names_a_time():
    found = [told("We saw a lovely concert"), told("We saw a concert yesterday")]
    assert order("When was the concert?", found)[0] == "We saw a concert yesterday"


def test_statements_rank_before_questions():
    found = [told("Do you like my cello?"), told("How I like my cello!")]
    assert order("cello", found)[0] == "How I like my cello!"


def test_of_two_alike_the_newer_ranks_first():
    found = [told("my cat", told_at=NOW - timedelta(days=9)), told("my cat", told_at=NOW)]
    assert [each.id for each in ranked("cat", found)] == [found[1].id, found[0].id]


def test_coverage_tells_the_relevant_from_what_shares_a_word():
    found = [told("I play the cello in an orchestra"), told("the play was long")]
    relevant, other = ranked("Do I play cello in the orchestra?", found, 50, 2, 2)
    assert relevant.coverage > 0.9
    assert other.coverage < 0.33


def test_a_word_that_nobody_told_lowers_coverage():
    [known] = ranked("what about penguins in Lisbon", [told("I was in Lisbon")], 0, 9)
    assert 0 < known.coverage < 0.6


def test_nothing_found_ranks_nothing():
    assert rank(read_question("cello", NOW), NOTHING._replace(frequencies=[0]), NOW) == []


_words = st.sampled_from("cat dog red green house Alice: Bob: yesterday ? may 2023 tree".split())
_texts = st.one_of(st.text(max_size=60), st.lists(_words, max_size=12).map(" ".join))
_candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        st.integers(0, 4_000_000_000_000_000),
        st.none() | st.sampled_from(["s", "t"]),
        st.none() | st.integers(1, 6),
        st.booleans(),
        st.just("user_input_1") | _texts,
        st.none() | _texts,
    ),
    max_size=30,
    unique_by=lambda candidate: candidate.id,
)


@given(_texts, _candidates, st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_any_candidates_are_ranked_alike_in_whatever_order_they_come(text, found, total, shuffled):
    question = read_question(text, NOW)
    counts = [min(total, 3)] * len(question.terms)

    def ranking(candidates: list[Candidate]) -> list[tuple[str, float, float]]:
        ranks = rank(question, Candidates(total, counts, candidates, lambda _: []), NOW)
        return [(each.id, round(each.score, 6), round(each.coverage, 6)) for each in ranks]

    first = ranking(found)
    assert {each[0] for each in first} <= {each.id for each in found}
    assert all(score > 0 and 0 <= coverage <= 1 for _, score, coverage in first)
    assert first == ranking(found)
    places = [(each.session_id, each.place) for each in found if each.place is not None]
    if len(set(places)) == len(places):  # as the stores have it
        again = list(found)
        shuffled.shuffle(again)
        assert sorted(first) == sorted(ranking(again))


@pytest.mark.parametrize("count", [0, 1, 1_779_278_400_123_456])
def test_moments_are_kept_to_the_microsecond(count):
    assert microseconds(moment_of(count)) == count
