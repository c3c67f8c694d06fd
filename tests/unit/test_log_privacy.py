"""What a person said, and who they are, stays out of the log unless the operator asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from log_privacy import REDACTED, PersonalDataFilter, allow_personal_data, personal

IDENTITY = "alice@example.com"


@pytest.fixture(autouse=True)
def _off_afterwards() -> Iterator[None]:
    yield
    allow_personal_data(False)


def record(message: str, level: int = logging.INFO, /, **extra: Any) -> Any:
    made = logging.makeLogRecord({"msg": message, "levelno": level, **extra})
    PersonalDataFilter(lambda: IDENTITY).filter(made)
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
    made = logging.LogRecord("x", logging.WARNING, "f", 1, "joined: '%s'", (IDENTITY,), None)
    PersonalDataFilter(lambda: IDENTITY).filter(made)
    assert f"joined: '{REDACTED}'" == made.getMessage()


def test_the_identity_is_taken_out_of_tracebacks():
    try:
        raise ValueError(f"no such participant {IDENTITY}")
    except ValueError as error:
        made = record("failed", logging.ERROR, exc_info=(ValueError, error, error.__traceback__))
    shown = logging.Formatter().format(made)
    assert IDENTITY not in shown
    assert f"no such participant {REDACTED}" in shown


def test_where_it_is_allowed_nothing_is_redacted():
    allow_personal_data(True)
    assert record(IDENTITY, participant=IDENTITY).participant == IDENTITY


def test_a_line_without_a_user_passes_as_it_is():
    made = logging.makeLogRecord({"msg": "worker started", "levelno": logging.INFO})
    assert PersonalDataFilter(lambda: None).filter(made)
    assert made.getMessage() == "worker started"
