"""Times as whole microseconds since the epoch, which both back ends keep exactly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def microseconds(moment: datetime) -> int:
    """Return the microseconds from the epoch to a moment with a time zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(count: int) -> datetime:
    """Return the moment that lies so many microseconds after the epoch, UTC."""
    return _EPOCH + timedelta(microseconds=count)
