"""The numbers by day that an erased task left, and which of them belong to a period."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from application.chronicle import INSTANT, Fact
from domain.task_erasure import Late

__all__ = ["Portion", "fates_on", "kept_within", "portions", "span_of"]


@dataclass(frozen=True, slots=True)
class Portion:
    """Slots and runs on request by their fate, of which no more is known than that they lie in ``first`` to ``last``.

    It is a day; that of the erasure is in two, before and after it, where slots had been left out in advance.
    """

    day: str
    first: datetime
    last: datetime
    slots: Counter[str]
    manual: Counter[str]
    ahead: bool = False

    @property
    def name(self) -> str:
        """The day, as people are told of it."""
        return f"{self.day} after the erasure" if self.ahead else self.day

    def within(self, start: datetime | None, end: datetime) -> bool | None:
        """Whether all of it lies in ``start`` <= instant < ``end``. None where only a part of it may."""
        if (start is None or start <= self.first) and self.last < end:
            return True
        return None if self.first < end and (start is None or self.last >= start) else False


def portions(erasure: Fact, now: datetime) -> Iterator[Portion]:
    """All that an erased task left, in the order of days, with the fates that were known at ``now``."""
    at, tally = erasure.event.timestamp, erasure.event.tally
    for name in sorted({*tally.slots, *tally.manual}):
        first, last = _span_in(name, erasure)
        slots, manual = fates_on(erasure, name, now), fates_on(erasure, name, now, manual=True)
        if (ahead := Counter(tally.ahead)) and span_of(name)[0] <= at <= span_of(name)[1]:
            yield Portion(name, first, at, slots - ahead, manual)
            yield Portion(name, at + INSTANT, span_of(name)[1], ahead, Counter(), ahead=True)
        else:
            yield Portion(name, first, last, slots, manual)


def _span_in(name: str, erasure: Fact) -> tuple[datetime, datetime]:
    """From the first to the last instant at which the task may have done something on a day, or in a month."""
    at, created = erasure.event.timestamp, erasure.event.tally.created_at
    begins, ends = span_of(name)
    return max(begins, created or begins), at if begins <= at <= ends else ends


def kept_within(name: str, erasure: Fact, start: datetime | None, end: datetime) -> bool | None:
    """Whether all that an erased task did until its erasure on a day that it left numbers of lies in the period.

    None where only a part of it may.
    """
    return Portion(name, *_span_in(name, erasure), Counter(), Counter()).within(start, end)


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
