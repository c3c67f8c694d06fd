"""Days that lie ahead, as people say them: "tomorrow", "on Friday the seventeenth", "in May"."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from memory.extraction.kinds import NUMBER_WORDS, ORDINALS, TENS, number_of

_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MONTHS = (
    "january february march april may june july august september october november december"
).split()
_MONTH = "|".join(_MONTHS)
_WEEKDAY = "|".join(_WEEKDAYS)
_NUMBER = "|".join([*NUMBER_WORDS, *TENS, "a", "an", r"\d{1,3}"])
_DAY = rf"\d{{1,2}}(?:st|nd|rd|th)?|(?:twenty|thirty)[- ](?:{'|'.join(ORDINALS)})|" + "|".join(
    sorted(ORDINALS, key=len, reverse=True)
)
_NOT_PAST = r"(?<!last )(?<!since )(?<!every )"

DAY_END_EVERYWHERE = timedelta(hours=12)
"""A day ends last in UTC-12; a plan for it holds until then, wherever the person is."""


@dataclass(frozen=True)
class FoundDay:
    """A day or a time found in a text.

    Attributes:
        last: the last day that it may mean.
        without: the text without it.
    """

    last: date
    without: str

    @property
    def expires_at(self) -> datetime:
        """When the day is over everywhere on Earth."""
        midnight = datetime.combine(self.last, datetime.min.time(), timezone.utc)
        return midnight + timedelta(days=1) + DAY_END_EVERYWHERE


def find_day(text: str, today: date) -> FoundDay | None:
    """Return the first day that lies ahead in a text, or None.

    Args:
        text: what was said.
        today: the day on which it was said.
    """
    for pattern, read in _FORMS:
        match = pattern.search(text)
        if match is None:
            continue
        try:
            last = read(match, today)
        except (ValueError, OverflowError):  # the thirty-first of June
            continue
        # A comma, so that what stood before the day and what stood after it stay apart.
        before, after = text[: match.start()].strip(" ,"), text[match.end() :].strip(" ,")
        return FoundDay(last, ", ".join(filter(None, (before, after))))
    return None


def _after_days(days: int) -> Callable[[re.Match[str], date], date]:
    return lambda _match, today: today + timedelta(days=days)


def _weekday(match: re.Match[str], today: date) -> date:
    ahead = (_WEEKDAYS.index(match["weekday"].casefold()) - today.weekday()) % 7
    if ahead == 0 and not (match["which"] or "").casefold().startswith("this"):
        ahead = 7
    return today + timedelta(days=ahead)


def _weekend(match: re.Match[str], today: date) -> date:
    sunday = today + timedelta(days=6 - today.weekday())
    return sunday + timedelta(days=7 if match["which"].casefold() == "next" else 0)


def _period(match: re.Match[str], today: date) -> date:
    ahead = 1 if match["which"].casefold() == "next" else 0
    unit = match["unit"].casefold()
    if unit == "week":
        return today + timedelta(days=6 - today.weekday() + 7 * ahead)
    if unit == "year":
        return date(today.year + ahead, 12, 31)
    return _month_end(today.year, today.month + ahead)


def _in_some(match: re.Match[str], today: date) -> date:
    count = number_of(match["count"]) or 1
    days = {"day": 1, "week": 7, "month": 31, "year": 366}[match["unit"].casefold()]
    return today + timedelta(days=count * days)


def _month(match: re.Match[str], today: date) -> date:
    month = _MONTHS.index(match["month"].casefold()) + 1
    return _month_end(today.year + (month < today.month), month)


def _day_of_month(match: re.Match[str], today: date) -> date:
    day = _ordinal(match["day"])
    named = match.groupdict().get("month") or match.groupdict().get("month2")
    if named:
        month = _MONTHS.index(named.casefold()) + 1
        this_year = date(today.year, month, day)
        return this_year if this_year >= today else date(today.year + 1, month, day)
    if day >= today.day:
        return today.replace(day=day)
    return _month_end(today.year, today.month + 1).replace(day=day)


def _month_end(year: int, month: int) -> date:
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return date(year, month, calendar.monthrange(year, month)[1])


def _ordinal(text: str) -> int:
    said = text.casefold().replace("-", " ").split()
    if said[0][0].isdigit():
        return int(re.sub(r"\D", "", said[0]))
    tens = {"twenty": 20, "thirty": 30}.get(said[0], 0)
    return tens + ORDINALS[said[-1]]


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], date], date]], ...] = tuple(
    (re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), read)
    for pattern, read in (
        (r"(?:on )?the day after tomorrow", _after_days(2)),
        (r"tomorrow(?: (?:morning|afternoon|evening|night))?", _after_days(1)),
        (r"today|tonight|this (?:morning|afternoon|evening)", _after_days(0)),
        (
            rf"(?:on )?(?:(?:{_WEEKDAY}),? )?(?:the )?(?P<day>{_DAY})(?: of)? (?P<month>{_MONTH})",
            _day_of_month,
        ),
        (
            rf"(?:on )?(?:(?:{_WEEKDAY}),? )?(?P<month>{_MONTH}) (?:the )?(?P<day>{_DAY})",
            _day_of_month,
        ),
        (
            rf"on (?:(?:{_WEEKDAY}),? )?the (?P<day>{_DAY})(?! of\b| \w+ (?:floor|row))",
            _day_of_month,
        ),
        (
            rf"{_NOT_PAST}(?P<which>on |this |next |this coming |by )?(?P<weekday>{_WEEKDAY})"
            r"(?: (?:morning|afternoon|evening|night))?",
            _weekday,
        ),
        (r"(?:at |on )?(?P<which>this|next|the) weekend", _weekend),
        (r"(?P<which>this|next) (?P<unit>week|month|year)", _period),
        (
            rf"in (?:about )?(?P<count>{_NUMBER}) (?P<unit>day|week|month|year)s?(?:' time)?",
            _in_some,
        ),
        (rf"(?:in|next|this) (?P<month>{_MONTH})", _month),
    )
)
