"""What may be stored as a memory."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import Category, MemoryInputError, NewMemory
from memory.model import MAX_KEY_LENGTH, MAX_VALUE_LENGTH, check_key


@given(st.text())
def test_every_name_is_a_category_and_an_unknown_one_is_a_fact(name):
    known = {category.value for category in Category}
    expected = name.strip().upper() if name.strip().upper() in known else "FACT"
    assert expected == Category.of(name).value


@pytest.mark.parametrize("name", ["goal", " Goal ", "GOAL"])
def test_a_category_is_known_in_any_case(name):
    assert Category.GOAL is Category.of(name)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("", "x", "key is empty"),
        (" \n", "x", "key is empty"),
        ("k", "", "value is empty"),
        ("k", "   ", "value is empty"),
        ("k" * (MAX_KEY_LENGTH + 1), "x", "key is longer"),
        ("k", "x" * (MAX_VALUE_LENGTH + 1), "value is longer"),
        ("k", "x" * 1_000_000, "value is longer"),
        ("k\x00", "x", "key holds a NUL"),
        ("k", "x\x00y", "value holds a NUL"),
        ("k", "\ud800", "not valid Unicode"),
        (7, "x", "key is not text"),
        ("k", None, "value is not text"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_what_is_wrong(key, value, complaint):
    with pytest.raises(MemoryInputError, match=complaint):
        NewMemory(Category.FACT, key, value)


def test_a_complaint_never_repeats_what_was_said():
    with pytest.raises(MemoryInputError) as caught:
        NewMemory(Category.FACT, "secret", "my pin is 1234\x00")
    assert "1234" not in str(caught.value)


def test_the_longest_key_and_value_are_storable():
    NewMemory(Category.FACT, "k" * MAX_KEY_LENGTH, "v" * MAX_VALUE_LENGTH)
    assert check_key("k") == "k"


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(MemoryInputError, match="time zone"):
        NewMemory(Category.FACT, "k", "v", created_at=datetime(2026, 1, 1))  # noqa: DTZ001
    assert timezone.utc is NewMemory(Category.FACT, "k", "v").created_at.tzinfo


def test_only_a_numbered_key_can_move_on():
    with pytest.raises(MemoryInputError, match="number"):
        NewMemory(Category.FACT, "k", "v", next_free_key=True)


def test_the_id_of_a_write_is_a_uuid_in_its_usual_form():
    with pytest.raises(MemoryInputError, match="uuid"):
        NewMemory(Category.FACT, "k", "v", id="not-a-uuid")
    upper = "6F840C3A-5446-51BC-99B0-E0D11D172CEF"
    assert NewMemory(Category.FACT, "k", "v", id=upper).id == upper.lower()


def test_two_writes_have_two_ids():
    assert NewMemory(Category.FACT, "k", "v").id != NewMemory(Category.FACT, "k", "v").id
