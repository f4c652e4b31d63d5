"""Instants and days of the past, as people type them: ``yesterday``, ``monday at 9``, ``3h ago``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from adapters.discord_bot.moments import moment
from domain.draft import parse_duration
from domain.errors import InvalidInput
from domain.event import utc
from domain.phrases import parse_phrase
from domain.zone import zone_info

__all__ = ["LocalDay", "looked_back"]

_DAY = timedelta(days=1)
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9990, 1, 1, tzinfo=UTC)
"""Nothing was written down before, and no calendar goes on much after."""

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AGO = re.compile(r"(\d{1,6} ?[a-z]+) ago")
_NAMED = re.compile(r"(?:last |on )?([a-z]+|\d{4}-\d{2}-\d{2})(?:(?: at)? (.+))?")
_REMEDY = 'write "yesterday", "monday at 9:00", "2026-11-01 09:00", or "3h ago"'


@dataclass(frozen=True, slots=True)
class LocalDay:
    """A whole day of a zone."""

    day: date
    zone: str

    @property
    def start(self) -> datetime:
        """Where it begins (aware UTC)."""
        return datetime.combine(self.day, time(), zone_info(self.zone)).astimezone(UTC)

    @property
    def end(self) -> datetime:
        """Where the next one begins (aware UTC)."""
        return datetime.combine(self.day + _DAY, time(), zone_info(self.zone)).astimezone(UTC)

    def at(self, clock: str) -> datetime:
        """The instant (aware UTC) at which its clocks show this ("HH:MM")."""
        wall = datetime.combine(self.day, time.fromisoformat(clock), zone_info(self.zone))
        return wall.astimezone(UTC)


def looked_back(field: str, text: str, *, zone: str, now: datetime) -> datetime | LocalDay:
    """The instant (aware UTC) or the day that is meant, in wall-clock time of ``zone``.

    A weekday is the last one, today among them. What is no instant of the past is understood as one to come. Raises
    InvalidInput.
    """
    typed = " ".join(text.split()).lower()
    try:
        try:
            found = now if typed == "now" else _of_the_past(field, typed, zone, now)
        except InvalidInput:
            found = moment(field, text, zone=zone, now=now)
        start, end = (found.start, found.end) if isinstance(found, LocalDay) else (found, found)
    except OverflowError:
        raise InvalidInput(field, text, "is out of range", _REMEDY) from None
    except InvalidInput as error:
        raise InvalidInput(field, text, "is not understood as an instant or a day", _REMEDY) from error
    if not _FIRST <= start <= end <= _LAST:
        raise InvalidInput(field, text, "is out of range", _REMEDY)
    return found


def _of_the_past(field: str, typed: str, zone: str, now: datetime) -> datetime | LocalDay:
    if ago := _AGO.fullmatch(typed):
        return now - parse_duration(field, ago[1].replace(" ", ""))
    today = now.astimezone(zone_info(zone)).date()
    if named := _NAMED.fullmatch(typed):
        day = _day(named[1], today)
        if day is not None:
            return _on(LocalDay(day, zone), named[2])
    try:
        written = datetime.fromisoformat(typed)
    except ValueError:
        pass
    else:
        return utc(written if written.tzinfo is not None else written.replace(tzinfo=zone_info(zone)))
    return _on(LocalDay(today, zone), typed)


def _day(name: str, today: date) -> date | None:
    if name in ("today", "yesterday", "tomorrow"):
        return today + _DAY * ("yesterday", "today", "tomorrow").index(name) - _DAY
    for number, weekday in enumerate(_WEEKDAYS):
        if len(name) >= 3 and weekday.startswith(name):
            return today - _DAY * ((today.weekday() - number) % 7)
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _on(day: LocalDay, clock: str | None) -> datetime | LocalDay:
    """The day, or the time of day on it, in all the ways in which a schedule can say one."""
    if clock is None:
        return day
    said = parse_phrase(f"every day at {clock}", now=day.start, default_timezone=day.zone)
    if said.timezone != day.zone or said.also:
        raise InvalidInput("when", clock, "is no time of day", _REMEDY)
    return day.at(said.time)
