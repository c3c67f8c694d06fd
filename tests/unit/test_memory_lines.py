"""Memories as lines of JSON: the good ones are read, the bad ones are numbered."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import Category, Memory
from people.command.lines import line_of, read_lines

ALICE = "edabafbb-61ad-51d6-9fd8-e976c892a731"
BOB = "1bbc064c-d74a-56e6-a2b9-009139975e85"
NOW = datetime(2026, 5, 8, 12, tzinfo=timezone.utc)
GOOD = {"category": "FACT", "key": "color", "value": "blue"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=8,
)
fields = st.sampled_from(
    "category key value created_at session_id id confidence source_id expires_at x".split()
)


def read(*records: object, user: str = ALICE):
    lines = [
        record if isinstance(record, bytes) else json.dumps(record).encode() for record in records
    ]
    return read_lines(lines, user, NOW)


def test_a_line_is_a_memory():
    [memory] = read(
        {**GOOD, "created_at": "2026-05-01T10:00:00.5Z", "session_id": "s-1", "confidence": 1}
    ).memories
    assert (memory.category, memory.key, memory.value) == (Category.FACT, "color", "blue")
    assert memory.created_at == datetime(2026, 5, 1, 10, 0, 0, 500_000, timezone.utc)
    assert (memory.session_id, memory.confidence, memory.generation) == ("s-1", 1, None)


def test_lines_without_a_time_are_told_now_one_after_the_other():
    times = [memory.created_at for memory in read(GOOD, {**GOOD, "value": "red"}).memories]
    assert times == [NOW + timedelta(microseconds=1), NOW + timedelta(microseconds=2)]


def test_blank_lines_line_ends_and_a_byte_order_mark_are_no_memories():
    good = json.dumps(GOOD).encode()
    found = read(b"\xef\xbb\xbf" + good + b"\r\n", b"\n", b"  \r\n", good)
    assert len(found.memories) == 2
    assert found.bad == []


def test_the_same_file_has_the_same_ids_and_a_repeated_line_is_another_write():
    file = [GOOD, {**GOOD, "value": "red"}, GOOD]
    ids = [memory.id for memory in read(*file).memories]
    assert ids == [memory.id for memory in read(*file).memories]
    assert len(set(ids)) == 3
    assert not set(ids) & {memory.id for memory in read(*file, user=BOB).memories}


def test_an_id_of_its_own_is_kept():
    assert read({**GOOD, "id": BOB}).memories[0].id == BOB


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nope", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff\xfe", "it is not UTF-8"),
        ([GOOD], "it is not a JSON object"),
        ({"category": "FACT", "key": "k"}, "value is missing"),
        ({**GOOD, "valeu": "x"}, 'unknown field "valeu"'),
        ({**GOOD, "key": ""}, "the key is empty; say something to remember"),
        ({**GOOD, "key": 7}, "the key is not text"),
        ({**GOOD, "category": None}, "the category is not text; use FACT, GOAL, INTEREST, ..."),
        ({**GOOD, "value": "x" * 10_001}, "the value is longer than 10000 characters; shorten it"),
        ({**GOOD, "value": "a\x00b"}, "the value holds a NUL character; remove it"),
        ({**GOOD, "session_id": 7}, "the session_id is not text"),
        ({**GOOD, "session_id": "a\x00"}, "the session_id holds a NUL character; remove it"),
        ({**GOOD, "confidence": 2}, "the confidence must be between 0 and 1"),
        ({**GOOD, "confidence": True}, "the confidence must be between 0 and 1"),
        ({**GOOD, "id": "7"}, "the id of a write must be a uuid"),
    ],
)
def test_a_bad_line_is_told_by_its_number_and_the_others_are_read(line, problem):
    found = read(GOOD, line, GOOD)
    assert found.bad == [(2, problem)]
    assert len(found.memories) == 2


@pytest.mark.parametrize(
    ("time", "hour"),
    [
        ("2026-05-01T10:00:00", 10),
        ("2026-05-01 10:00", 10),
        ("2026-05-01", 0),
        ("2026-05-01T10:00:00+02:00", 8),
    ],
)
@pytest.mark.parametrize("name", ["created_at", "expires_at"])
def test_a_time_without_a_zone_is_in_utc_and_a_date_is_its_midnight(name, time, hour):
    [memory] = read({**GOOD, name: time}).memories
    assert getattr(memory, name) == datetime(2026, 5, 1, hour, tzinfo=timezone.utc)
    assert getattr(memory, name).tzinfo is timezone.utc


@pytest.mark.parametrize(
    "time",
    [
        "10:00:00",
        "2026-05",
        "2026-05-01\n",
        "2026-02-30",
        "20260501",
        "1746093600",
        1746093600,
        "soon",
        "0001-01-01T00:00+14:00",
    ],
)
@pytest.mark.parametrize("name", ["created_at", "expires_at"])
def test_a_time_needs_a_date(name, time):
    [(number, problem)] = read({**GOOD, name: time}).bad
    assert number == 1
    assert problem.startswith(f"{name} must be an ISO 8601 time, such as ")


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_survived_and_each_line_is_read_bad_or_blank(lines):
    found = read_lines(lines, ALICE, NOW)
    assert len(found.memories) + len(found.bad) <= len(lines)


@given(st.lists(st.dictionaries(fields, json_values), max_size=4))
def test_any_json_objects_are_survived(records):
    found = read(*({**GOOD, **record} for record in records))
    assert len(found.memories) + len(found.bad) == len(records)


text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=80
).filter(str.strip)


@given(
    key=text,
    value=text,
    category=st.sampled_from(Category),
    session_id=st.none() | text,
    told_at=st.integers(-(10**9), 10**9).map(lambda seconds: NOW + timedelta(seconds=seconds)),
)
def test_what_is_written_as_a_line_is_read_as_it_was(key, value, category, session_id, told_at):
    memory = Memory(BOB, ALICE, category, key, value, told_at, session_id=session_id)
    [found] = read(line_of(memory)).memories
    assert (found.category, found.key, found.value) == (category, key, value)
    assert (found.created_at, found.session_id) == (told_at, session_id)
