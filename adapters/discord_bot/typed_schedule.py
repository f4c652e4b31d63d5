"""Schedules put together of the choices of a command, and what a task is called that nobody named. Pure."""

from __future__ import annotations

from datetime import datetime

from adapters.rendering import cut, one_line
from domain.errors import InvalidInput
from domain.phrases import parse_phrase, say
from domain.schedule import Schedule

__all__ = ["FREQUENCIES", "phrase_of", "schedule_said", "suggested_name"]

FREQUENCIES = (
    "daily",
    "weekdays",
    "weekly",
    "half-weekly",
    "monthly",
    "hourly",
    "every-4-hours",
    "fifteen-minutes",
    "once",
)
"""What ``frequency`` offers. The names are those of the kinds of schedule, and ``weekdays``."""

_HEADS = {
    "daily": "every day",
    "weekdays": "every weekday",
    "hourly": "every hour",
    "every-4-hours": "every 4 hours",
    "fifteen-minutes": "every 15 minutes",
}
_OF_THE_CLOCK = ("hourly", "every-4-hours", "fifteen-minutes")


def phrase_of(frequency: str | None, day: str | None, time: str | None) -> str:
    """The phrase that the options say together. Raises InvalidInput for options that do not go together."""
    if frequency is None:
        raise InvalidInput(
            "when", None, "is not said", 'choose a frequency, or type when: "every weekday at 9:00 in Europe/Berlin"'
        )
    if frequency in _OF_THE_CLOCK:
        for field, value in (("day", day), ("time", time)):
            if value:
                raise InvalidInput(field, value, f"has no place beside {frequency}", "leave it out")
        return _HEADS[frequency]
    if frequency in _HEADS and day:
        raise InvalidInput("day", day, f"has no place beside {frequency}", "choose weekly or monthly, or leave it out")
    if frequency == "once" and not day:
        raise InvalidInput("day", None, "is not said", "say on which day it runs once: tomorrow, 2026-12-24")
    heads = {
        "weekly": f"every {day or 'monday'}",
        "half-weekly": f"half-weekly on {day or 'monday and thursday'}",
        "monthly": f"every month on {day or 'the 1st'}",
        "once": f"once on {day}",
    }
    return f"{_HEADS.get(frequency) or heads[frequency]} at {time or '9:00'}"


def schedule_said(
    when: str | None, *, frequency: str | None, day: str | None, time: str | None, zone: str, now: datetime
) -> Schedule:
    """The schedule of the options of ``create``. Raises InvalidInput for what is said twice, or not understood."""
    if when is not None:
        for field, value in (("frequency", frequency), ("day", day), ("time", time)):
            if value is not None:
                raise InvalidInput(field, value, "says again what the phrase says", "give one of the two")
        return parse_phrase(when, now=now, default_timezone=zone)
    return parse_phrase(phrase_of(frequency, day, time), now=now, default_timezone=zone)


def suggested_name(channel: str, schedule: Schedule) -> str:
    """``#square, every day at 09:00``: what a task is called that was given no name."""
    said = say(schedule).replace(f" in {schedule.timezone}", "")
    return cut(f"#{one_line(channel)}, {said}", 100)
