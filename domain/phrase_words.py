"""Reading a phrase word by word: times, dates, lengths, weekdays, zones; what is not understood is pointed at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache

from domain.errors import InvalidSchedule, InvalidTimezone
from domain.schedule_words import LENGTHS, MONTHS, NTH, WEEKDAYS
from domain.zone import zone_info, zone_names

__all__ = ["DAYS", "MONTH_NUMBERS", "NTHS", "NUMBERS", "Moment", "Reader"]

_WORD = re.compile(r"[,;]|[^\s,;]+")
_FIELD = re.compile(r"\S+")
_SPACE = re.compile(r"\s*")
_TIME = re.compile(r"(\d{1,2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?)?(am|pm)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LENGTH = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))?([a-z]*)")
_NTH_WEEKDAY = re.compile(
    r"([1-5](?:st|nd|rd|th)|first|second|third|fourth|fifth|last)\s+((?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)\b",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_NAMED_TIMES = {"noon": time(12), "midnight": time(0)}
_SHORT_UNITS = {"s": "second", "sec": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week"}
_MOST_EXCLUDED = 1000


def _beginnings(names: Iterable[str], length: int) -> dict[str, int]:
    """Each name, its plural and its beginning, in lower case, with its place in the list."""
    found: dict[str, int] = {}
    for number, name in enumerate(map(str.lower, names)):
        found |= {name: number, name + "s": number, name[:length]: number}
    return found


DAYS = _beginnings(WEEKDAYS, 3) | {"tues": 1, "thur": 3, "thurs": 3}
"""Weekdays (0=Monday) as people write them."""

MONTH_NUMBERS = {name: number + 1 for name, number in _beginnings(MONTHS, 3).items()} | {"sept": 9}
"""Months (1=January) as people write them."""

NTHS = {word: number for number, word in NTH.items()} | {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5}
"""Which one of a month's Mondays; -1 is the last."""

_SPELLED = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
NUMBERS = {word: n for n, word in enumerate(_SPELLED, 1)}
_UNITS = {name: name for name in LENGTHS} | {name + "s": name for name in LENGTHS} | _SHORT_UNITS
_STARTERS = frozenset(
    (
        *("at", "in", "on", "from", "starting", "until", "spread", "except", "skip", "shift", "run"),
        *("the", "first", "second", "both", "weekends", "holidays", "and"),
    )
)
"""Words that begin something new, and so end the name of a zone."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time as far as it was said: an instant, or a local date with or without a time."""

    instant: datetime | None = None
    day: date | None = None
    at: time | None = None

    def on(self, zone: str, default: time) -> datetime:
        """The instant (aware UTC) in this zone, at ``default`` where no time was said."""
        if self.instant is not None:
            return self.instant
        assert self.day is not None
        at = self.at if self.at is not None else default
        return datetime.combine(self.day, at, zone_info(zone)).astimezone(UTC)


