"""A schedule in words, and what may surprise its owner. ``domain.phrases`` reads the same words back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from domain.compiling import anchor_wall, cron_text, weekdays_of
from domain.cron import parse_cron
from domain.schedule_checks import checked_every, seconds_of_day
from domain.schedule_kinds import FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd, ScheduleType
from domain.zone import zone_info

if TYPE_CHECKING:
    from domain.schedule import Schedule

__all__ = [
    "ENGLISH",
    "FOLD_WORDS",
    "GAP_WORDS",
    "LENGTHS",
    "MONTHS",
    "NTH",
    "WEEKDAYS",
    "describe",
    "plain",
    "warnings_for",
]

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
LENGTHS = {"week": 604_800, "day": 86_400, "hour": 3600, "minute": 60, "second": 1}
"""Units of time and their seconds, the longest first."""

_MISSING, _TWICE = "if the hour does not exist", "if the hour comes twice"
GAP_WORDS = {
    GapPolicy.NEXT_VALID: f"run right after {_MISSING}",
    GapPolicy.SHIFT: f"shift {_MISSING}",
    GapPolicy.SKIP: f"skip {_MISSING}",
}
FOLD_WORDS = {
    FoldPolicy.FIRST: f"first time {_TWICE}",
    FoldPolicy.SECOND: f"second time {_TWICE}",
    FoldPolicy.BOTH: f"both times {_TWICE}",
}
_WEEKLY_KINDS = (ScheduleType.WEEKLY, ScheduleType.HALF_WEEKLY)
_MONTHLY_KINDS = (ScheduleType.MONTHLY, ScheduleType.QUARTERLY, ScheduleType.YEARLY)
_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


# --- one form for schedules that mean the same


def plain(schedule: Schedule) -> Schedule:
    """The same rule with everything it takes from its anchor written out, and without what means nothing to its kind.

    Its slots are the same. The key is left out: it is the task's, and nobody says it.
    """
    kind = schedule.type
    monthly, nth = kind in _MONTHLY_KINDS, schedule.week_of_month is not None
    days_off = schedule.holidays is not None or schedule.business_days
    timed = kind is ScheduleType.DAILY or kind in _WEEKLY_KINDS or monthly
    update: dict[str, Any] = {
        "key": "",
        "time": _time_of_day(seconds_of_day(schedule.time)) if timed else "09:00",
        "days": weekdays_of(schedule) if kind in _WEEKLY_KINDS or (monthly and nth) else (),
        "cron": " ".join(cron_text(schedule).split()) if kind is ScheduleType.CUSTOM else None,
        "every": checked_every(schedule.every) if kind is ScheduleType.INTERVAL else None,
        "anchor": _origin(schedule) if kind is ScheduleType.INTERVAL else None,
        "at": schedule.at if kind is ScheduleType.ONCE else None,
        "day_of_month": _day_of_month(schedule) if monthly and not nth else None,
        "week_of_month": schedule.week_of_month if monthly else None,
        "month": _month(schedule),
        "on_holiday": schedule.on_holiday if days_off else HolidayPolicy.SKIP,
        "spread": schedule.spread or None,
        "also": tuple(plain(rule) for rule in schedule.also),
    }
    return schedule.model_copy(update=update)


def _day_of_month(schedule: Schedule) -> int:
    return anchor_wall(schedule).day if schedule.day_of_month is None else schedule.day_of_month


def _month(schedule: Schedule) -> int | None:
    if schedule.type not in (ScheduleType.QUARTERLY, ScheduleType.YEARLY):
        return None
    month = schedule.month or anchor_wall(schedule).month
    return month if schedule.type is ScheduleType.YEARLY else (month - 1) % 3 + 1


def _origin(schedule: Schedule) -> datetime:
    """The first slot of an interval's grid."""
    whole_days = not checked_every(schedule.every) % _DAY
    if schedule.anchor is not None:
        return schedule.anchor.replace(microsecond=0) if whole_days else schedule.anchor
    if not whole_days:
        return datetime(1970, 1, 1, tzinfo=UTC)
    monday = datetime(1970, 1, 5, tzinfo=zone_info(schedule.timezone))
    return (monday + timedelta(seconds=seconds_of_day(schedule.time))).astimezone(UTC)


# --- words


