"""What was told in the times that a question names, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timezone

from memory.model import Memory, Position
from memory.periods import Period, whole_month
from memory.store import MemoryStore

_MOST_PERIODS = 3
_MOST_YEARS = 10
_GREATEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def told_within(
    store: MemoryStore, user: str, periods: Sequence[Period], limit: int, now: datetime
) -> list[Memory]:
    """Return current memories that were told in one of the periods, newest first.

    Of a day that is named, what was told on it; where that is nothing, what was told in the
    rest of its period. Of a month of any year, the last one in which anything was told.

    Args:
        store: where to look.
        user: whose memories.
        periods: when; of many, the first three.
        limit: how many memories at most.
        now: no month of any year begins after it.

    Raises:
        storage.StorageError: the store cannot answer.
    """
    today = now.astimezone(timezone.utc).date()
    found: dict[str, Memory] = {}
    for period in periods[:_MOST_PERIODS]:
        found.update((each.id, each) for each in _told_in(store, user, period, limit, today))
    return sorted(found.values(), key=lambda each: each.position, reverse=True)[:limit]


def _told_in(
    store: MemoryStore, user: str, period: Period, limit: int, today: date
) -> list[Memory]:
    if period.month is not None:
        return _told_in_month(store, user, period.month, limit, today)
    if period.first is None or period.last is None:
        return []
    if period.day is not None:
        on_the_day, _ = _told_between(store, user, period.day, period.day, limit)
        if on_the_day:
            return on_the_day
    return _told_between(store, user, period.first, period.last, limit)[0]


def _told_in_month(
    store: MemoryStore, user: str, month: int, limit: int, today: date
) -> list[Memory]:
    latest = today
    for _ in range(_MOST_YEARS):
        year = latest.year if month <= latest.month else latest.year - 1
        days = whole_month(max(year, date.min.year), month)
        found, earlier = _told_between(store, user, *days, limit)
        if found or earlier is None:
            return found
        latest = earlier
    return []


def _told_between(
    store: MemoryStore, user: str, first: date, last: date, limit: int
) -> tuple[list[Memory], date | None]:
    """Return what was told from the first day to the last, and when the one before was told."""
    end = Position(datetime.combine(last, time.max, timezone.utc), _GREATEST_ID)
    page = store.list_memories(user, None, limit, end)
    found = [memory for memory in page if memory.created_at.date() >= first]
    return found, page[len(found)].created_at.date() if len(found) < len(page) else None
