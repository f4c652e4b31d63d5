"""One rule of a phrase: its head, its parts, and the fields of a schedule that they come to. See domain.phrases."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from domain.errors import InvalidSchedule
from domain.event import utc
from domain.phrase_words import DAYS, MONTH_NUMBERS, NTHS, Moment, Reader
from domain.schedule_kinds import HolidayPolicy, MonthEnd, ScheduleType
from domain.schedule_words import FOLD_WORDS, GAP_WORDS, LENGTHS
from domain.zone import zone_info

__all__ = ["Rule"]

_DAY, _INSTANT = timedelta(days=1), timedelta(microseconds=1)
_MIDNIGHT, _NINE = time(0), time(9)
_WEEK = range(7)
_NAMED = {
    timedelta(minutes=15): ScheduleType.FIFTEEN_MINUTES,
    timedelta(hours=1): ScheduleType.HOURLY,
    timedelta(hours=4): ScheduleType.EVERY_4_HOURS,
}
_BY_UNIT = {
    "day": ScheduleType.DAILY,
    "week": ScheduleType.WEEKLY,
    "month": ScheduleType.MONTHLY,
    "quarter": ScheduleType.QUARTERLY,
    "year": ScheduleType.YEARLY,
}
_MONTHS_OF = {(3, "month"): "quarter", (12, "month"): "year", (4, "quarter"): "year"}
_ADVERBS = {
    "hourly": ScheduleType.HOURLY,
    "daily": ScheduleType.DAILY,
    "weekly": ScheduleType.WEEKLY,
    "half-weekly": ScheduleType.HALF_WEEKLY,
    "monthly": ScheduleType.MONTHLY,
    "quarterly": ScheduleType.QUARTERLY,
    "yearly": ScheduleType.YEARLY,
    "annually": ScheduleType.YEARLY,
}
_MONTHLY_KINDS = (ScheduleType.MONTHLY, ScheduleType.QUARTERLY, ScheduleType.YEARLY)
_WEEKLY_KINDS = (ScheduleType.WEEKLY, ScheduleType.HALF_WEEKLY)
_GROUPS = {"weekday": (0, 1, 2, 3, 4), "weekdays": (0, 1, 2, 3, 4), "weekend": (5, 6), "weekends": (5, 6)}
_AFTER_EVERY = (*DAYS, *_GROUPS, *_BY_UNIT, *LENGTHS, *(f"{unit}s" for unit in LENGTHS), "business", "other")
_HEADS = (*_ADVERBS, "every", "on", "once", "cron")
_POLICIES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    *((tuple(words.split()), "gap", gap.value) for gap, words in GAP_WORDS.items()),
    *((tuple(words.split()), "fold", fold.value) for fold, words in FOLD_WORDS.items()),
    (("skip", "months", "without", "that", "day"), "month_end", MonthEnd.SKIP.value),
    (("last", "day", "of", "months", "without", "that", "day"), "month_end", MonthEnd.CLAMP.value),
)
_SUGGESTED = (
    *("at", "in", "on", "from", "starting", "until", "spread", "except", "weekends", "holidays"),
    *(words[0] for words, _, _ in _POLICIES),
    *DAYS,
    *MONTH_NUMBERS,
)


@dataclass
class Rule:
    """One rule while it is read. What depends on its zone waits until the zone is known."""

    reader: Reader
    values: dict[str, Any] = field(default_factory=dict)
    excluded: set[date] = field(default_factory=set)
    time: time | None = None
    zone: str | None = None
    moments: dict[str, Moment] = field(default_factory=dict)
    weekdays: tuple[int, ...] = ()
    count: int | None = None
    """The number of an "every 2 weeks"; None for "every week"."""

    def read(self) -> None:
        """The head and all its parts, up to the end or a semicolon."""
        self._head()
        while True:
            self.reader.accept(",")
            if self.reader.peek() in ("", ";"):
                return
            self._part()

    # --- heads

    def _head(self) -> None:
        reader = self.reader
        word = reader.peek()
        if word in _ADVERBS:
            self.values["type"] = _ADVERBS[reader.take()]
        elif reader.accept("twice", "a", "week"):
            self.values["type"] = ScheduleType.HALF_WEEKLY
        elif reader.accept("every") or reader.accept("each"):
            self._every()
        elif reader.accept("on"):
            self._on_first()
        elif reader.accept("once"):
            _ = reader.accept("on") or reader.accept("at")
            self.values["type"] = ScheduleType.ONCE
            self.moments["at"] = reader.moment()
        elif reader.accept("cron"):
            self._cron()
        else:
            raise reader.unclear('"every", "on", "once", "daily" or "cron"', _HEADS)

    def _every(self) -> None:
        reader = self.reader
        word = reader.peek()
        if word in DAYS or word in _GROUPS:
            self.values |= {"type": ScheduleType.WEEKLY, "days": self._days()}
        elif reader.accept("business", "day") or reader.accept("workday"):
            self.values |= {"type": ScheduleType.DAILY, "business_days": True}
        elif reader.accept("hour"):
            self.values["type"] = ScheduleType.HOURLY
        elif word in _BY_UNIT:
            self.values["type"] = _BY_UNIT[reader.take()]
        elif word in LENGTHS:
            self._interval(timedelta(seconds=LENGTHS[reader.take()]))
        elif reader.accept("other"):
            unit = reader.choose({"day": 1, "week": 7}, '"day" or "week"')
            self._interval(timedelta(days=2 if unit == "day" else 14))
        elif reader.is_length():
            self._every_so_many()
        else:
            raise reader.unclear("a day, a unit of time or a number", _AFTER_EVERY)

    def _every_so_many(self) -> None:
        before = self.reader.position
        count, unit = self.reader.length()
        if unit in LENGTHS:
            self.reader.position = before
            self._interval(self.reader.span())
            return
        unit = _MONTHS_OF.get((count, unit), unit if count == 1 else "")
        if not unit:
            self.reader.position = before
            raise self.reader.unclear("every month, quarter or year; others are for cron: cron 0 9 1 */2 *")
        self.values["type"] = _BY_UNIT[unit]

    def _interval(self, every: timedelta) -> None:
        self.values |= {"type": ScheduleType.INTERVAL, "every": every}

    def _days(self) -> tuple[int, ...]:
        if self.reader.peek() in _GROUPS:
            return _GROUPS[self.reader.take()]
        return self.reader.listed(DAYS, "a weekday")

    def _on_first(self) -> None:
        reader = self.reader
        if reader.is_date():
            self.values["type"] = ScheduleType.ONCE
            self.moments["at"] = reader.moment()
        elif reader.peek() in DAYS or reader.peek() in _GROUPS:
            self.values |= {"type": ScheduleType.WEEKLY, "days": self._days()}
        else:
            self._on_day_of_every()

    def _on_day_of_every(self) -> None:
        """``the 31st of every month``, ``the first Monday of March every year``, ``29 February every year``."""
        reader = self.reader
        named = self._day_of_month()
        if not named:
            reader.expect("of")
            if named := reader.peek() in MONTH_NUMBERS:
                self.values["month"] = MONTH_NUMBERS[reader.take()]
        if not (reader.accept("every") or reader.accept("each")):
            raise reader.unclear('"every month", "every quarter" or "every year"', ["every"])
        units = {"year": 12} if named else {"month": 1, "quarter": 3, "year": 12}
        unit = reader.choose(units, " or ".join(f'"{unit}"' for unit in units))
        self.values["type"] = _BY_UNIT[unit]
        if unit != "month":
            self.values.setdefault("month", 1)

    def _cron(self) -> None:
        first = self.reader.field()
        if first.startswith("@"):
            self.values |= {"type": ScheduleType.CUSTOM, "cron": first}
            return
        fields = [first, *(self.reader.field() for _ in range(4))]
        if not all(fields):
            raise self.reader.unclear("five fields, such as cron 0 9 * * 1")
        self.values |= {"type": ScheduleType.CUSTOM, "cron": " ".join(fields)}

    # --- days of a month

    def _day_of_month(self) -> bool:
        """Read DAY; says whether it named a month with it."""
        reader = self.reader
        if reader.peek() in MONTH_NUMBERS:
            self.values["month"] = MONTH_NUMBERS[reader.take()]
            self._set_day(reader.ordinal())
            return True
        reader.accept("the")
        if reader.accept("last", "day"):
            self.values["day_of_month"] = -1
            return False
        before = reader.position
        if (nth := NTHS.get(reader.take())) is not None and reader.peek() in DAYS:
            self.values |= {"week_of_month": nth, "days": reader.listed(DAYS, "a weekday")}
            return False
        reader.position = before
        self._set_day(reader.ordinal())
        reader.accept("day")
        if reader.peek() in MONTH_NUMBERS:
            self.values["month"] = MONTH_NUMBERS[reader.take()]
            return True
        return False

    def _set_day(self, day: int | None) -> None:
        if day is None:
            raise self.reader.unclear("a day such as the 31st, the last day or the first Monday", (*NTHS, *DAYS))
        self.values["day_of_month"] = day

    def _on(self) -> None:
        """An "on" after the head: the days of a week, or the day of a month."""
        reader, kind = self.reader, self.values["type"]
        weeks = kind is ScheduleType.INTERVAL and not self.values["every"] % (7 * _DAY)
        if kind in _WEEKLY_KINDS and "days" not in self.values:
            self.values["days"] = self._days()
        elif weeks and not self.weekdays:
            self.weekdays = (DAYS[reader.choose(DAYS, "one weekday")],)
        elif kind in _MONTHLY_KINDS and not self.values.keys() & {"day_of_month", "week_of_month"}:
            if not self._day_of_month() and kind is not ScheduleType.MONTHLY and reader.accept("of"):
                self._months()
            if kind is ScheduleType.MONTHLY and "month" in self.values:
                raise reader.unclear("a day of every month: a month is named already")
        else:
            raise reader.unclear("no other day: the days are said already")

    def _months(self) -> None:
        before = self.reader.position
        months = self.reader.listed(MONTH_NUMBERS, "a month")
        quarterly = self.values["type"] is ScheduleType.QUARTERLY
        if len({month % 3 for month in months}) > 1 or (not quarterly and len(months) > 1):
            self.reader.position = before
            raise self.reader.unclear("months three apart for a quarter, and one month for a year")
        self.values["month"] = (months[0] - 1) % 3 + 1 if quarterly else months[0]

    # --- parts

    def _part(self) -> None:
        reader = self.reader
        word = reader.peek()
        if word == "on":
            reader.take()
            self._on()
        elif word == "at" and self.time is None:
            reader.take()
            self.time = reader.time_of_day()
        elif word == "in" and self.zone is None:
            reader.take()
            self.zone = reader.zone()
        elif word in ("from", "starting", "until"):
            self._bound(reader.take())
        elif word == "spread":
            reader.expect("spread", "over")
            self.values["spread"] = reader.span()
        elif word == "except":
            reader.take()
            self._off(dates=True)
        elif word in ("weekends", "holidays"):
            self._off(dates=False)
            reader.expect("move", "to", "the")
            moves = {"next": HolidayPolicy.NEXT, "previous": HolidayPolicy.PREVIOUS}
            self.values["on_holiday"] = moves[reader.choose(moves, '"next" or "previous"')]
            reader.expect("business", "day")
        else:
            self._policy()

    def _bound(self, word: str) -> None:
        reader = self.reader
        if word == "starting":
            _ = reader.accept("on") or reader.accept("from")
        anchors = word == "from" and self.values["type"] is ScheduleType.INTERVAL
        name = "end" if word == "until" else "anchor" if anchors else "start"
        if name in self.moments:
            raise reader.unclear(f"no other {name}: it is said already")
        self.moments[name] = reader.moment()

    def _off(self, *, dates: bool) -> None:
        reader = self.reader
        while True:
            reader.accept("on")
            if dates and reader.is_date():
                reader.dates(self.excluded)
            elif reader.accept("weekends"):
                self.values["business_days"] = True
            elif reader.accept("holidays"):
                reader.expect("in")
                self.values["holidays"] = reader.field()
            else:
                raise reader.unclear('"weekends", "holidays in US-NY" or a date', ("weekends", "holidays"))
            before = reader.position
            if not (reader.accept("and") or (reader.accept(",") and dates and reader.is_date())):
                reader.position = before
                return
            reader.accept("and")

    def _policy(self) -> None:
        reader = self.reader
        reader.accept("the")
        before, furthest = reader.position, (0, "")
        for words, name, value in _POLICIES:
            read = 0
            while read < len(words) and reader.accept(words[read]):
                read += 1
            if read == len(words):
                self.values[name] = value
                return
            reader.position = before
            furthest = max(furthest, (read, " ".join(words)))
        read, phrase = furthest
        if not read:
            raise reader.unclear('"at", "in", "from", "until", "except" or a policy', _SUGGESTED)
        reader.expect(*phrase.split())  # points at the word where it goes wrong

    # --- what it comes to

    def fields(self, now: datetime, default_zone: str) -> dict[str, Any]:
        """The fields of the schedule."""
        zone = self.zone or default_zone
        local = utc(now).astimezone(zone_info(zone))
        kind = self.values["type"]
        values = {**self.values, "timezone": zone}
        if self.excluded:
            values["exclude"] = tuple(sorted(self.excluded))
        for name, moment in self.moments.items():
            values[name] = self._instant(name, moment, zone)
        if kind is ScheduleType.INTERVAL:
            self._place(values, local)
        elif self.time is not None and kind in (ScheduleType.CUSTOM, *_NAMED.values()):
            raise InvalidSchedule("schedule", str(self.time), "has no place", "this kind of schedule has its own times")
        elif kind is not ScheduleType.ONCE:
            self._fill(values, local)
        return values

    def _instant(self, name: str, moment: Moment, zone: str) -> datetime:
        if name == "end" and moment.day is not None and moment.at is None:
            return Moment(day=moment.day + _DAY).on(zone, _MIDNIGHT) - _INSTANT  # that day is part of it
        return moment.on(zone, _MIDNIGHT if name in ("start", "end") else self.time or _NINE)

    def _fill(self, values: dict[str, Any], local: datetime) -> None:
        """What was left open, from the writer's date."""
        kind = values["type"]
        if self.time is not None:
            if self.time.second or self.time.microsecond:
                problem = "has seconds, which a time of day has not"
                raise InvalidSchedule("schedule", str(self.time), problem, "write it as 09:00")
            values["time"] = f"{self.time:%H:%M}"
        if kind is ScheduleType.WEEKLY:
            values.setdefault("days", (local.weekday(),))
        elif kind is ScheduleType.HALF_WEEKLY:
            values.setdefault("days", (0, 3))
        elif kind in _MONTHLY_KINDS:
            named = "day_of_month" in values or "week_of_month" in values
            if not named:
                values["day_of_month"] = local.day
            if kind is not ScheduleType.MONTHLY and values.get("month") is None:
                values["month"] = 1 if named else local.month
            if kind is ScheduleType.QUARTERLY:
                values["month"] = (values["month"] - 1) % 3 + 1

    def _place(self, values: dict[str, Any], local: datetime) -> None:
        """Give an interval its anchor, or its name where it has one."""
        every: timedelta = values["every"]
        if "anchor" in values:
            return
        if every in _NAMED and self.time is None:
            values["type"] = _NAMED[every]
            del values["every"]
            return
        whole_days = not every % _DAY
        at = self.time or (local.time().replace(second=0, microsecond=0) if whole_days else _MIDNIGHT)
        wall = datetime.combine(local.date(), at, local.tzinfo)
        while whole_days and (wall <= local or (self.weekdays and wall.weekday() not in self.weekdays)):
            wall += _DAY
        values["anchor"] = wall.astimezone(UTC)
