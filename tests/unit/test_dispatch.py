"""Dispatch metadata: what is usable is used, what is not costs nobody the call."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.dispatch import DispatchMetadata

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=8,
)


def test_no_metadata_gives_the_defaults():
    assert DispatchMetadata() == DispatchMetadata.parse("") == DispatchMetadata.parse("  ")


def test_everything_it_can_say_is_read():
    text = json.dumps(
        {
            "sessionId": "session_1_ab",
            "identity": " alice ",
            "voiceId": "nova",
            "openingLine": "Hello Alice!",
            "language": "pt-BR",
            "timeZone": "Europe/Lisbon",
            "remember": False,
            "somethingNew": 1,
        }
    )
    assert DispatchMetadata.parse(text) == DispatchMetadata(
        session_id="session_1_ab",
        identity=" alice ",
        voice_id="nova",
        opening_line="Hello Alice!",
        language="pt-BR",
        time_zone="Europe/Lisbon",
        remember=False,
    )


def test_snake_case_is_read_as_well():
    read = DispatchMetadata.parse('{"opening_line": "Hi", "participant_identity": "bob"}')
    assert (read.opening_line, read.identity) == ("Hi", "bob")


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "null", "[" * 20_000, "x" * 20_000])
def test_what_is_no_json_object_gives_the_defaults_and_a_log_line(text, caplog):
    assert DispatchMetadata() == DispatchMetadata.parse(text)
    assert "dispatch metadata" in caplog.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("voiceId", 7),
        ("voiceId", ""),
        ("openingLine", "x" * 1001),
        ("openingLine", "a\x00b"),
        ("language", "english please"),
        ("timeZone", "Mars/Olympus"),
        ("timeZone", "../../etc/passwd"),
        ("sessionId", ["a"]),
    ],
)
def test_an_unusable_field_is_left_out_and_named_without_its_value(field, value, caplog):
    read = DispatchMetadata.parse(json.dumps({field: value, "identity": "alice"}))
    assert DispatchMetadata(identity="alice") == read
    assert len(caplog.records) == 1
    assert str(value) not in caplog.text or value in ("", 7)


@pytest.mark.parametrize("value", ["false", "no", 0, 1, [], {}])
def test_what_says_neither_yes_nor_no_to_being_remembered_is_taken_for_no(value, caplog):
    assert DispatchMetadata.parse(json.dumps({"remember": value})).remember is False
    assert len(caplog.records) == 1


@pytest.mark.parametrize("text", ['{"remember": true}', '{"remember": null}', "{}", "not JSON"])
def test_who_says_nothing_against_it_is_remembered(text):
    assert DispatchMetadata.parse(text).remember is True


@given(
    st.dictionaries(
        st.sampled_from(["identity", "voiceId", "timeZone", "remember", "x"]), json_values
    )
)
def test_any_json_object_is_survived(given_fields):
    DispatchMetadata.parse(json.dumps(given_fields))


@pytest.mark.parametrize("text", ['{"x": ' + "9" * 5000 + "}", '{"identity": "a\\u0000b"}'])
def test_numbers_without_end_and_control_characters_are_survived(text):
    assert DispatchMetadata.parse(text) == DispatchMetadata()


@given(st.text())
def test_any_text_is_survived(text):
    DispatchMetadata.parse(text)
