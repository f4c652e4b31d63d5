"""The numbers by day that an erased task left, and which of them belong to a period."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from application.chronicle import INSTANT, Fact
from domain.task_erasure import Late

__all__ = ["fates_on", "kept_within", "span_of"]


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


def fates_on(erasure: Fact, name: str, now: datetime, *, manual: bool = False) -> Counter[str]:
    """The slots (or the runs on request) of a day by their fate, as far as it was known at ``now``."""
    tally = erasure.event.tally
    counts = Counter((tally.manual if manual else tally.slots).get(name, {}))
    for late in tally.late:
        if late.day == name and late.manual is manual and (pending := _pending_at(late, now)) is not None:
            counts[late.fate] -= late.count
            counts[pending] += late.count
    return +counts


def _pending_at(late: Late, now: datetime) -> str | None:
    for fate, until in (("due", late.due), ("open", late.open)):
        if until is not None and span_of(until)[0] >= now:
            return fate
    return None


def span_of(name: str) -> tuple[datetime, datetime]:
    """The first and the last instant of a day in UTC, which is named like 2026-11-03, or of a month like 2026-11."""
    if name.count("-") > 1:
        begins = datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC)
        return begins, begins + timedelta(days=1) - INSTANT
    begins = datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC)
    return begins, (begins + timedelta(days=31)).replace(day=1) - INSTANT
