"""Schedules as people say them: one phrase to one schedule, and back.

Case, doubled blanks and commas between parts do not matter. ``[x]`` may be left out, ``{x}`` may come again.

===========  ==========================================================================================================
phrase       rule {";" ["and"] rule}
rule         head {[","] part}
head         "every" EVERY | "hourly" | "daily" | "weekly" | "monthly" | "quarterly" | "yearly" | "half-weekly"
             | "on" ON | "once" ["on"] MOMENT | "cron" EXPRESSION
EVERY        "day" | "business day" | "weekday" | "weekend" | WEEKDAYS | "hour" | "week" | "month" | "quarter" | "year"
             | ("other" | NUMBER) ("minutes" | "hours" | "days" | "weeks"), also as "90m"
ON           WEEKDAYS | "weekdays" | "weekends" | MOMENT | DAY "of every" ("month" | "quarter" | "year")
DAY          "the" ("31st" | "last day" | ("first" ... "fifth" | "last") WEEKDAYS) | "29 February" | "February 29"
part         "at" TIME | "in" ZONE | "on" (WEEKDAYS | DAY ["of" MONTHS]) | "from" MOMENT | "starting" MOMENT
             | "until" MOMENT | "spread over" LENGTH | "except" OFF {"and" OFF}
             | OFF {"and" OFF} "move to the" ("next" | "previous") "business day"
             | ("skip" | "shift" | "run right after") "if the hour does not exist"
             | ("first time" | "second time" | "both times") "if the hour comes twice"
             | ("skip months without" | "last day of months without") "that day"
OFF          "weekends" | "holidays in" CALENDAR | DATE ["to" DATE]
MOMENT       DATE ["at" TIME] | an instant such as 2026-11-01T06:30Z
DATE         2026-12-24 | "today" | "tomorrow"
TIME         9 | 9:00 | 9am | 9:30 pm | 18:30 | "noon" | "midnight"
===========  ==========================================================================================================

What is not said: the zone is the default one, the time 09:00; "from" is the anchor of an interval and the start of
anything else; an interval without it counts from midnight (or from the next time and weekday that were said); a week,
month or year without a day has the writer's day.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from domain.errors import InvalidSchedule
from domain.event import utc
from domain.phrase_rules import Rule
from domain.phrase_words import Reader
from domain.schedule import Schedule, describe, make_schedule
from domain.zone import zone_info

__all__ = ["LONGEST_PHRASE", "parse_phrase", "say"]

LONGEST_PHRASE = 300
"""How many characters a person may type for a schedule."""


def parse_phrase(text: str, *, now: datetime, default_timezone: str = "UTC", longest: int = LONGEST_PHRASE) -> Schedule:
    """The schedule that a phrase says. ``now`` (aware) anchors what it leaves open.

    Raises InvalidSchedule (or InvalidTimezone) that points at the word that is not understood, and suggests another.
    """
    if not isinstance(text, str):
        raise InvalidSchedule("schedule", text, "is not a phrase", 'such as "every weekday at 9:00"')
    if len(text) > longest:
        raise InvalidSchedule("schedule", text, f"has {len(text)} characters", f"say it in at most {longest}")
    zone = default_timezone
    today = utc(now).astimezone(zone_info(zone)).date()
    reader = Reader(text, today)
    rules: list[dict[str, Any]] = []
    while not rules or reader.accept(";"):
        if rules:
            reader.accept("and")
        rule = Rule(reader)
        rule.read()
        try:
            rules.append(rule.fields(now, zone))
        except OverflowError:
            raise InvalidSchedule("schedule", text, "names a time out of range", "use a year from 1 to 9999") from None
        zone = rules[0]["timezone"]
    return make_schedule(**rules[0], also=rules[1:])


def say(schedule: Schedule) -> str:
    """The schedule in words that ``parse_phrase`` reads as the same schedule."""
    return describe(schedule)
