"""A task in numbers, which outlive its erasure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate

from application.accounting import asked_runs, slot_fates
from application.chronicle import INSTANT, Chronicle, chronicle
from application.erased_rows import SUMS
from application.fates import SlotFate
from application.history import instant_of
from application.ports import Recorded
from application.projections import project
from application.rows import RowsInMemory, TaskRow
from domain.errors import EventUnreadable
from domain.event import from_epoch_microseconds
from domain.task_erasure import Erased, Late, Tally

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
    late: Counter[tuple[bool, str, str, str, str]] = Counter()
    ahead: Counter[str] = Counter()
    for fate in slot_fates(book, now=now, end=end, limit=_ALL):
        day, closed = _day(fate.slot), _closed_on(book, fate.run)
        slots.setdefault(day, Counter())[fate.fate.value] += 1
        due, open = _later(_decided_on(book, fate), day), _later(closed, day)
        if fate.slot > now and day == _day(now):
            ahead[fate.fate.value] += 1
        if due or open:
            late[False, day, due, open, fate.fate.value] += 1
    for at, run, outcome in asked_runs(book):
        day, closed = _day(at), _closed_on(book, run)
        manual.setdefault(day, Counter())[outcome] += 1
        if _later(closed, day):
            late[True, day, "", _later(closed, day), outcome] += 1
    return Tally(
        created_at=from_epoch_microseconds(row.created_at) if row.created_at else None,
        slots_started=row.slots_started,
        slots=_plain(slots),
        manual=_plain(manual),
        late=tuple(
            Late(day=day, due=due or None, open=open or None, fate=fate, count=count, manual=asked)
            for (asked, day, due, open, fate), count in sorted(late.items())
        ),
        ahead=dict(sorted(ahead.items())),
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


def _decided_on(book: Chronicle, fate: SlotFate) -> str | None:
    """The day on which a slot was begun, or left out."""
    story = book.runs.get(fate.run or "")
    at = story.facts[0].event.timestamp if story is not None else fate.decided_at
    return _day(at) if at is not None else None


def _closed_on(book: Chronicle, run: str | None) -> str | None:
    """The day on which a run came to its end."""
    story = book.runs.get(run or "")
    return _day(story.closed.event.timestamp) if story is not None and story.closed is not None else None


def _later(day: str | None, than: str) -> str:
    """The day, if it is a later one; else nothing."""
    return day if day is not None and day > than else ""


def _day(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d}"


def _plain(counts: dict[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {day: dict(sorted(counts[day].items())) for day in sorted(counts)}