def _texts() -> dict[str, str]:
    made = {
        "rule": "{rule} in {zone}",
        "next_rule": "; and ",
        "list": ", ",
        "and": " and ",
        "fifteen-minutes": "every 15 minutes",
        "hourly": "every hour",
        "every-4-hours": "every 4 hours",
        "once": "once on {moment}",
        "once_open": "once",
        "cron": "cron {expression}",
        "interval": "every {length} from {moment}",
        "daily": "every day at {time}",
        "business": "every business day at {time}",
        "weekdays": "every weekday at {time}",
        "weekly": "every {days} at {time}",
        "half-weekly": "half-weekly on {days} at {time}",
        "monthly": "on {day} of every month at {time}",
        "quarterly": "every quarter on {day} of {months} at {time}",
        "yearly": "every year on {day} of {month} at {time}",
        "yearly_date": "every year on {number} {month} at {time}",
        "last_day": "the last day",
        "nth_day": "the {nth} {days}",
        "day": "the {number}th",
        "day_1": "the {number}st",
        "day_2": "the {number}nd",
        "day_3": "the {number}rd",
        "moment": "{date} at {time}",
        "weekends": "weekends",
        "holidays": "holidays in {calendar}",
        "except": "except {days}",
        "move_next": "{days} move to the next business day",
        "move_previous": "{days} move to the previous business day",
        "dates": "{first} to {last}",
        "starting": "starting {moment}",
        "until": "until {moment}",
        "spread": "spread over {length}",
        "gap_shift": GAP_WORDS[GapPolicy.SHIFT],
        "gap_skip": GAP_WORDS[GapPolicy.SKIP],
        "fold_second": "the " + FOLD_WORDS[FoldPolicy.SECOND],
        "fold_both": FOLD_WORDS[FoldPolicy.BOTH],
        "month_end": "skip months without that day",
    }
    made |= {f"weekday_{number}": name for number, name in enumerate(WEEKDAYS)}
    made |= {f"month_{number}": name for number, name in enumerate(MONTHS, 1)}
    made |= {f"nth_{'last' if number < 0 else number}": name for number, name in NTH.items()}
    for unit in LENGTHS:
        made |= {f"one_{unit}": f"{{count}} {unit}", f"many_{unit}s": f"{{count}} {unit}s"}
    return made


ENGLISH: Mapping[str, str] = _texts()
"""The words of a schedule, by what they say; placeholders stand in braces. Another language has the same keys."""


def describe(schedule: Schedule, texts: Mapping[str, str] = ENGLISH) -> str:
    """The schedule in words, such as "every day at 09:00 in Europe/Berlin".

    ``parse_phrase`` reads the English ones back; ``texts`` are those of another language.
    """
    rule, speech = plain(schedule), _Speech(texts)
    return texts["next_rule"].join(speech.of(part) for part in (rule, *rule.also))


