"""The period of a report, and its days."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from application.chronicle import INSTANT
from domain.zone import zone_info

__all__ = ["Days", "Period"]


class Days:
    """The days of a period in a zone: ``dates``, and where each begins (UTC), cut to the period."""

    def __init__(self, start: datetime, end: datetime, timezone: str) -> None:
        self.zone = zone_info(timezone)
        first, last = start.astimezone(self.zone).date(), (end - INSTANT).astimezone(self.zone).date()
        self.dates = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        self._begins = [max(start, self._midnight(day)) for day in self.dates]
        self._end = end

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def of(self, instant: datetime) -> date:
        """The day of an instant of the period."""
        return self.dates[max(0, bisect_right(self._begins, instant) - 1)]

    def within(self, first: datetime, last: datetime) -> Iterator[tuple[date, datetime, datetime]]:
        """The days from ``first`` to ``last``, each with ``after`` < instant <= ``until``."""
        begin, end = (max(0, bisect_right(self._begins, at) - 1) for at in (first, last))
        for number in range(begin, end + 1):
            until = self._begins[number + 1] if number + 1 < len(self._begins) else self._end
            yield self.dates[number], self._begins[number] - INSTANT, until - INSTANT


@dataclass(frozen=True, slots=True)
class Period:
    """What a report is asked over: ``start`` <= instant < ``end``, as known at ``as_of``.

    Slots and runs are counted through ``as_of``: what is still to come in an open period belongs to no past.
    """

    start: datetime
    end: datetime
    timezone: str
    as_of: datetime
    days: Days

    def holds(self, instant: datetime) -> bool:
        """Whether an instant lies in it."""
        return self.start <= instant < self.end

    @property
    def reached(self) -> datetime:
        """Where counting ends: before this instant. That of a closed period is its end."""
        return max(self.start, min(self.end, self.as_of + INSTANT))

    def counts(self, instant: datetime) -> bool:
        """Whether a slot, or a request, of this instant is counted."""
        return self.start <= instant < self.reached