class Reader:
    """A phrase and how far it is read. Words are compared in lower case; ``today`` is the writer's date."""

    def __init__(self, text: str, today: date) -> None:
        self.text, self.today, self.position = text, today, 0

    # --- words

    def _match(self, pattern: re.Pattern[str] = _WORD) -> re.Match[str] | None:
        space = _SPACE.match(self.text, self.position)
        return pattern.match(self.text, space.end() if space else self.position)

    def peek(self) -> str:
        """The next word; nothing at the end."""
        found = self._match()
        return found[0].lower() if found else ""

    def take(self) -> str:
        """The next word, which is read now."""
        found = self._match()
        if found is None:
            return ""
        self.position = found.end()
        return found[0].lower()

    def field(self) -> str:
        """The next stretch without spaces as it is written, commas and all, without quotation marks around it."""
        found = self._match(_FIELD)
        if found is None:
            return ""
        word = found[0].rstrip(",;")
        self.position = found.start() + len(word)
        return word.strip("\"'")

    def accept(self, *words: str) -> bool:
        """Whether these words come next; then they are read."""
        before = self.position
        for word in words:
            if self.take() != word:
                self.position = before
                return False
        return True

    def choose(self, choices: Mapping[str, int] | Mapping[str, str], what: str) -> str:
        """One of these words. Raises InvalidSchedule."""
        if self.peek() not in choices:
            raise self.unclear(what, choices)
        return self.take()

    def expect(self, *words: str) -> None:
        """Read these words. Raises InvalidSchedule where another stands."""
        for word in words:
            if not self.accept(word):
                raise self.unclear(f'"{word}"', [word])

    def unclear(self, expected: str, choices: Iterable[str] = ()) -> InvalidSchedule:
        """The refusal of the next word, with the nearest of ``choices`` or what was expected."""
        found = self._match()
        if found is None:
            return InvalidSchedule("schedule", self.text, "ends too early", f"{expected} is missing at the end")
        word = found[0]
        if nth := self._match(_NTH_WEEKDAY):
            remedy = f'did you mean "on the {nth[1].lower()} {nth[2].lower()} of every month"?'
            return InvalidSchedule("schedule", nth[0], f"({self._place()}) is not understood here", remedy)
        close = [] if word[0].isdigit() else get_close_matches(word.lower()[:40], list(choices), n=1, cutoff=0.6)
        remedy = f'did you mean "{close[0]}"?' if close and close[0] != word.lower() else f"expected {expected}"
        return InvalidSchedule("schedule", word, f"({self._place()}) is not understood here", remedy)

    def _place(self) -> str:
        return f"word {len(_FIELD.findall(self.text[: self.position])) + 1}"

    # --- times and dates

    def time_of_day(self) -> time:
        """``9``, ``9:00``, ``9am``, ``9:30 pm``, ``09:00:30``, ``noon``, ``midnight``."""
        word = self.peek()
        if word in _NAMED_TIMES:
            return _NAMED_TIMES[self.take()]
        match = _TIME.fullmatch(word)
        remedy = "a time of day such as 9, 9:00, 9am, 18:30, noon or midnight"
        if match is None:
            raise self.unclear(remedy, _NAMED_TIMES)
        before = self.position
        self.take()
        half = match[5] or (self.take() if self.peek() in ("am", "pm") else "")
        hour = int(match[1])
        if half and 1 <= hour <= 12:
            hour = hour % 12 + (12 if half == "pm" else 0)
        elif half:
            hour = 24
        fraction = int((match[4] or "0").ljust(6, "0"))
        try:
            return time(hour, int(match[2] or 0), int(match[3] or 0), fraction)
        except ValueError:
            self.position = before
            raise self.unclear(remedy) from None

    def is_date(self) -> bool:
        """Whether a date comes next."""
        return bool(_DATE.match(self.peek())) or self.peek() in ("today", "tomorrow")

    def read_date(self) -> date:
        """``2026-12-24``, ``today``, ``tomorrow``."""
        word = self.peek()
        try:
            if word in ("today", "tomorrow"):
                found = self.today + timedelta(days=word == "tomorrow")
            elif _DATE.fullmatch(word):
                found = date.fromisoformat(word)
            else:
                raise ValueError
        except (ValueError, OverflowError):
            raise self.unclear("a date such as 2026-12-24", ("today", "tomorrow")) from None
        self.take()
        return found

    def moment(self) -> Moment:
        """A date, with "at" and a time or without; or an instant such as ``2026-11-01T06:30Z``."""
        word = self.peek()
        if _DATE.match(word) and "t" in word:
            try:
                instant = datetime.fromisoformat(word.upper())
                if instant.tzinfo is None:
                    raise ValueError
                aware = instant.astimezone(UTC)
            except (ValueError, OverflowError):
                raise self.unclear("a date and time such as 2026-11-01T06:30Z") from None
            self.take()
            return Moment(instant=aware)
        day = self.read_date()
        return Moment(day=day, at=self.time_of_day() if self.accept("at") else None)

    def dates(self, found: set[date]) -> None:
        """One date, or a first "to" a last one, added to ``found``."""
        before = self.position
        first = self.read_date()
        last = self.read_date() if self.accept("to") else first
        if last < first or (last - first).days >= _MOST_EXCLUDED:
            self.position = before
            raise self.unclear(f"at most {_MOST_EXCLUDED} dates, the first one first")
        found.update(date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1))

    # --- numbers, lengths, lists

    def length(self) -> tuple[int, str]:
        """A length of time as microseconds, with the unit that was written: ``2 weeks``, ``90m``, ``1.5 hours``.

        Months, quarters and years have no length: of them the number comes back.
        """
        word = self.peek()
        match = _LENGTH.fullmatch(str(NUMBERS.get(word, word)))
        if match is None:
            raise self.unclear("a length such as 2 weeks or 90 minutes", _UNITS)
        before = self.position
        self.take()
        longer = {f"{unit}{s}": unit for unit in ("month", "quarter", "year") for s in ("", "s")}
        units = _UNITS | longer
        name = match[3] or self.choose(units, "a unit: minutes, hours, days, weeks, months or years")
        unit = units.get(name)
        if unit is None or (unit in longer and match[2]):
            self.position = before
            raise self.unclear("a length such as 2 weeks or 90 minutes")
        if unit in longer:
            return int(match[1]), unit
        seconds = LENGTHS[unit]
        fraction = (match[2] or "").ljust(6, "0") if match[2] else "0"
        return (int(match[1]) * 1_000_000 + int(fraction)) * seconds, unit

    def is_length(self) -> bool:
        """Whether a number comes next."""
        word = self.peek()
        return word[:1].isdigit() or word in NUMBERS

    def span(self) -> timedelta:
        """A length of time below some thousand years. Raises InvalidSchedule."""
        before = self.position
        microseconds, unit = self.length()
        try:
            if unit not in LENGTHS:
                raise OverflowError
            return timedelta(microseconds=microseconds)
        except OverflowError:
            self.position = before
            raise self.unclear("a length such as 2 weeks or 90 minutes") from None

    def ordinal(self) -> int | None:
        """A day of a month, ``31st`` or ``31``, if one comes next."""
        match = _ORDINAL.fullmatch(self.peek())
        if match is None or not 1 <= int(match[1]) <= 31:
            return None
        self.take()
        return int(match[1])

    def listed(self, choices: Mapping[str, int], what: str) -> tuple[int, ...]:
        """One or more of these, with commas and "and" between them, in order and each once."""
        found = {choices[self.choose(choices, what)]}
        while True:
            before = self.position
            comma, also = self.accept(","), self.accept("and") or self.accept("&")
            if not (comma or also) or self.peek() not in choices:
                self.position = before
                return tuple(sorted(found))
            found.add(choices[self.take()])

    # --- names

    def zone(self) -> str:
        """A time zone, in any case, with blanks for underscores. Raises InvalidTimezone with the nearest."""
        names, before = _zones(), self.position
        words = [self.field()]
        if not words[0]:
            raise self.unclear('a time zone such as "Europe/Berlin"')
        after = self.position
        while self.peek() not in _STARTERS and self.peek() not in ("", ",", ";") and len(words) < 4:
            words.append(self.field())
        for count in range(len(words), 0, -1):
            if (name := names.get("_".join(words[:count]).lower())) is not None:
                self.position = after if count == 1 else self._after(before, count)
                return name
        try:
            zone_info(" ".join(words))
        except InvalidTimezone as error:
            self.position = before
            raise InvalidTimezone("schedule", error.value, f"({self._place()}) {error.problem}", error.remedy) from None
        raise AssertionError("a known zone is found above")

    def _after(self, position: int, words: int) -> int:
        self.position = position
        for _ in range(words):
            self.field()
        return self.position


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    return {name.lower(): name for name in zone_names()}
