"""A short text about a person, from the facts that are current."""

from __future__ import annotations

from collections.abc import Mapping

LONGEST_SUMMARY = 600
"""Characters; about 150 tokens of English."""

_FIRST = (
    ("first_name", "Called {}"),
    ("age", "{} years old"),
    ("home_city", "lives in {}"),
    ("hometown", "from {}"),
    ("job", "work: {}"),
    ("employer", "at {}"),
    ("studies", "studies {}"),
    ("marital_status", "{}"),
    ("diet", "{}"),
)
_PASSING = ("plan_",)


def summary_of(facts: Mapping[str, str]) -> str | None:
    """Return the summary, or None where there is nothing to say.

    Args:
        facts: the current values by their keys. Plans are left out: they pass.

    >>> summary_of({"home_city": "Lyon", "first_name": "Anna", "dog_name": "Rex"})
    'Called Anna, lives in Lyon; dog name: Rex.'
    """
    told = {
        key: value
        for key, value in facts.items()
        if not key.startswith(_PASSING) and not value.startswith("no longer ")
    }
    first = ", ".join(text.format(told[key]) for key, text in _FIRST if key in told)
    others = [
        f"{key.replace('_', ' ')}: {value}"
        for key, value in told.items()
        if key not in dict(_FIRST)
    ]
    text = ""
    for part in filter(None, [first, *others]):
        longer = f"{text}; {part}" if text else part
        if len(longer) >= LONGEST_SUMMARY:
            break
        text = longer
    return f"{text}." if text else None
