"""From the fields that people write (the public names) to a TaskDefinition: the one place that knows both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from domain.definition import TaskDefinition
from domain.errors import InvalidInput, InvalidSchedule
from domain.event import utc
from domain.schedule import Schedule, ScheduleType, make_schedule
from domain.zone import zone_info

__all__ = ["SCHEDULE_FIELDS", "define", "parse_duration", "revised", "schedule_of"]

SCHEDULE_FIELDS = {
    "schedule_type": "type",
    "schedule_time": "time",
    "schedule_days": "days",
    "cron_expression": "cron",
    "interval": "every",
    "day_of_month": "day_of_month",
    "week_of_month": "week_of_month",
    "month": "month",
    "next_run": "at",
    "created_at": "anchor",
    "timezone": "timezone",
    "gap": "gap",
    "fold": "fold",
    "month_end": "month_end",
    "business_days": "business_days",
    "holidays": "holidays",
    "on_holiday": "on_holiday",
    "exclude": "exclude",
    "start": "start",
    "end": "end",
    "spread": "spread",
    "also": "also",
}
"""The schedule fields of a task as people write them, and their names in a Schedule.

All but ``key``: that is the task's id, and the task's own to set.
"""

_OF_THE_KIND = (
    *("schedule_days", "cron_expression", "interval", "day_of_month", "week_of_month", "month", "next_run"),
)
"""What belongs to one kind of schedule and means nothing to another."""

_DURATION = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(field: str, text: str) -> timedelta:
    """``90m``, ``4h``, ``1d``, ``2w`` as a timedelta. Raises InvalidInput."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidInput(field, text, "is not a duration", "write a number and a unit: 90m, 4h, 1d, 2w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def define(fields: Mapping[str, Any], *, now: datetime) -> TaskDefinition:
    """The definition that these fields mean. ``now`` anchors what is given no anchor. Raises InvalidInput."""
    rest = {key: value for key, value in fields.items() if key not in SCHEDULE_FIELDS and key != "schedule"}
    return _definition(rest, schedule_of(fields, now=now))


def schedule_of(fields: Mapping[str, Any], *, now: datetime) -> Schedule:
    """The schedule that these fields of a task mean. ``now`` anchors what is given no anchor. Raises InvalidInput.

    Schedule fields beside a finished ``schedule`` change it.
    """
    schedule = fields.get("schedule")
    if schedule is None:
        schedule = _schedule(_given(fields), now)
    elif not isinstance(schedule, Schedule):
        raise InvalidInput("schedule", type(schedule).__name__, "is not a Schedule", "use the schedule_... fields")
    elif given := _given(fields):
        schedule = _schedule({**_fields_of(schedule, given), **given}, now, schedule.key)
    return schedule


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say something of the schedule."""
    return {key: value for key, value in fields.items() if value is not None and key in SCHEDULE_FIELDS}


def revised(definition: TaskDefinition, changes: Mapping[str, Any], *, now: datetime) -> TaskDefinition:
    """The definition with some fields changed, named as in ``define``. Raises InvalidInput."""
    given = {key: changes[key] for key in SCHEDULE_FIELDS if key in changes}
    rest = {key: value for key, value in changes.items() if key not in SCHEDULE_FIELDS and key != "schedule"}
    schedule = changes.get("schedule") or definition.schedule
    if given:
        schedule = _schedule({**_fields_of(schedule, given), **given}, now, schedule.key)
    return _definition(
        {**{k: getattr(definition, k) for k in type(definition).model_fields if k != "schedule"}, **rest}, schedule
    )


def _fields_of(schedule: Schedule, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {public: getattr(schedule, own) for public, own in SCHEDULE_FIELDS.items()}
    if "schedule_type" in given and given["schedule_type"] != schedule.type:
        for name in _OF_THE_KIND:
            fields.pop(name)
    if (zone := given.get("timezone")) is not None:
        # Further rules that were in the zone of the first move along with it.
        fields["also"] = tuple(
            rule.model_copy(update={"timezone": zone}) if rule.timezone == schedule.timezone else rule
            for rule in schedule.also
        )
    return {key: value for key, value in fields.items() if value not in (None, ())}


def _schedule(given: Mapping[str, Any], now: datetime, key: str = "") -> Schedule:
    values = _own_fields(given, given.get("timezone") or "UTC")
    values.setdefault("anchor", now.replace(microsecond=0))  # slots of an interval are at whole seconds
    try:
        values["type"] = ScheduleType(values.get("type", ScheduleType.DAILY))
    except ValueError:
        kinds = ", ".join(kind.value for kind in ScheduleType)
        raise InvalidSchedule(
            "schedule_type", values["type"], "is not a kind of schedule", f"choose one of {kinds}"
        ) from None
    return make_schedule(**values, key=key)


def _own_fields(given: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """These public fields under the names that a Schedule has for them."""
    values: dict[str, Any] = {"timezone": zone}
    for public, value in given.items():
        if value is not None and public in SCHEDULE_FIELDS:
            values[SCHEDULE_FIELDS[public]] = _converted(public, value, zone)
    return values


def _converted(public: str, value: Any, zone: str) -> Any:
    if public in ("next_run", "created_at"):
        if not isinstance(value, datetime):
            raise InvalidInput(public, value, "is not a datetime", "give a datetime")
        # As existing code writes it: a naive datetime is wall-clock time in the task's own zone.
        return utc(value if value.tzinfo is not None else value.replace(tzinfo=zone_info(zone)))
    if public in ("interval", "spread") and isinstance(value, str):
        return parse_duration(public, value)
    if public == "schedule_days":
        return tuple(value)
    if public == "exclude" and isinstance(value, list | tuple):
        return [_date(day) for day in value]
    if public == "also" and isinstance(value, list | tuple):
        return [_rule(rule, zone) for rule in value]
    return value


def _date(day: Any) -> Any:
    if not isinstance(day, str):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise InvalidSchedule("exclude", day, "is not a date", "write dates as 2026-12-24") from None


def _rule(rule: Any, zone: str) -> Any:
    """One more rule: a Schedule, or a mapping of public fields; make_schedule says what is wrong with others."""
    if not isinstance(rule, Mapping):
        return rule
    unknown = sorted(str(name) for name in rule if name not in SCHEDULE_FIELDS or name == "also")
    if unknown:
        known = ", ".join(sorted(set(SCHEDULE_FIELDS) - {"also"}))
        raise InvalidSchedule("also", unknown[0], "is not a field of a further rule", f"the fields are {known}")
    values = _own_fields(rule, rule.get("timezone") or zone)
    values.setdefault("type", ScheduleType.DAILY)
    return values


def _definition(rest: dict[str, Any], schedule: Schedule) -> TaskDefinition:
    unknown = sorted(set(rest) - set(TaskDefinition.model_fields))
    if unknown:
        known = ", ".join(sorted({*TaskDefinition.model_fields, *SCHEDULE_FIELDS} - {"schedule"}))
        raise InvalidInput(unknown[0], rest[unknown[0]], "is not a field of a task", f"the fields are {known}")
    for field in ("name", "guild_id"):
        rest.setdefault(field, "Untitled" if field == "name" else "")
    try:
        return TaskDefinition(**{key: value for key, value in rest.items() if value is not None}, schedule=schedule)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "task"
        raise InvalidInput(place, first.get("input"), first["msg"][0].lower() + first["msg"][1:]) from None
