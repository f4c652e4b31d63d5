"""What a schedule will do, said beforehand: its next slots, a calendar, warnings, and what an edit moves.

Pure: nothing here reads a clock or a store. Instants that come in are aware.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from domain.errors import InvalidInput
from domain.event import utc
from domain.schedule import Schedule, between, count_between, describe, notes_between, warnings_for
from domain.schedule_kinds import HolidayPolicy
from domain.schedule_words import MONTHS
from domain.zone import zone_info

__all__ = [
    "MOST_SLOTS",
    "Day",
    "Month",
    "Move",
    "Preview",
    "Slot",
    "calendar",
    "compare",
    "marked",
    "next_slots",
    "preview",
]

MOST_SLOTS = 1000
MOST_MONTHS = 24
_AHEAD = timedelta(days=366)
"""Clock changes and days off are told this far ahead."""

_MOST_NOTES = 10
_FAR = datetime(9999, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot: the instant (UTC), the same in the zone it is meant in, and what is odd about it."""

    utc: datetime
    local: datetime
    zone: str
    note: str | None = None

    @property
    def abbreviation(self) -> str:
        """What the zone calls its time then: ``EDT``, or the offset where it has no name."""
        name = self.local.tzname() or ""
        return name if name.isalpha() else self.offset

    @property
    def offset(self) -> str:
        """Hours and minutes east of UTC: ``-04:00``."""
        text = f"{self.local:%z}"
        return f"{text[:3]}:{text[3:5]}"

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "utc": self.utc.isoformat().replace("+00:00", "Z"),
            "local": self.local.isoformat(),
            "timezone": self.zone,
            "abbreviation": self.abbreviation,
            "offset": self.offset,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a calendar month: how many slots it has, and the first of them (local wall-clock time)."""

    day: date
    slots: int
    first: time | None


@dataclass(frozen=True, slots=True)
class Month:
    """A month with all its days. ``slots`` is their sum."""

    year: int
    month: int
    days: tuple[Day, ...]

    @property
    def name(self) -> str:
        """``March 2026``."""
        return f"{MONTHS[self.month - 1]} {self.year}"

    @property
    def slots(self) -> int:
        """How many slots the month has."""
        return sum(day.slots for day in self.days)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a schedule will do. ``warnings`` are about the rule, ``notes`` about clock changes and days off to come."""

    words: str
    timezone: str
    slots: tuple[Slot, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """One line of an edit: a slot before, a slot after, or both."""

    before: Slot | None
    after: Slot | None

    @property
    def kind(self) -> Literal["same", "moved", "new", "dropped"]:
        """What the edit does to it."""
        if self.before is None:
            return "new"
        if self.after is None:
            return "dropped"
        return "same" if self.before.utc == self.after.utc else "moved"

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "before": self.before.to_dict() if self.before else None,
            "after": self.after.to_dict() if self.after else None,
            "change": self.kind,
        }


def preview(schedule: Schedule, *, after: datetime, count: int = 10, until: datetime | None = None) -> Preview:
    """The next ``count`` slots after an instant (up to another), with warnings. Raises InvalidInput."""
    _check_count(count)
    after, end = utc(after, "after"), utc(until, "until") if until is not None else _FAR
    found = between(schedule, after, end, count)
    last = found[-1] if found else after
    warnings = list(warnings_for(schedule))
    if not found:
        warnings.append("it has no slot in this time")
    elif len(found) < count and until is None:
        warnings.append("it ends: there are no more slots than these")
    if any(rule.key == "" and (rule.spread or "h" in (rule.cron or "").lower()) for rule in (schedule, *schedule.also)):
        warnings.append("H and spread are hashed from the task's id: each task has a time of its own")
    near = notes_between(schedule, after - _DAY, min(last + _DAY, _FAR), MOST_SLOTS)
    ahead = notes_between(_without_weekends(schedule), after, min(max(last, after + _AHEAD), end), _MOST_NOTES)
    return Preview(
        words=describe(schedule),
        timezone=schedule.timezone,
        slots=tuple(_slot(schedule, slot, near) for slot in found),
        warnings=tuple(dict.fromkeys(warnings)),
        notes=tuple(ahead),
    )


def marked(seen: Preview, span: tuple[datetime, datetime], note: str) -> Preview:
    """The same, with this note at the slots after the first and up to the second instant."""
    since, until = span
    slots = (replace(slot, note=note) if since < slot.utc <= until else slot for slot in seen.slots)
    return replace(seen, slots=tuple(slots))


def _without_weekends(schedule: Schedule) -> Schedule:
    """The schedule whose notes are worth telling: nobody wonders that a business day is not a Saturday."""
    rules = [
        rule.model_copy(update={"business_days": False}) if rule.on_holiday is HolidayPolicy.SKIP else rule
        for rule in (schedule, *schedule.also)
    ]
    return rules[0].model_copy(update={"also": tuple(rules[1:])})


