"""From the fields that people write (the public names) to a TaskDefinition: the one place that knows both."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from domain.definition import TaskDefinition
from domain.errors import InvalidInput, InvalidSchedule
from domain.event import utc
from domain.schedule import Schedule, ScheduleType, make_schedule
from domain.zone import zone_info

__all__ = ["SCHEDULE_FIELDS", "define", "parse_duration", "revised"]

SCHEDULE_FIELDS = {
    "schedule_type": "type",
    "schedule_time": "time",
    "schedule_days": "days",
    "cron_expression": "cron",
    "interval": "every",
    "day_of_month": "day_of_month",
    "next_run": "at",
    "created_at": "anchor",
    "timezone": "timezone",
    "gap": "gap",
    "fold": "fold",
    "month_end": "month_end",
}
"""The schedule fields of a task as people write them, and their names in a Schedule."""

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
    schedule = fields.get("schedule")
    if schedule is None:
        given = {key: fields[key] for key in SCHEDULE_FIELDS if fields.get(key) is not None}
        schedule = _schedule(given, now)
    elif not isinstance(schedule, Schedule):
        raise InvalidInput("schedule", type(schedule).__name__, "is not a Schedule", "use the schedule_... fields")
    return _definition(rest, schedule)


def revised(definition: TaskDefinition, changes: Mapping[str, Any], *, now: datetime) -> TaskDefinition:
    """The definition with some fields changed, named as in ``define``. Raises InvalidInput."""
    given = {key: changes[key] for key in SCHEDULE_FIELDS if key in changes}
    rest = {key: value for key, value in changes.items() if key not in SCHEDULE_FIELDS and key != "schedule"}
    schedule = changes.get("schedule") or definition.schedule
    if given:
        schedule = _schedule({**_fields_of(schedule, given), **given}, now)
    return _definition(
        {**{k: getattr(definition, k) for k in type(definition).model_fields if k != "schedule"}, **rest}, schedule
    )


def _fields_of(schedule: Schedule, given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {public: getattr(schedule, own) for public, own in SCHEDULE_FIELDS.items()}
    if "schedule_type" in given and given["schedule_type"] != schedule.type:
        # What belonged to the old kind means nothing to the new one.
        for name in ("schedule_days", "cron_expression", "interval", "day_of_month", "next_run"):
            fields.pop(name)
    return {key: value for key, value in fields.items() if value not in (None, ())}


def _schedule(given: dict[str, Any], now: datetime) -> Schedule:
    zone = given.get("timezone") or "UTC"
    values: dict[str, Any] = {"timezone": zone}
    for public, own in SCHEDULE_FIELDS.items():
        if (value := given.get(public)) is not None:
            values[own] = _converted(public, value, zone)
    values.setdefault("anchor", now)
    try:
        values["type"] = ScheduleType(values.get("type", ScheduleType.DAILY))
    except ValueError:
        kinds = ", ".join(kind.value for kind in ScheduleType)
        raise InvalidSchedule(
            "schedule_type", values["type"], "is not a kind of schedule", f"choose one of {kinds}"
        ) from None
    return make_schedule(**values)


def _converted(public: str, value: Any, zone: str) -> Any:
    if public in ("next_run", "created_at"):
        if not isinstance(value, datetime):
            raise InvalidInput(public, value, "is not a datetime", "give a datetime")
        # As existing code writes it: a naive datetime is wall-clock time in the task's own zone.
        return utc(value if value.tzinfo is not None else value.replace(tzinfo=zone_info(zone)))
    if public == "interval" and isinstance(value, str):
        return parse_duration(public, value)
    if public == "schedule_days":
        return tuple(value)
    return value


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
