"""Schedules: the rule that says at which instants a task is due, and pure arithmetic over it.

Nothing here reads a clock. Slots are aware UTC datetimes. ``Schedule(...)`` itself checks only structure, so that every
event ever written stays loadable; what people type goes through ``make_schedule``, which refuses what makes no sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from importlib.metadata import version
from itertools import islice
from operator import itemgetter
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.compiling import compile_schedule
from domain.errors import InvalidInput, InvalidSchedule
from domain.event import Utc
from domain.frozen import but
from domain.holiday import holiday_version
from domain.schedule_checks import checked_values
from domain.schedule_kinds import NAMED_CRON, FoldPolicy, GapPolicy, HolidayPolicy, MonthEnd, ScheduleType
from domain.schedule_notes import notes_between
from domain.schedule_words import describe, warnings_for
from domain.slots import Engine
from domain.zone import zone_version

__all__ = [
    "FoldPolicy",
    "GapPolicy",
    "HolidayPolicy",
    "MonthEnd",
    "Schedule",
    "ScheduleType",
    "between",
    "count_between",
    "describe",
    "make_schedule",
    "next_after",
    "notes_between",
    "previous_before",
    "rules_fingerprint",
    "warnings_for",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JUDGED_FROM = datetime(2000, 1, 1, tzinfo=UTC)  # a schedule must have a slot after this, or it "can never run"
_MOST_RULES = 20


class Schedule(BaseModel):
    """A rule for slots. Everything that is needed to compute them is in it.

    Kinds: ``time`` is wall-clock "HH:MM" in ``timezone``. ``days`` are weekdays with 0=Monday. ``day_of_month`` is 1
    to 31 or -1 (the last day); ``week_of_month`` (1 to 5, or -1) makes it the nth or last of ``days`` instead;
    ``month`` (1 to 12) is that of a YEARLY, or any one of a QUARTERLY. ``every`` and ``anchor`` make the grid of an
    INTERVAL: whole days on the wall clock at the anchor's local time, anything else in elapsed time; the anchor is
    the first slot. The anchor's local date also gives the other kinds the weekday, day or month that they do not
    name. ``at`` is the instant of a ONCE.

    Days: holidays of the calendar ``holidays`` ("DE", "US-NY") and, with ``business_days``, weekends are days off;
    ``on_holiday`` says what becomes of their slots. No slot is on a local date in ``exclude``.

    Bounds and more: ``start`` <= slot <= ``end``. ``spread`` delays all slots by a constant part of that window, hashed
    from ``key`` (the task's id), as is ``H`` in ``cron``. ``also`` are more rules, each complete in itself: the slots
    of all are the slots of the schedule. Instants are aware and kept in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_timedelta="float")

    type: ScheduleType
    time: str = "09:00"
    days: tuple[int, ...] = ()
    cron: str | None = None
    every: timedelta | None = None
    day_of_month: int | None = None
    week_of_month: int | None = None
    month: int | None = None
    anchor: Utc | None = None
    at: Utc | None = None
    timezone: str = "UTC"
    gap: GapPolicy = GapPolicy.NEXT_VALID
    fold: FoldPolicy = FoldPolicy.FIRST
    month_end: MonthEnd = MonthEnd.CLAMP
    business_days: bool = False
    holidays: str | None = None
    on_holiday: HolidayPolicy = HolidayPolicy.SKIP
    exclude: tuple[date, ...] = ()
    start: Utc | None = None
    end: Utc | None = None
    spread: timedelta | None = None
    key: str = ""
    also: tuple[Schedule, ...] = ()

    @cached_property
    def engine(self) -> Engine:
        """The compiled rule. Raises InvalidSchedule or InvalidTimezone for what ``make_schedule`` would refuse."""
        # Most rules do not depend on whose they are: those are compiled once for all tasks that share them.
        if self._hashed:
            return _compiled(self)
        return self.rule.engine if self.rule is not self else compile_schedule(self)

    @cached_property
    def rule(self) -> Schedule:
        """The same with nobody's ``key``: one value for all schedules that say the same."""
        said: tuple[Any, ...] = _SAID(self.__dict__)
        if self.also:
            return _rule((*said[:-1], tuple(rule.rule for rule in self.also)))
        return _rule(said)

    def keyed(self, key: str) -> Schedule:
        """The same with another ``key``, in all of its rules."""
        also = tuple(rule.keyed(key) for rule in self.also) if self.also else ()
        if self.key == key and also == self.also:
            return self
        keyed = but(self, key=key, also=also, rule=self.rule)
        if self._hashed:
            keyed.__dict__.pop("engine", None)
        return keyed

    @property
    def _hashed(self) -> bool:
        """Whether slots depend on the key."""
        if self.spread is not None or self.type is ScheduleType.CUSTOM or self.type in NAMED_CRON:
            return True
        return bool(self.also) and any(rule._hashed for rule in self.also)

    def __copy__(self) -> Self:
        copied = super().__copy__()
        for derived in _DERIVED:  # model_copy(update=...) must not carry along what followed from other values
            copied.__dict__.pop(derived, None)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()  # frozen values all the way down

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__dict__": {k: v for k, v in state["__dict__"].items() if k not in _DERIVED}}


_DERIVED = ("engine", "rule")
_SAYING = (*(name for name in Schedule.model_fields if name not in ("key", "also")), "also")
_SAID = itemgetter(*_SAYING)


@lru_cache(maxsize=8192)
def _compiled(schedule: Schedule) -> Engine:
    return compile_schedule(schedule)