def next_slots(schedule: Schedule, *, after: datetime, count: int = 3, until: datetime = _FAR) -> tuple[Slot, ...]:
    """The next slots alone."""
    _check_count(count)
    return tuple(
        _slot(schedule, slot, ()) for slot in between(schedule, utc(after, "after"), utc(until, "until"), count)
    )


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_SLOTS:
        raise InvalidInput("count", count, "is out of range", f"give a number from 1 to {MOST_SLOTS}")


def _slot(schedule: Schedule, slot: datetime, notes: Sequence[str]) -> Slot:
    local = slot.astimezone(zone_info(schedule.timezone))
    return Slot(slot, local, schedule.timezone, next((note for note in notes if _is_about(note, local)), None))


def _is_about(note: str, local: datetime) -> bool:
    """Whether a note of the engine is about this slot: it names the local time that repeats, or where the slot went."""
    day = f"{local.day} {MONTHS[local.month - 1]} {local.year}"
    if "comes twice" in note:
        return note.startswith(f"on {day} {local:%H:%M} ")
    if "does not exist" in note:
        return note.endswith(f"runs at {local:%H:%M} on {day}") or (
            note.startswith(f"on {day} ") and note.endswith(f"runs at {local:%H:%M}")
        )
    return note.endswith(f"runs on {day}")


def calendar(
    schedule: Schedule, *, first: date, months: int = 1, left_out: tuple[datetime, datetime] | None = None
) -> tuple[Month, ...]:
    """Calendar months from that of ``first`` on, in the schedule's zone, with the slots of each day.

    Slots after the first and up to the second instant of ``left_out`` do not count.
    """
    if not 1 <= months <= MOST_MONTHS:
        raise InvalidInput("months", months, "is out of range", f"give a number from 1 to {MOST_MONTHS}")
    made = []
    year, month = first.year, first.month
    for _ in range(months):
        following = (year + month // 12, month % 12 + 1)
        length = (date(*following, 1) - date(year, month, 1)).days
        days = tuple(_day(schedule, date(year, month, number), left_out) for number in range(1, length + 1))
        made.append(Month(year, month, days))
        year, month = following
    return tuple(made)


def _day(schedule: Schedule, day: date, left_out: tuple[datetime, datetime] | None) -> Day:
    zone = zone_info(schedule.timezone)
    # A slot is of the day that begins at or before it, so the bounds are one microsecond early.
    start, end = (
        datetime.combine(at, time(), zone).astimezone(UTC) - timedelta(microseconds=1) for at in (day, day + _DAY)
    )
    spans = [(start, end)]
    if left_out is not None:
        spans = [(start, min(end, left_out[0])), (max(start, left_out[1]), end)]
    spans = [(since, until) for since, until in spans if since < until]
    found = [slot for since, until in spans for slot in between(schedule, since, until, 1)]
    first = found[0].astimezone(zone).time() if found else None
    return Day(day, sum(count_between(schedule, *span) for span in spans) if found else 0, first)


def compare(before: Schedule, after: Schedule, *, now: datetime, count: int = 10) -> tuple[Move, ...]:
    """Upcoming slots of a schedule before and after an edit, side by side.

    Slots at one instant are the same; of the others those of one local date (of the new zone) stand together. Looks to
    the end of the day on which either has had ``count`` slots.
    """
    _check_count(count)
    zone = zone_info(after.timezone)
    ends = [
        slots[-1].utc for rule in (before, after) if len(slots := next_slots(rule, after=now, count=count)) == count
    ]
    end = _FAR
    if ends:
        end = datetime.combine(min(ends).astimezone(zone).date() + _DAY, time(), zone).astimezone(UTC)
    old, new = (next_slots(rule, after=now, count=MOST_SLOTS, until=end) for rule in (before, after))
    if full := [slots[-1].utc for slots in (old, new) if len(slots) == MOST_SLOTS]:  # beyond, one of them is not known
        old, new = (tuple(slot for slot in slots if slot.utc <= min(full)) for slots in (old, new))
    moves = _paired(old, new, lambda slot: slot.utc)
    left_old = [move.before for move in moves if move.before and move.after is None]
    left_new = [move.after for move in moves if move.after and move.before is None]
    same = [move for move in moves if move.kind == "same"]
    rest = _paired(left_old, left_new, lambda slot: slot.utc.astimezone(zone).date())
    return tuple(sorted([*same, *rest], key=_place))


def _place(move: Move) -> datetime:
    return min(slot.utc for slot in (move.before, move.after) if slot is not None)


def _paired(old: Sequence[Slot], new: Sequence[Slot], key: Any) -> list[Move]:
    """Each of ``old`` with the first of ``new`` that has its key, and what is left of both."""
    waiting: dict[Any, list[Slot]] = {}
    for slot in new:
        waiting.setdefault(key(slot), []).append(slot)
    moves = []
    for slot in old:
        fitting = waiting.get(key(slot))
        moves.append(Move(slot, fitting.pop(0) if fitting else None))
    return [*moves, *(Move(None, slot) for left in waiting.values() for slot in left)]
