"""A task in numbers, which outlive its erasure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate

from application.accounting import asked_runs, slot_fates
from application.chronicle import INSTANT, chronicle
from application.erased_rows import SUMS
from application.history import instant_of
from application.ports import Recorded
from application.projections import project
from application.rows import RowsInMemory, TaskRow
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
        return Tally(unreadable=len(events), events=_events_by_day(events))
    book = chronicle(events)
    slots: dict[str, Counter[str]] = {}
    manual: dict[str, Counter[str]] = {}
    end = max((now, *(decision.last for decision in book.decisions))) + INSTANT  # some were skipped in advance
    for fate in slot_fates(book, now=now, end=end, limit=_ALL):
        slots.setdefault(_day(fate.slot), Counter())[fate.fate.value] += 1
    for at, outcome in asked_runs(book):
        manual.setdefault(_day(at), Counter())[outcome] += 1
    return Tally(
        created_at=from_epoch_microseconds(row.created_at) if row.created_at else None,
        slots_started=row.slots_started,
        slots=_plain(slots),
        manual=_plain(manual),
        events=_events_by_day(events),
        unreadable=len(events) - len(readable),
        **{name: getattr(row, name) for name in SUMS},
    )


def erased_at_end(events: Sequence[Recorded]) -> Erased | None:
    """The event that says in numbers what the task was, where the task was erased."""
    last = events[-1].event if events else None
    return last if isinstance(last, Erased) else None


def _events_by_day(events: Sequence[Recorded]) -> dict[str, int]:
    """How many events each day had. A day never goes back; what cannot be read is of the day of those before it."""
    days = [_day(at) if (at := instant_of(one)) is not None else "" for one in events]
    reached = list(accumulate(days, max))
    first = next((day for day in reached if day), None)
    return dict(Counter(day or first for day in reached)) if first is not None else {}


def _day(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d}"


def _plain(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {day: dict(sorted(counts[day].items())) for day in sorted(counts)}
