"""The options that make a schedule, the same for ``preview``, ``tasks add`` and ``tasks edit``; and phrases."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli.options import (
    AtOption,
    CronOption,
    DayOption,
    DaysOption,
    EveryOption,
    KindOption,
    TimeOption,
    TimezoneOption,
)

if TYPE_CHECKING:
    from domain.schedule import Schedule

__all__ = ["SHAPE", "in_zone", "is_phrase", "with_phrase", "with_schedule"]


def _text(flag: str, metavar: str, help: str) -> Any:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=help)]


def _number(flag: str, metavar: str, help: str) -> Any:
    return Annotated[int | None, typer.Option(flag, metavar=metavar, help=help)]


_OPTIONS: Mapping[str, Any] = {
    "type": KindOption,
    "time": TimeOption,
    "days": DaysOption,
    "cron": CronOption,
    "every": EveryOption,
    "anchor": _text("--anchor", "INSTANT", "First slot of an interval: 2026-01-05T10:00 in the task's zone."),
    "day": DayOption,
    "week": _number("--week", "N", "With --days: which of them in a month, 1 to 5, -1 the last."),
    "month": _number("--month", "MONTH", "Month of a yearly or quarterly schedule: 1 to 12."),
    "at": AtOption,
    "timezone": TimezoneOption,
    "gap": _text("--gap", "POLICY", "A local time that does not exist: next_valid, shift, skip."),
    "fold": _text("--fold", "POLICY", "A local time that comes twice: first, second, both."),
    "month_end": _text("--month-end", "POLICY", "A day that a month does not have: clamp (its last day), skip."),
    "business_days": Annotated[
        bool | None, typer.Option("--business-days/--all-days", help="Whether weekends are days off.")
    ],
    "holidays": _text("--holidays", "CALENDAR", "Public holidays are days off: DE, US-NY, NYSE."),
    "on_holiday": _text("--on-holiday", "POLICY", "Slots on days off: skip, next or previous business day."),
    "exclude": Annotated[
        list[str] | None, typer.Option("--exclude", metavar="DATE", help="A date without slots. May be repeated.")
    ],
    "start": _text("--start", "INSTANT", "No slot before: 2026-02-01T09:00 in the task's zone."),
    "end": _text("--end", "INSTANT", "No slot after: 2026-02-03T09:00 in the task's zone."),
    "spread": _text("--spread", "LENGTH", "Delay all slots by a part of this window that is the task's own: 30m."),
}

SHAPE = frozenset(
    {
        *("schedule_type", "schedule_time", "schedule_days", "cron_expression", "interval", "created_at"),
        *("day_of_month", "week_of_month", "month", "next_run"),
    }
)
"""The fields that a phrase already says."""

_SURE = ("every", "each", "once", "cron")
_MAYBE = ("on", "hourly", "daily", "weekly", "half-weekly", "twice", "monthly", "quarterly", "yearly", "annually")


def with_schedule(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter ``schedule`` is a mapping of the options above, which stand in its place."""
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name != "schedule":
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=option)
            for name, option in _OPTIONS.items()
        ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        command(schedule={name: given.pop(name) for name in _OPTIONS}, **given)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


def is_phrase(text: str) -> bool:
    """Whether a text is meant as a schedule, right or wrong: a name may begin with "Weekly" as well."""
    words = text.lower().split()
    if not words or len(words) == 1:
        return words[:1] != [] and words[0] in _MAYBE[1:] and words[0] != "twice"
    return words[0] in _SURE or (words[0] in _MAYBE and any(word in ("at", "on", "in", "of") for word in words[1:]))


def with_phrase(fields: dict[str, Any], phrase: str | None, *, now: datetime, zone: str) -> dict[str, Any]:
    """The fields with the schedule that a phrase says. Raises InvalidInput where options say it as well."""
    from domain.errors import InvalidInput
    from domain.phrases import parse_phrase

    if phrase is None:
        return fields
    if twice := sorted(SHAPE & fields.keys()):
        raise InvalidInput(twice[0], fields[twice[0]], "says again what the phrase says", "give one of the two")
    default = fields.pop("timezone", None) or zone
    said: Schedule = parse_phrase(phrase, now=now, default_timezone=default)
    return {**fields, "schedule": said}


def in_zone(fields: dict[str, Any], zone: str) -> dict[str, Any]:
    """The fields with bounds that were written without an offset as wall-clock time of the schedule's zone."""
    from domain.event import utc
    from domain.zone import zone_info

    said = fields.get("schedule")
    name = fields.get("timezone") or (said.timezone if said is not None else zone)
    for bound in ("start", "end"):
        value = fields.get(bound)
        if isinstance(value, datetime) and value.tzinfo is None:
            fields[bound] = utc(value.replace(tzinfo=zone_info(name)))
    return fields
