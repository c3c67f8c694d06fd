"""Strict on what is said of a connection, tolerant of what is heard."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connection_events import ConnectionEvent, Reason, disconnected, read_event, reconnected
from connection_events.backoff import Backoff
from connection_events.speech_control import read_stop

IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from(["type", "conversation_id", "timestamp_ms", "reason"])


@given(IDS, st.sampled_from(Reason), st.sampled_from([disconnected, reconnected]))
def test_what_is_said_is_read_as_it_was(conversation_id, reason, kind):
    event = kind(conversation_id, reason)
    assert read_event(event.as_json()) == event
    assert read_event(event.as_json().encode()) == event


def test_an_event_has_the_four_fields_that_are_agreed():
    said = json.loads(disconnected("session_1_a", Reason.CLIENT_DISCONNECT).as_json())
    assert said.pop("timestamp_ms") > 1_700_000_000_000
    assert said == {
        "type": "connection_disconnected",
        "conversation_id": "session_1_a",
        "reason": "client_disconnect",
    }


@given(st.text() | st.binary())
def test_no_text_makes_reading_raise(text):
    assert read_event(text) is None or isinstance(read_event(text), ConnectionEvent)
    read_stop(text)


@given(st.dictionaries(FIELDS, JSON) | JSON)
def test_no_json_makes_reading_raise(given_json):
    text = json.dumps(given_json)
    event = read_event(text)
    assert event is None or read_event(event.as_json()) == event
    read_stop(text)


@given(FIELDS, JSON)
def test_a_field_of_the_wrong_kind_makes_it_no_event(field, value):
    fields = json.loads(disconnected("a", Reason.TIMEOUT).as_json())
    event = read_event(json.dumps({**fields, field: value}))
    assert event is None or getattr(event, field) == value


@pytest.mark.parametrize("timestamp", [-1, 1.5, "1", True, 2**53])
def test_a_time_that_is_no_count_of_milliseconds_makes_it_no_event(timestamp):
    fields = json.loads(disconnected("a", Reason.TIMEOUT).as_json())
    assert read_event(json.dumps({**fields, "timestamp_ms": timestamp})) is None


def test_an_event_without_a_conversation_cannot_be_said():
    with pytest.raises(ValidationError):
        disconnected("", Reason.TIMEOUT)


def test_only_an_order_of_the_known_type_stops_speech():
    assert read_stop('{"type": "stop", "conversation_id": "a", "more": 1}') is not None
    assert read_stop('{"type": "go", "conversation_id": "a"}') is None
    assert read_stop('{"conversation_id": "a"}') is None


def test_waits_double_up_to_the_longest_and_begin_anew_when_it_stands():
    backoff = Backoff(first_s=1.0, longest_s=4.0)
    waits = [backoff.next_s() for _ in range(5)]
    for wait, most in zip(waits, [1, 2, 4, 4, 4], strict=False):
        assert most / 2 <= wait <= most
    backoff.begin_anew()
    assert backoff.next_s() <= 1.0


def test_two_who_lost_the_same_server_do_not_come_back_together():
    assert Backoff(first_s=100.0).next_s() != Backoff(first_s=100.0).next_s()