@lru_cache(maxsize=8192)
def _rule(said: tuple[Any, ...]) -> Schedule:
    rule = Schedule.model_construct(**dict(zip(_SAYING, said, strict=True)))
    rule.__dict__["rule"] = rule
    return rule


def make_schedule(**fields: Any) -> Schedule:
    """A checked Schedule of these fields (those of ``Schedule``); ``also`` takes schedules, or mappings of fields that
    share the zone and the key of the first rule unless they name their own.

    Raises InvalidSchedule or InvalidTimezone, with the field, the value, what is wrong and what would be right.
    """
    also = fields.pop("also", None)
    values = checked_values(fields, Schedule.model_fields)
    _check_together(values)
    if also:
        values["also"] = _checked_rules(also, values)
    try:
        schedule = Schedule(**values)
    except ValidationError as error:  # whatever the checks above do not know by name
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidSchedule(field, first.get("input"), f"is wrong: {first['msg']}") from None
    _check_runs(schedule)
    return schedule


def _check_together(values: dict[str, Any]) -> None:
    start, end = values.get("start"), values.get("end")
    if start is not None and end is not None and end < start:
        raise InvalidSchedule("end", end.isoformat(), "is before the start", f"choose an end after {start.isoformat()}")
    moves = values.get("on_holiday", HolidayPolicy.SKIP) is not HolidayPolicy.SKIP
    every = values.get("every")
    instants = values["type"] is ScheduleType.ONCE or (
        values["type"] is ScheduleType.INTERVAL and every is not None and every % timedelta(days=1)
    )
    if moves and instants and (values.get("holidays") or values.get("business_days")):
        problem = "cannot move a slot that is not on a day's schedule"
        raise InvalidSchedule("on_holiday", str(values["on_holiday"]), problem, 'use "skip"')


def _checked_rules(also: Any, values: dict[str, Any]) -> tuple[Schedule, ...]:
    if not isinstance(also, list | tuple) or len(also) >= _MOST_RULES:
        raise InvalidSchedule("also", also, "is not a list of rules", f"give at most {_MOST_RULES - 1} more rules")
    shared = {name: values[name] for name in ("timezone", "key") if name in values}
    rules = []
    for rule in also:
        if isinstance(rule, Schedule):
            rule = {name: getattr(rule, name) for name in rule.model_fields_set}
        elif isinstance(rule, dict) and all(isinstance(name, str) for name in rule):
            rule = {**shared, **rule}
        else:
            raise InvalidSchedule("also", rule, "is not a rule", "give schedules, or mappings of a schedule's fields")
        if rule.get("also"):
            raise InvalidSchedule("also", rule["also"], "is nested", "list all rules on one level")
        rules.append(make_schedule(**rule))
    return tuple(rules)


def _check_runs(schedule: Schedule) -> None:
    since = None if schedule.type is ScheduleType.ONCE else schedule.start or _JUDGED_FROM
    slot = schedule.engine.after(-(10**18) if since is None else _microseconds(since) - 1)
    if slot is None:
        remedy = "widen its bounds, or exclude fewer days"
        raise InvalidSchedule("type", schedule.type.value, "can never run: no slot is left", remedy)


def _microseconds(instant: datetime) -> int:
    try:
        gone = instant - _EPOCH
    except TypeError:
        raise InvalidInput("instant", str(instant), "is naive and names no instant", "give it a time zone") from None
    return (gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds


def next_after(schedule: Schedule, instant: datetime) -> datetime | None:
    """The first slot strictly after ``instant`` (aware UTC); None when there is none before the year 9999.

    Raises InvalidInput for a naive ``instant``.
    """
    return _after(schedule.engine, _microseconds(instant))


# Tasks that are due together and share a rule ask the same of it, several times for each run. By the number: of two
# datetimes of one zone Python compares what the clock shows, and not the instants.


@lru_cache(maxsize=1024)
def _after(engine: Engine, instant: int) -> datetime | None:
    slot = engine.after(instant)
    try:
        return None if slot is None else _EPOCH + timedelta(0, 0, slot)
    except OverflowError:
        return None


@lru_cache(maxsize=1024)
def _before(engine: Engine, instant: int) -> datetime | None:
    slot = engine.before(instant)
    return None if slot is None else _EPOCH + timedelta(0, 0, slot)


def previous_before(schedule: Schedule, instant: datetime) -> datetime | None:
    """The last slot strictly before ``instant`` (aware UTC); None when there is none since the year 1.

    Raises InvalidInput for a naive ``instant``.
    """
    return _before(schedule.engine, _microseconds(instant))


def _slots(engine: Engine, after: int, until: int) -> Iterator[datetime]:
    slot = engine.after(after)
    while slot is not None and slot <= until:  # and so never beyond what a datetime can hold
        yield _EPOCH + timedelta(0, 0, slot)
        slot = engine.after(slot)


def between(schedule: Schedule, start: datetime, end: datetime, limit: int = 1000) -> list[datetime]:
    """The slots with ``start`` < slot <= ``end``, the first ``limit`` of them at most, in order (aware UTC)."""
    return list(islice(_slots(schedule.engine, _microseconds(start), _microseconds(end)), max(limit, 0)))


def count_between(schedule: Schedule, start: datetime, end: datetime) -> int:
    """How many slots there are with ``start`` < slot <= ``end``; arithmetic, so that long ranges cost little."""
    return schedule.engine.count(_microseconds(start), _microseconds(end))


@lru_cache(maxsize=1)
def rules_fingerprint() -> str:
    """The versions of everything that slots depend on, such as "tz2026.6 cronsim2.8 holidays0.109"."""
    return f"tz{zone_version()} cronsim{version('cronsim')} holidays{holiday_version()}"
