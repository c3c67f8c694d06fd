"""When a question is about: "last May", "in 2023", "yesterday", "two weeks ago". English."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

MONTHS = tuple(name.lower() for name in calendar.month_name)
WEEKDAYS = tuple(name.lower() for name in calendar.day_name)

_TOLD_WITHIN = timedelta(days=7)
"""People tell of a day or a week while it is fresh: after it, and seldom at once."""

_COUNTS = {
    **{
        word: n
        for n, word in enumerate("one two three four five six seven eight nine ten".split(), 1)
    },
    "a": 1,
    "an": 1,
    "couple": 2,
    "few": 3,
    "eleven": 11,
    "twelve": 12,
}
_BEFORE_A_MONTH = r"\b(?:in|of|last|since|this|next|until|by|during|past|\d+(?:st|nd|rd|th)?)"
_PRONOUN = "(?:i|we|you|he|she|it|they|the)"
_MONTH = "(?P<month>" + "|".join(MONTHS[1:]) + ")"
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_AGO = (
    r"\b(?P<count>\d{1,3}|a|an|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|(?:a )?(?:couple|few)(?: of)?) (?P<unit>day|week|month|year)s? ago\b"
)


@dataclass(frozen=True)
class Period:
    """A stretch of time, or a month of whichever year.

    Attributes:
        first: its first day; None for a month of any year.
        last: its last day, included; None likewise.
        month: 1 to 12 for a month of any year.
        weight: 0 to 1, how much it narrows down: a year says less than a month.
        day: the one day that was named, where the others are for telling of it.
    """

    first: date | None = None
    last: date | None = None
    month: int | None = None
    weight: float = 1.0
    day: date | None = None

    def holds(self, told_at: datetime) -> bool:
        """Tell whether a memory told at that time may be of this period."""
        if self.first is None or self.last is None:
            return told_at.month == self.month
        return self.first <= told_at.date() <= self.last


def periods_in(text: str, now: datetime) -> list[Period]:
    """Return the periods that a text names, seen from ``now``."""
    return read_periods(text, now)[0]


def read_periods(text: str, now: datetime) -> tuple[list[Period], str]:
    """Return the periods that a text names, and what else it says, lower-case.

    The months of May and March are told from the verbs by their capital letter, or by what
    stands before them. The verbs are not in what else it says.

    Args:
        text: what was asked or said.
        now: from where "yesterday" counts, with a time zone.
    """
    lower = " ".join(_without_verbs(text).lower().replace(",", " ").split())
    found: list[Period] = []
    for pattern, read in _READERS:
        for match in pattern.finditer(lower):
            period = read(match, now.astimezone(timezone.utc).date())
            if period is not None:
                found.append(period)
        lower = pattern.sub(" ", lower)
    return found, lower


def _without_verbs(text: str) -> str:
    """Take out "may" and "march" where nothing says that they are months."""
    for month in ("may", "march"):
        if not re.search(rf"{_BEFORE_A_MONTH} {month}\b", text, re.IGNORECASE):
            text = re.sub(rf"\b{month}\b", " ", text)
            text = re.sub(rf"\b{month} {_PRONOUN}\b", " ", text, flags=re.IGNORECASE)
    return text


def _exact_day(match: re.Match[str], today: date) -> Period | None:
    month = MONTHS.index(match["month"])
    year = int(match["year"]) if match["year"] else _last_year_of(month, today)
    try:
        day = date(year, month, int(match["day"]))
    except ValueError:
        return _month(match, today)
    return _of_day(day)


def _iso_day(match: re.Match[str], _: date) -> Period | None:
    try:
        return _of_day(date.fromisoformat(match[0]))
    except ValueError:
        return None


def _of_day(day: date) -> Period:
    return Period(day, day + min(_TOLD_WITHIN, date.max - day), day=day)


def _month(match: re.Match[str], today: date) -> Period:
    month = MONTHS.index(match["month"])
    groups = match.groupdict()
    if groups.get("year"):
        return Period(*whole_month(int(match["year"]), month))
    if groups.get("last"):
        return Period(*whole_month(_last_year_of(month, today), month))
    return Period(month=month)


def whole_month(year: int, month: int) -> tuple[date, date]:
    """Return a month's first and last day."""
    return date(year, month, 1), date(year, month, calendar.monthrange(year, month)[1])


def _last_year_of(month: int, today: date) -> int:
    return today.year if month <= today.month else today.year - 1


def _year(match: re.Match[str], _: date) -> Period:
    year = int(match["year"])
    return Period(date(year, 1, 1), date(year, 12, 31), weight=0.25)


def _day_by_name(match: re.Match[str], today: date) -> Period:
    day = today - timedelta(days=1 if match[0] == "yesterday" else 0)
    return Period(day, day)


def _ago(match: re.Match[str], today: date) -> Period:
    word = (
        match["count"].removeprefix("a ").removesuffix(" of")
        if len(match["count"]) > 2
        else match["count"]
    )
    count = _COUNTS.get(word) or int(word)
    days = {"day": 1, "week": 7, "month": 30, "year": 365}[match["unit"]]
    middle = today - timedelta(days=min(count * days, (today - date.min).days - 400))
    around = timedelta(days=days // 2)
    return Period(middle - around, middle + around)


def _last_unit(match: re.Match[str], today: date) -> Period:
    days = {"night": 1, "weekend": 9, "week": 14, "month": 61, "year": 730}[match["unit"]]
    if match["unit"] == "month":
        end = today.replace(day=1) - timedelta(days=1)
        return Period(end.replace(day=1), end)
    if match["unit"] == "year":
        return Period(date(today.year - 1, 1, 1), date(today.year - 1, 12, 31), weight=0.25)
    return Period(today - timedelta(days=days), today)


def _this_unit(match: re.Match[str], today: date) -> Period:
    start = {
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
        "year": today.replace(month=1, day=1),
    }[match["unit"]]
    return Period(start, today, weight=0.25 if match["unit"] == "year" else 1.0)


def _weekday(match: re.Match[str], today: date) -> Period:
    back = (today.weekday() - WEEKDAYS.index(match["weekday"])) % 7 or 7
    day = today - timedelta(days=back)
    return Period(day, today, day=day)


_Reader = Callable[[re.Match[str], date], "Period | None"]


def _readers() -> Iterator[tuple[re.Pattern[str], _Reader]]:
    # In this order: what a longer form has taken, a shorter one does not see.
    yield re.compile(r"\b\d{4}-\d\d-\d\d\b"), _iso_day
    yield re.compile(rf"\b{_MONTH} {_DAY}\b(?: {_YEAR})?"), _exact_day
    yield re.compile(rf"\b{_DAY} (?:of )?{_MONTH}\b(?: {_YEAR})?"), _exact_day
    yield re.compile(rf"\b{_MONTH} (?:of )?{_YEAR}\b"), _month
    yield re.compile(rf"\b(?P<last>last|this past) {_MONTH}\b"), _month
    yield re.compile(rf"\b{_MONTH}\b"), _month
    yield re.compile(_AGO), _ago
    yield re.compile(rf"\b{_YEAR}\b"), _year
    yield (
        re.compile(r"\b(?:yesterday|today|tonight|this (?:morning|afternoon|evening))\b"),
        _day_by_name,
    )
    yield re.compile(r"\b(?:last|past) (?P<unit>night|weekend|week|month|year)\b"), _last_unit
    yield re.compile(r"\bthis (?P<unit>week|month|year)\b"), _this_unit
    yield re.compile(rf"\b(?:last|on) (?P<weekday>{'|'.join(WEEKDAYS)})\b"), _weekday


_READERS = tuple(_readers())
