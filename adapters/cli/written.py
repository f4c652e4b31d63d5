"""What people write in options, as fields of a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.destination import Destination, DestinationType
from domain.errors import InvalidDestination, InvalidInput

__all__ = ["destination", "destination_words", "parameters", "schedule_fields", "weekdays", "when"]

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORMATS = {DestinationType.FILE: "markdown", DestinationType.WEBHOOK: "json", DestinationType.EMAIL: "html"}
_NEEDS = {
    DestinationType.DISCORD_CHANNEL: " (with DISCORD_TOKEN)",
    DestinationType.DISCORD_DM: " (with DISCORD_TOKEN)",
    DestinationType.EMAIL: " (with DAYBOOK_SMTP_HOST)",
}
"""What is to be set before a kind can be delivered to."""

_KIND_OF = {
    "cron_expression": "custom",
    "interval": "interval",
    "next_run": "once",
    "month": "yearly",
    "week_of_month": "monthly",
    "day_of_month": "monthly",
    "schedule_days": "weekly",
}
"""The kind of schedule that an option alone already means."""


def destination(text: str) -> Destination:
    """``file``, ``file:weekly``, ``discord_channel:123;format=embed``. Raises InvalidDestination."""
    place, *options = text.split(";")
    kind, _, target = place.strip().partition(":")
    try:
        type = DestinationType(kind.strip().lower().replace("-", "_"))
    except ValueError:
        known = ", ".join(kind.value + _NEEDS.get(kind, "") for kind in DestinationType)
        raise InvalidDestination("destination", text, "is of no known kind", f"write KIND[:TARGET]: {known}") from None
    shape = _FORMATS.get(type, "embed")
    for option in options:
        name, _, value = option.partition("=")
        if name.strip() != "format" or not value.strip():
            raise InvalidDestination("destination", text, f"has an unknown part {option!a}", "write ;format=markdown")
        shape = value.strip().lower()
    return Destination(type=type, target=target.strip(), format=shape)


def destination_words(place: Destination) -> str:
    """A destination as it is written in an option; of one whose target is secret, what people may see of it."""
    target = f":{place.label or place.target}" if place.target else ""
    shape = f";format={place.format}" if place.format != _FORMATS.get(place.type, "embed") else ""
    return f"{place.type}{target}{shape}" + ("" if place.enabled else " (off)")


def weekdays(text: str) -> tuple[int, ...]:
    """``mon,thu`` or ``0,3`` (0 is Monday). Numbers are checked with the schedule. Raises InvalidInput."""
    days = []
    for part in text.replace(" ", ",").split(","):
        name = part.strip().lower()
        if not name:
            continue
        if name.lstrip("-").isascii() and name.lstrip("-").isdigit():
            days.append(int(name))
        elif len(name) >= 2 and (found := [i for i, day in enumerate(_WEEKDAYS) if _is_day(name, i)]):
            days.append(found[0])
        else:
            raise InvalidInput("--days", text, "names no weekdays", "write mon,thu or 0,3 (0 is Monday)")
    if not days:
        raise InvalidInput("--days", text, "names no weekdays", "write mon,thu or 0,3 (0 is Monday)")
    return tuple(days)


def _is_day(name: str, index: int) -> bool:
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")[index]
    return full.startswith(name) and len(name) >= 2


def when(option: str, text: str) -> datetime:
    """``2026-12-24T18:00``, with or without an offset; without one it is wall-clock time. Raises InvalidInput."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            option, text, "is not a date and time", "write 2026-12-24T18:00, or 2026-12-24T18:00+01:00"
        ) from None


def parameters(texts: Sequence[str]) -> dict[str, Any] | None:
    """``name=value`` pairs; a value that is JSON is taken as such. None for none. Raises InvalidInput."""
    made = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise InvalidInput("--parameter", text, "has no name", "write name=value")
        try:
            made[name.strip()] = json.loads(value)
        except ValueError:
            made[name.strip()] = value
    return made or None


def schedule_fields(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """The schedule fields of a task from the options of that name; only what was given.

    The kind follows from the options where it is not named. Bounds may be naive still.
    """
    written = {name: value for name, value in schedule.items() if value is not None}
    given = {_FIELD_OF.get(name, name): _READ.get(name, _as_it_is)(value) for name, value in written.items()}
    if "schedule_type" not in given and (meant := next((_KIND_OF[name] for name in _KIND_OF if name in given), None)):
        given["schedule_type"] = meant
    return given


def _as_it_is(value: Any) -> Any:
    return value


def _choice(text: str) -> str:
    return text.strip().lower().replace("-", "_")


_FIELD_OF = {
    "type": "schedule_type",
    "time": "schedule_time",
    "days": "schedule_days",
    "cron": "cron_expression",
    "every": "interval",
    "anchor": "created_at",
    "day": "day_of_month",
    "week": "week_of_month",
    "at": "next_run",
}
_READ: Mapping[str, Callable[[Any], Any]] = {
    "type": lambda text: text.strip().lower().replace("_", "-"),
    "days": weekdays,
    "anchor": lambda text: when("--anchor", text),
    "at": lambda text: when("--at", text),
    "start": lambda text: when("--start", text),
    "end": lambda text: when("--end", text),
    "gap": _choice,
    "fold": _choice,
    "month_end": _choice,
    "on_holiday": _choice,
    "exclude": tuple,
}