@dataclass(frozen=True, slots=True)
class _Speech:
    """One language that schedules are said in."""

    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        return self.texts[key].format(**values)

    def of(self, rule: Schedule) -> str:
        """One rule with its zone and all that it is restricted by."""
        said = self("rule", rule=self._rule(rule), zone=rule.timezone)
        return self.texts["list"].join([said, *self._days_off(rule), *self._bounds(rule), *self._policies(rule)])

    def _rule(self, rule: Schedule) -> str:
        kind, time = rule.type, rule.time
        if kind is ScheduleType.ONCE:
            return self("once", moment=self._moment(rule, rule.at)) if rule.at is not None else self("once_open")
        if kind is ScheduleType.CUSTOM:
            return self("cron", expression=rule.cron)
        if kind is ScheduleType.INTERVAL:
            length = self._length(checked_every(rule.every))
            return self("interval", length=length, moment=self._moment(rule, rule.anchor))
        if kind is ScheduleType.DAILY:
            return self("business" if _skips_to_business(rule) else "daily", time=time)
        if kind in _MONTHLY_KINDS:
            return self._on_the_day(rule)
        if kind is ScheduleType.WEEKLY and rule.days == (0, 1, 2, 3, 4):
            return self("weekdays", time=time)
        if kind in _WEEKLY_KINDS:
            return self(kind.value, days=self._weekdays(rule), time=time)
        return self(kind.value)

    def _on_the_day(self, rule: Schedule) -> str:
        day, month = rule.day_of_month, rule.month or 1
        if rule.week_of_month is not None:
            nth = "last" if rule.week_of_month < 0 else rule.week_of_month
            named = self("nth_day", nth=self(f"nth_{nth}"), days=self._weekdays(rule))
        else:
            named = self("last_day") if day == -1 else self._ordinal(day or 1)
        if rule.type is ScheduleType.MONTHLY:
            return self("monthly", day=named, time=rule.time)
        if rule.type is ScheduleType.QUARTERLY:
            months = self._listed([self(f"month_{number}") for number in range(month, 13, 3)])
            return self("quarterly", day=named, months=months, time=rule.time)
        if rule.week_of_month is None and day != -1:
            return self("yearly_date", number=day, month=self(f"month_{month}"), time=rule.time)
        return self("yearly", day=named, month=self(f"month_{month}"), time=rule.time)

    def _ordinal(self, number: int) -> str:
        last = 0 if 11 <= number <= 13 else number % 10
        return self(f"day_{last}" if 1 <= last <= 3 else "day", number=number)

    def _weekdays(self, rule: Schedule) -> str:
        return self._listed([self(f"weekday_{day}") for day in rule.days])

    def _listed(self, words: Sequence[str]) -> str:
        if len(words) == 1:
            return words[0]
        return self.texts["list"].join(words[:-1]) + self.texts["and"] + words[-1]

    def _length(self, length: timedelta) -> str:
        microseconds = length // _INSTANT
        for unit, seconds in LENGTHS.items():
            count, rest = divmod(microseconds, seconds * 1_000_000)
            if count and not rest:
                return self(f"one_{unit}" if count == 1 else f"many_{unit}s", count=count)
        count_of_seconds = f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06}".rstrip("0")
        return self("many_seconds", count=count_of_seconds)

    def _moment(self, rule: Schedule, instant: datetime | None) -> str:
        assert instant is not None
        wall = _local(rule, instant)
        if wall is None:
            return instant.isoformat().replace("+00:00", "Z")
        time = wall.time().isoformat()
        shown = time.removesuffix(":00") if time.count(":") == 2 else time
        return self("moment", date=wall.date(), time=shown)

    def _days_off(self, rule: Schedule) -> list[str]:
        off = []
        if rule.business_days and not _skips_to_business(rule):
            off.append(self("weekends"))
        if rule.holidays:
            off.append(self("holidays", calendar=rule.holidays))
        said = []
        if off:
            skipped = rule.on_holiday is HolidayPolicy.SKIP
            said.append(self("except" if skipped else f"move_{rule.on_holiday}", days=self._listed(off)))
        if rule.exclude:
            said.append(self("except", days=self._listed(list(self._dates(rule.exclude)))))
        return said

    def _dates(self, dates: Sequence[date]) -> Iterator[str]:
        """Dates, with three or more in a row as first to last."""
        start = 0
        for index, day in enumerate(dates):
            if index + 1 < len(dates) and dates[index + 1] == day + _DAY:
                continue
            row = dates[start : index + 1]
            yield from [self("dates", first=row[0], last=row[-1])] if len(row) > 2 else map(str, row)
            start = index + 1

    def _bounds(self, rule: Schedule) -> list[str]:
        said = []
        if rule.start:
            said.append(self("starting", moment=self._moment(rule, rule.start)))
        if rule.end:
            over = _local(rule, rule.end + _INSTANT) if rule.end.year < 9999 else None
            whole_day = over is not None and over == datetime.combine(over.date(), datetime.min.time())
            last_day = over.date() - _DAY if over is not None and whole_day else None
            said.append(self("until", moment=last_day if last_day is not None else self._moment(rule, rule.end)))
        if rule.spread:
            said.append(self("spread", length=self._length(rule.spread)))
        return said

    def _policies(self, rule: Schedule) -> list[str]:
        said = []
        if rule.gap is not GapPolicy.NEXT_VALID:
            said.append(self(f"gap_{rule.gap}"))
        if rule.fold is not FoldPolicy.FIRST:
            said.append(self(f"fold_{rule.fold}"))
        if rule.month_end is MonthEnd.SKIP:
            said.append(self("month_end"))
        return said


def _skips_to_business(rule: Schedule) -> bool:
    return rule.type is ScheduleType.DAILY and rule.business_days and rule.on_holiday is HolidayPolicy.SKIP


def _time_of_day(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}"


def _local(rule: Schedule, instant: datetime) -> datetime | None:
    """The local time, where it names this instant and no other."""
    zone = zone_info(rule.timezone)
    try:
        wall = instant.astimezone(zone).replace(tzinfo=None, fold=0)
        return wall if wall.replace(tzinfo=zone).astimezone(UTC) == instant else None
    except OverflowError:
        return None


# --- surprises


def warnings_for(schedule: Schedule) -> list[str]:
    """What may surprise the owner of this schedule, one sentence each."""
    found = []
    if schedule.type is ScheduleType.CUSTOM:
        found = parse_cron(cron_text(schedule), schedule.key).warnings()
    elif schedule.type in _MONTHLY_KINDS:
        found = _month_warnings(schedule)
    for other in schedule.also:
        found += warnings_for(other)
    return found


def _month_warnings(schedule: Schedule) -> list[str]:
    if schedule.week_of_month is not None:
        return ["it runs only in months that have a fifth one"] if schedule.week_of_month == 5 else []
    day = _day_of_month(schedule)
    if day < 29:
        return []
    if schedule.month_end is MonthEnd.CLAMP:
        return [f"in months without a day {day} it runs on the last day"]
    return [f"in months without a day {day} it does not run"]
