"""A second, slow opinion on slots: look at every minute of the wall clock.

It shares no code with the engine. It walks the real minutes of a window, notes the local time of each, and decides
minute by minute whether a rule names it; what to do about local times that come twice or never is read off that walk.
Times are whole minutes: real ones since 1970 in UTC, local ones as if the zone were UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

DAY = 1440
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = {
    3: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    4: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
LIMITS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


def minute_of(instant: datetime) -> int:
    """The minute since 1970 that an instant is in."""
    return (instant - EPOCH) // timedelta(minutes=1)


def instant_of(minute: int) -> datetime:
    """The instant at which a minute since 1970 begins."""
    return EPOCH + timedelta(minutes=minute)


def date_of(wall: int) -> date:
    """The local date of a local minute."""
    return date(1970, 1, 1) + timedelta(days=wall // DAY)


@lru_cache(maxsize=64)
def walls(zone: ZoneInfo, first: int, last: int) -> tuple[int, ...]:
    """The local minute of every real minute from ``first`` to ``last``.

    Offsets are asked for at every quarter of an hour and, where they differ, at every minute in between.
    """

    def offset(minute: int) -> int:
        found = instant_of(minute).astimezone(zone).utcoffset()
        assert found is not None
        assert not found.total_seconds() % 60
        return int(found.total_seconds()) // 60

    result: list[int] = []
    for low, high in pairwise([*range(first, last + 1, 15), last + 1]):
        if (same := offset(low)) == offset(high):
            result += [minute + same for minute in range(low, high)]
        else:
            result += [minute + offset(minute) for minute in range(low, high)]
    return tuple(result)


def field_values(text: str, index: int) -> set[int]:
    """The numbers that a cron field without L and # stands for, as crontab(5) says."""
    low, high = LIMITS[index]

    def number(word: str) -> int:
        return NAMES[index].index(word) + (index == 3) if word in NAMES.get(index, []) else int(word)

    found: set[int] = set()
    for term in text.split(","):
        base, _, step = term.partition("/")
        if base == "*":
            first, last = low, high
        elif "-" in base:
            first, last = (number(word) for word in base.split("-"))
        else:
            first = number(base)
            last = high if step else first
        found |= set(range(first, last + 1, int(step or 1)))
    return {value % 7 for value in found} if index == 4 else found


def cron_rule(text: str) -> tuple[Callable[[int], bool], bool]:
    """Whether a local minute matches, and whether the rule fires at every real instant that does."""
    fields = text.split()
    minutes, hours, days, months, weekdays = (field_values(field, i) for i, field in enumerate(fields))
    both = fields[2].startswith("*") or fields[4].startswith("*")

    @lru_cache(maxsize=4096)
    def day_matches(day: int) -> bool:
        at = date_of(day * DAY)
        if at.month not in months:
            return False
        of_month, of_week = at.day in days, at.isoweekday() % 7 in weekdays
        return (of_month and of_week) if both else (of_month or of_week)

    def matches(wall: int) -> bool:
        return wall % 60 in minutes and wall % DAY // 60 in hours and day_matches(wall // DAY)

    return matches, fields[0].startswith("*") or fields[1].startswith("*") or "/" in fields[1]


def at_time(time: str, day_matches: Callable[[date], bool]) -> Callable[[int], bool]:
    """Whether a local minute is this time of a day that matches."""
    minute = int(time[:2]) * 60 + int(time[3:])
    return lambda wall: wall % DAY == minute and day_matches(date_of(wall))


def slots(
    matches: Callable[[int], bool],
    zone: ZoneInfo,
    first: int,
    last: int,
    *,
    gap: str = "next_valid",
    fold: str = "first",
    real: bool = False,
) -> list[datetime]:
    """The slots with ``first`` < minute <= ``last``, by looking at two days more on either side."""
    low, high = first - 2 * DAY, last + 2 * DAY
    local = walls(zone, low, high)
    if real:
        return [instant_of(low + i) for i, wall in enumerate(local) if first < low + i <= last and matches(wall)]
    when: dict[int, list[int]] = {}
    for i, wall in enumerate(local):
        when.setdefault(wall, []).append(low + i)
    found: set[int] = set()
    for wall in range(min(local), max(local) + 1):
        if not matches(wall):
            continue
        real_minutes = when.get(wall)
        if real_minutes is None:
            found |= set(_in_gap(wall, local, low, gap))
        else:
            found |= set({"first": real_minutes[:1], "second": real_minutes[-1:], "both": real_minutes}[fold])
    return [instant_of(minute) for minute in sorted(found) if first < minute <= last]


def _in_gap(wall: int, local: Sequence[int], low: int, gap: str) -> list[int]:
    for i, (before, after) in enumerate(pairwise(local)):
        if before < wall < after:
            return {"skip": [], "next_valid": [low + i + 1], "shift": [low + i + wall - before]}[gap]
    raise AssertionError("a local time that never comes lies in a gap")
