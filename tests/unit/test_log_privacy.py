"""What a person said, and who they are, stays out of the log unless the operator asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import log_privacy
from log_privacy import (
    REDACTED,
    PersonalDataFilter,
    allow_personal_data,
    hide_identity,
    hide_personal_data,
    personal,
)

IDENTITY = "alice@example.com"


@pytest.fixture(autouse=True)
def _as_at_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log_privacy, "_identities", set())
    hide_identity(IDENTITY)
    yield
    allow_personal_data(False)


def record(message: str, level: int = logging.INFO, /, **extra: Any) -> Any:
    made = logging.makeLogRecord({"msg": message, "levelno": level, **extra})
    assert PersonalDataFilter().filter(made)
    return made


def test_our_own_lines_carry_personal_fields_only_where_they_are_allowed():
    assert personal(text="I love books") == {}
    allow_personal_data(True)
    assert personal(text="I love books") == {"text": "I love books"}


@pytest.mark.parametrize("field", ["participant", "lk.pii.text", "user_input", "transcript"])
def test_the_frameworks_personal_fields_are_redacted_from_info_on(field):
    said: dict[str, Any] = {field: "I love books"}
    assert getattr(record("x", **said), field) == REDACTED
    assert getattr(record("x", logging.ERROR, **said), field) == REDACTED


def test_at_debug_level_the_framework_may_say_them():
    assert record("x", logging.DEBUG, transcript="I love books").transcript == "I love books"


def test_the_identity_is_taken_out_of_messages_and_their_arguments():
    made = record("joined: '%s' and %d", args=(IDENTITY, 7))
    assert made.getMessage() == f"joined: '{REDACTED}' and 7"


def test_the_identity_is_taken_out_of_any_field_as_it_is_and_url_encoded():
    made = record("x", room=f"room-{IDENTITY}", url="http://h/?who=alice%40example.com&x=1")
    assert made.room == f"room-{REDACTED}"
    assert made.url == f"http://h/?who={REDACTED}&x=1"


def test_an_identity_within_a_word_is_no_mention_of_it():
    hide_identity("a")
    assert record("a participant came").getMessage() == f"{REDACTED} participant came"


def _failing() -> None:
    try:
        raise KeyError("Failing row contains (I love books)")
    except KeyError as cause:
        raise ValueError(f"no such participant {IDENTITY}") from cause


def test_a_traceback_says_where_and_what_kind_but_not_what_was_said():
    try:
        _failing()
    except ValueError as error:
        made = record("failed", logging.ERROR, exc_info=(ValueError, error, error.__traceback__))
    shown = logging.Formatter().format(made)
    assert "in _failing" in shown
    assert "builtins.ValueError" in shown
    assert "caused by" in shown
    assert "builtins.KeyError" in shown
    assert "I love books)" not in shown.replace('contains (I love books)")', "")
    assert IDENTITY not in shown


def test_where_it_is_allowed_nothing_is_redacted():
    allow_personal_data(True)
    assert record(IDENTITY, participant=IDENTITY).participant == IDENTITY


def test_a_line_without_anything_personal_passes_as_it_is():
    assert record("worker started").getMessage() == "worker started"


def test_a_malformed_line_is_left_to_logging():
    assert record("%s %d", args=("x",)).args == ("x",)


def test_the_filter_is_put_before_every_handler_once():
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        hide_personal_data()
        hide_personal_data()
        assert [type(each) for each in handler.filters] == [PersonalDataFilter]
    finally:
        root.removeHandler(handler)
        for other in root.handlers:
            for each in list(other.filters):
                if isinstance(each, PersonalDataFilter):
                    other.removeFilter(each)
