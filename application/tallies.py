"""A task in numbers, which outlive its erasure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from application.accounting import account, month_of, slot_fates
from application.chronicle import INSTANT, Chronicle, chronicle
from application.erased_rows import SUMS
from application.ports import Recorded
from application.projections import project
from application.rows import RowsInMemory, TaskRow
from domain import task_events as facts
from domain.errors import EventUnreadable
from domain.event import from_epoch_microseconds
from domain.task_erasure import Erased, Tally

__all__ = ["erased_at_end", "tally_of"]

_ALL = 1 << 60


def tally_of(events: Sequence[Recorded], *, now: datetime) -> Tally:
    """What a task's whole stream comes to in numbers, as far as it can be read."""
    rows = RowsInMemory()
    readable = [one for one in events if not isinstance(one.event, EventUnreadable)]
    for one in readable:
        project(one.event, rows)  # type: ignore[arg-type]
    row = next(iter(rows.tables.get(TaskRow, {}).values()), None)
    if not isinstance(row, TaskRow):
        return Tally(unreadable=len(events))
    book = chronicle(events)
    slots: dict[str, Counter[str]] = {}
    end = max((now, *(decision.last for decision in book.decisions))) + INSTANT  # some were skipped in advance
    for fate in slot_fates(book, now=now, end=end, limit=_ALL):
        slots.setdefault(_month(fate.slot), Counter())[fate.fate.value] += 1
    return Tally(
        created_at=from_epoch_microseconds(row.created_at) if row.created_at else None,
        slots_started=row.slots_started,
        slots=_plain(slots),
        manual=_manual(book, now),
        unreadable=len(events) - len(readable),
        **{name: getattr(row, name) for name in SUMS},
    )


def erased_at_end(events: Sequence[Recorded]) -> Erased | None:
    """The event that says in numbers what the task was, where the task was erased."""
    last = events[-1].event if events else None
    return last if isinstance(last, Erased) else None


def _manual(book: Chronicle, now: datetime) -> dict[str, dict[str, int]]:
    asked = [fact.event.timestamp for fact in book.facts if isinstance(fact.event, facts.Requested)]
    counts: dict[str, Counter[str]] = {}
    for month in {_month(instant) for instant in asked}:
        begins, ends = month_of(month)
        counts[month] = Counter(account(book, now=now, start=begins, end=ends + INSTANT).manual)
    return _plain(counts)


def _month(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m}"


def _plain(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {month: dict(sorted(counts[month].items())) for month in sorted(counts)}
