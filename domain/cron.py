"""Cron expressions in the Vixie/Debian dialect, read by cronsim.

Beyond five fields with names, ranges, lists and steps: ``L`` and ``LW`` (last day, last weekday of the month), ``5L``
(last Friday), ``5#3`` (third Friday), nicknames such as ``@daily``. Sunday is 0 and 7. When both day fields are set a
day has to match either of them; when one of them starts with a star it has to match both. ``H`` is a number that is
hashed from a key, so that many tasks spread over a range: ``H``, ``H/15``, ``H(0-29)``, ``H(0-29)/10``.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import lru_cache
from hashlib import blake2b

from cronsim import CronSim, CronSimError

from domain.errors import InvalidSchedule

__all__ = ["CronRule", "parse_cron"]

_MAX_CHARACTERS = 100
_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_HASHED = re.compile(r"h(?:\((?P<low>\d{1,2})-(?P<high>\d{1,2})\))?(?:/(?P<step>\d{1,2}))?")
_HASH_RANGES = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))  # days of the month that every month has
_HASH_LIMITS = (59, 23, 31, 12, 6)
_REMEDY = 'write five fields: minute hour day-of-month month day-of-week, such as "30 9 * * mon-fri"'


class CronRule:
    """A parsed expression: at which seconds of the day, and on which days.

    ``real_instants``: a starred or stepped hour (or a starred minute) makes the rule fire at every real instant whose
    local time matches; otherwise it names fixed times of the day, each of which is served once.
    """

    def __init__(self, text: str, fields: tuple[str, ...], sim: CronSim) -> None:
        self.text = text
        self.fields = fields
        minutes, hours = sorted(sim.minutes), sorted(sim.hours)
        self.times = tuple(hour * 3600 + minute * 60 for hour in hours for minute in minutes)
        self.real_instants = fields[0].startswith("*") or fields[1].startswith("*") or "/" in fields[1]
        # The weekdays (0=Monday), where they alone decide about a day: those need no month to be looked at.
        self.weekdays: frozenset[int] | None = None
        plain = [weekday for weekday in sim.weekdays if isinstance(weekday, int)]
        if fields[2:4] == ("*", "*") and len(plain) == len(sim.weekdays):
            self.weekdays = frozenset((weekday - 1) % 7 for weekday in plain)
        self._sim = sim
        self._masks: dict[tuple[int, int, int], int] = {}

    def mask(self, year: int, month: int, first_weekday: int, days: int) -> int:
        """The matching days of a month as bits, the first day lowest. Months of one shape have one answer, kept."""
        if month not in self._sim.months:
            return 0
        key = (month, first_weekday, days)
        found = self._masks.get(key)
        if found is None:
            match = self._sim.match_day
            found = sum(1 << (day - 1) for day in range(1, days + 1) if match(date(year, month, day)))
            self._masks[key] = found
        return found

    def can_run(self) -> bool:
        """Whether any month of the calendar's 14 kinds of year has a matching day."""
        return any(self._mask_of(year, month) for year in _YEARS for month in range(1, 13))

    def warnings(self) -> list[str]:
        """What may surprise the owner of this expression, one sentence each."""
        found = []
        for index, whole, unit, per in ((0, 60, "minutes", "hour"), (1, 24, "hours", "day")):
            for term in self.fields[index].split(","):
                base, slash, step = term.partition("/")
                first, _, last = base.replace("*", f"0-{whole - 1}").partition("-")
                if slash and int(last or 0) == whole - 1 and whole % int(step):
                    at = ", ".join(_clock(index, value) for value in range(int(first), whole, int(step)))
                    found.append(f"every {int(step)} {unit} restarts each {per}: it runs at {at}")
        day, month, weekday = self.fields[2:]
        if day == "29" and month in ("2", "feb") and weekday == "*":
            found.append("29 February exists only in leap years")
        elif day in ("29", "30", "31") and month == "*" and weekday == "*":
            found.append(f"in months without a day {day} it does not run; MONTHLY can use their last day instead")
        if not day.startswith("*") and not weekday.startswith("*"):
            found.append("day of month and day of week are both set: it runs on days that match either of them")
        return found

    def _mask_of(self, year: int, month: int) -> int:
        first = date(year, month, 1)
        following = date(year + month // 12, month % 12 + 1, 1)
        return self.mask(year, month, first.weekday(), (following - first).days)


def _clock(index: int, value: int) -> str:
    return f":{value:02}" if index == 0 else f"{value:02}:00"


_YEARS = range(2000, 2028)  # every start of the year, with and without a 29 February


def _refuse(text: object, problem: str, remedy: str = _REMEDY) -> InvalidSchedule:
    return InvalidSchedule("cron", text, problem, remedy)


def parse_cron(text: str, key: str = "") -> CronRule:
    """Read an expression; ``key`` (the id of the task) decides what ``H`` stands for.

    Raises InvalidSchedule for one that cannot be understood or can never run. Bounded: at most 100 characters are
    looked at, and "never" is known from the calendar's few kinds of month.
    """
    if not isinstance(text, str):
        raise _refuse(text, "is not a cron expression")
    if len(text) > _MAX_CHARACTERS:
        raise _refuse(text, f"is longer than {_MAX_CHARACTERS} characters", "use several schedules, not one long one")
    if not all(" " <= c <= "~" or c == "\t" for c in text):
        raise _refuse(text, "has characters that no cron expression has")
    written = text.strip().lower()
    if written.startswith("@"):
        if written not in _NICKNAMES:
            raise _refuse(text, "is not a known nickname", "known are " + ", ".join(_NICKNAMES))
        written = _NICKNAMES[written]
    fields = tuple(written.split())
    if len(fields) != len(_FIELDS):
        raise _refuse(text, f"has {len(fields)} fields, not {len(_FIELDS)}")
    return _rule(text, tuple(_normal_field(text, field, i, key) for i, field in enumerate(fields)))


@lru_cache(maxsize=4096)
def _rule(text: str, fields: tuple[str, ...]) -> CronRule:
    rule = CronRule(text, fields, _simulate(text, fields))
    if not rule.can_run():
        raise _refuse(text, "can never run: no month has such a day", "choose days that exist in the months chosen")
    return rule


def _normal_field(text: str, field: str, index: int, key: str) -> str:
    terms = field.split(",")
    return ",".join(_normal_term(text, _hashed(text, term, index, key), index) for term in terms)


def _hashed(text: str, term: str, index: int, key: str) -> str:
    """What the key makes of ``h``, ``h/15``, ``h(0-29)`` or ``h(0-29)/10``; other terms stay as they are."""
    match = _HASHED.fullmatch(term)
    if match is None:
        return term
    low, high = _HASH_RANGES[index]
    if match["low"] is not None:
        given_low, given_high = int(match["low"]), int(match["high"])
        if not low <= given_low <= given_high <= _HASH_LIMITS[index]:
            raise _refuse(text, f'has a wrong range "{term}" in its {_FIELDS[index]} field')
        low, high = given_low, given_high
    number = int.from_bytes(blake2b(f"{key}\0{index}".encode(), digest_size=8).digest())
    if match["step"] is None:
        return str(low + number % (high - low + 1))
    step = int(match["step"])
    if not 1 <= step <= high - low + 1:
        raise _refuse(text, f'has a wrong step "{term}" in its {_FIELDS[index]} field', f"use 1 to {high - low + 1}")
    return f"{low + number % step}-{high}/{step}"


def _normal_term(text: str, term: str, index: int) -> str:
    """One term without what cronsim reads differently from cron: ``2-2/4`` is 2 alone, and a range may end with sun."""
    base, slash, step = term.partition("/")
    if slash and ("#" in base or base in ("l", "lw") or (index == 4 and base.endswith("l"))):
        raise _refuse(text, f'has a step on "{base}" in its {_FIELDS[index]} field')
    low, dash, high = base.partition("-")
    if index == 4 and dash and high == "sun" and low not in ("0", "sun"):
        base, high = f"{low}-7", "7"
    if dash and slash and low == high and step.isdigit() and int(step) > 0:
        return low
    return base + slash + step


def _simulate(text: str, fields: tuple[str, ...]) -> CronSim:
    for index, field in enumerate(fields):
        alone = ["*"] * len(fields)
        alone[index] = field
        if index in (2, 4):
            alone[index] = f"*,{field}"  # so that only the spelling is judged here, not whether such a day exists
        try:
            CronSim(" ".join(alone), datetime(2000, 1, 1))  # noqa: DTZ001 - cronsim sees wall-clock time alone
        except (CronSimError, ValueError, AssertionError):
            raise _refuse(text, f'has a wrong {_FIELDS[index]} field "{field}"') from None
    try:
        return CronSim(" ".join(fields), datetime(2000, 1, 1))  # noqa: DTZ001
    except (CronSimError, ValueError, AssertionError):
        raise _refuse(
            text, "can never run: no month has such a day", "choose days that exist in the months chosen"
        ) from None
