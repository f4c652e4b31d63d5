"""From the options of ``tasks add`` and ``tasks edit`` to the fields of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from adapters.cli.written import destination, parameters, schedule_fields, when
from domain.definition import CatchUp, OverlapPolicy, TaskType
from domain.errors import InvalidInput
from domain.event import utc
from domain.runs import TaskStatus
from domain.schedule import Schedule, ScheduleType
from domain.summary import SummaryLength
from domain.zone import zone_info

__all__ = ["aware", "fitting_kind", "statuses", "task_fields"]

_WITH_DAYS = (ScheduleType.WEEKLY, ScheduleType.HALF_WEEKLY)
_WITH_DAY = (ScheduleType.MONTHLY, ScheduleType.QUARTERLY, ScheduleType.YEARLY)


def task_fields(
    *,
    name: str | None = None,
    to: Sequence[str] | None = None,
    hours: float | None = None,
    length: str | None = None,
    min_messages: int | None = None,
    title: str | None = None,
    does: str | None = None,
    operation: str | None = None,
    parameter: Sequence[str] | None = None,
    max_failures: int | None = None,
    retry_delay: float | None = None,
    overlap: str | None = None,
    catch_up: str | None = None,
    max_runs: int | None = None,
    schedule: Mapping[str, Any],
) -> dict[str, Any]:
    """The fields that were given, under the public names. ``summary_options`` holds only what was given of them."""
    options = {
        "summary_length": _choice("--length", length, SummaryLength),
        "min_messages": _number("--min-messages", min_messages, 0, 100_000),
    }
    fields: dict[str, Any] = {
        "name": name,
        "destinations": tuple(destination(text) for text in to) if to else None,
        "time_range_hours": hours,
        "title_template": title,
        "task_type": _choice("--does", does, TaskType),
        "operation": operation,
        "parameters": parameters(parameter or ()),
        "max_failures": max_failures,
        "retry_delay_minutes": retry_delay,
        "overlap": _choice("--overlap", overlap, OverlapPolicy),
        "catch_up": _choice("--catch-up", catch_up, CatchUp),
        "max_runs": max_runs,
        "summary_options": {key: value for key, value in options.items() if value is not None} or None,
        **schedule_fields(schedule),
    }
    return {key: value for key, value in fields.items() if value is not None}


def fitting_kind(fields: dict[str, Any], schedule: Schedule, named: bool) -> dict[str, Any]:
    """The same for an edit: a kind that was only inferred does not replace one that takes the option as well."""
    keeps = (schedule.type in _WITH_DAYS and "schedule_days" in fields) or (
        schedule.type in _WITH_DAY and bool(fields.keys() & {"day_of_month", "week_of_month", "month"})
    )
    if named or not keeps:
        return fields
    return {key: value for key, value in fields.items() if key != "schedule_type"}


def statuses(texts: Sequence[str]) -> tuple[str, ...]:
    """Statuses by their names. Raises InvalidInput."""
    return tuple(str(_choice("--status", text, TaskStatus)) for text in texts)


def aware(option: str, text: str, zone: str, now: datetime | None = None) -> datetime:
    """An instant; without an offset it is wall-clock time in that zone. Raises InvalidInput.

    Where ``now`` is given, "now" is that.
    """
    if now is not None and text.strip().lower() == "now":
        return now
    written = when(option, text)
    return utc(written if written.tzinfo is not None else written.replace(tzinfo=zone_info(zone)))


def _choice(option: str, text: str | None, kinds: Any) -> Any:
    if text is None:
        return None
    try:
        return kinds(text.strip().lower())
    except ValueError:
        raise InvalidInput(option, text, "is not known", "use one of " + ", ".join(kinds)) from None


def _number(option: str, value: int | None, least: int, most: int) -> int | None:
    if value is not None and not least <= value <= most:
        raise InvalidInput(option, value, "is out of range", f"give a number from {least} to {most}")
    return value
