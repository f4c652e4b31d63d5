"""The kinds of schedule and the choices that each leaves to its owner."""

from __future__ import annotations

from domain.choice import Choice

__all__ = ["NAMED_CRON", "FoldPolicy", "GapPolicy", "HolidayPolicy", "MonthEnd", "ScheduleType"]


class ScheduleType(Choice):
    """The kinds of schedule."""

    ONCE = "once"
    DAILY = "daily"
    WEEKLY = "weekly"
    HALF_WEEKLY = "half-weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    YEARLY = "yearly"
    INTERVAL = "interval"
    CUSTOM = "custom"
    FIFTEEN_MINUTES = "fifteen-minutes"
    HOURLY = "hourly"
    EVERY_4_HOURS = "every-4-hours"


class GapPolicy(Choice):
    """What becomes of a local time that a clock change leaves out: it runs right after, as much later, or not."""

    NEXT_VALID = "next_valid"
    SHIFT = "shift"
    SKIP = "skip"


class FoldPolicy(Choice):
    """Which one counts when a clock change makes a local time come twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class MonthEnd(Choice):
    """What a day that a month does not have becomes: the month's last day, or nothing."""

    CLAMP = "clamp"
    SKIP = "skip"


class HolidayPolicy(Choice):
    """What becomes of a slot on a day off: nothing, or it moves to the next or the previous business day."""

    SKIP = "skip"
    NEXT = "next"
    PREVIOUS = "previous"


NAMED_CRON = {
    ScheduleType.FIFTEEN_MINUTES: "*/15 * * * *",
    ScheduleType.HOURLY: "0 * * * *",
    ScheduleType.EVERY_4_HOURS: "0 */4 * * *",
}
"""The kinds that are cron expressions under a name."""
