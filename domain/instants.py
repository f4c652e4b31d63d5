"""Instants: aware, in UTC, and as the whole microseconds that rows hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.errors import InvalidInput

__all__ = ["epoch_microseconds", "from_epoch_microseconds", "utc"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc(instant: datetime, field: str = "instant") -> datetime:
    """The same instant in UTC.

    A naive datetime is refused (InvalidInput, a ValueError, which names ``field``): nobody can say which instant it is.
    """
    if not isinstance(instant, datetime):
        raise InvalidInput(field, instant, "is not a datetime", "give an aware datetime")
    if instant.tzinfo is UTC:
        return instant  # what our own clock gives, many times a run
    if instant.utcoffset() is None:
        raise InvalidInput(field, instant.isoformat(), "is naive and names no instant", "give it a time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        problem = "lies in no year from 1 to 9999 in UTC"
        raise InvalidInput(field, instant.isoformat(), problem, "give an instant that has a date everywhere") from None


def epoch_microseconds(instant: datetime) -> int:
    """The instant as whole microseconds since 1970 (exact, unlike a float)."""
    gone = instant - _EPOCH
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds


def from_epoch_microseconds(microseconds: int) -> datetime:
    """The instant of ``epoch_microseconds``."""
    return _EPOCH + timedelta(0, 0, microseconds)  # by position: every row of every list comes by here
