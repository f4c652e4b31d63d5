"""The numbers by day that an erased task left, and which of them belong to a period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from application.chronicle import INSTANT, Fact

__all__ = ["kept_within", "span_of"]


def kept_within(name: str, erasure: Fact, start: datetime | None, end: datetime) -> bool | None:
    """Whether all that an erased task did on a day (or in a month) that it left numbers of lies in the period.

    None where only a part of it may.
    """
    at, created = erasure.event.timestamp, erasure.event.tally.created_at
    begins, ends = span_of(name)
    first, last = max(begins, created or begins), min(ends, max(begins, at))
    if (start is None or start <= first) and last < end:
        return True
    return None if first < end and (start is None or last >= start) else False


def span_of(name: str) -> tuple[datetime, datetime]:
    """The first and the last instant of a day in UTC, which is named like 2026-11-03, or of a month like 2026-11."""
    if name.count("-") > 1:
        begins = datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC)
        return begins, begins + timedelta(days=1) - INSTANT
    begins = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
    return begins, (begins + timedelta(days=31)).replace(day=1) - INSTANT
