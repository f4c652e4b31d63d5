"""What is required of each figure, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["REQUIREMENTS", "Requirement"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """A figure of a row that is shown, with the bound that it must keep, if any.

    ``bound`` is a most, or a least where ``more`` is better. With ``beside`` ("contestant" or "contestant:figure")
    there is a ratio: how many times as good as that one Daybook is; ``ratio`` bounds it from below. ``factor`` names
    what the raw figure is corrected by before an absolute bound is held against it: "python", "disk", or nothing.
    """

    row: str
    figure: str
    words: str
    unit: str
    bound: float | None = None
    more: bool = False
    factor: str = ""
    beside: str = ""
    ratio: float | None = None
    contestant: str = "daybook"


WAL = "apscheduler-wal"


def _most(
    row: str, figure: str, words: str, unit: str, bound: float, factor: str = "python", **more: Any
) -> Requirement:
    return Requirement(row, figure, words, unit, bound, factor=factor, **more)


def _least(row: str, figure: str, words: str, unit: str, bound: float, **more: Any) -> Requirement:
    return Requirement(row, figure, words, unit, bound, more=True, factor="python", **more)


def _shown(row: str, figure: str, words: str, unit: str, **more: Any) -> Requirement:
    return Requirement(row, figure, words, unit, **more)


def _bare(row: str, figure: str, words: str, bare: str) -> Requirement:
    """Beside what the same commands take without all that Daybook is for (tests/benchmarks/bare.py)."""
    return _shown(row, figure, words, "/s", more=True, beside=f"daybook:bare_{bare}")


REQUIREMENTS = (
    _shown("storm", "seconds", "from due to the last run closed", "s", beside=WAL, ratio=3),
    _shown("storm", "seconds", "the same, beside raw SQLite writes", "s", beside="daybook:raw_seconds"),
    _shown("storm", "seconds", "the same, beside no store at all", "s", beside="apscheduler-memory"),
    _shown("storm", "seconds", "the same", "s", beside="huey"),
    _most("storm", "stall_ms", "the event loop stood still for at most", "ms", 50),
    _shown("storm", "late_p99_ms", "99 % started within", "ms", beside=WAL),
    _shown("storm", "processor_seconds", "processor", "s", beside=WAL),
    _most("steady", "late_p99_ms", "99 % started within", "ms", 15, beside=WAL),
    _shown("steady", "late_p50_ms", "half started within", "ms", beside=WAL),
    _most("steady", "core_percent", "of one core", "%", 15, beside=WAL),
    _most("boot", "seconds", "process start to armed", "s", 0.8, beside=WAL),
    _most("boot", "import_seconds", "of that: starting Python, and imports", "s", 0.35),
    _most("boot", "memory_mb", "resident memory", "MB", 90, factor="", beside=WAL),
    _most("boot", "memory_for_tasks_mb", "of that: more than with a few tasks", "MB", 10, factor=""),
    _most("boot", "seconds", "the same with Discord and HTTP", "s", 1.3, contestant="daybook-discord"),
    _shown("boot", "memory_mb", "resident memory with them", "MB", contestant="daybook-discord"),
    _shown("add", "alone_per_second", "one caller", "/s", more=True, beside="daybook:raw_per_second", ratio=0.6),
    _shown("add", "alone_per_second", "one caller", "/s", more=True, beside=WAL),
    _least("add", "together_per_second", "64 callers", "/s", 15_000, beside=WAL),
    _bare("add", "alone_per_second", "one caller, beside the bare calls", "alone_per_second"),
    _bare("add", "together_per_second", "64 callers, beside them", "together_per_second"),
    _least("pause", "alone_per_second", "pairs by one caller", "/s", 2_000, beside=WAL),
    _least("pause", "together_per_second", "pairs by 64 callers", "/s", 8_000, beside=WAL),
    _least("pause", "together_again_per_second", "the same once more, now in memory", "/s", 8_000, beside=WAL),
    _bare("pause", "alone_per_second", "one caller, beside the bare calls", "alone_per_second"),
    _bare("pause", "together_again_per_second", "64 callers, in memory, beside them", "together_per_second"),
    _most("queries", "list_ms", "a guild's list of 100", "ms", 1, beside="daybook:raw_list_ms"),
    _most("queries", "status_ms", "status of a task", "ms", 1),
    _most("queries", "due_ms", "what is due within an hour", "ms", 1),
    _most("queries", "statistics_ms", "statistics of the service and of a task", "ms", 1),
    _most("queries", "search_ms", "search by a part of the name", "ms", 1),
    _least("rebuild", "events_per_second", "events", "/s", 60_000, beside="daybook:raw_per_second"),
    _most("rebuild", "memory_growth_mb", "memory grew after the first tenth by", "MB", 20, factor=""),
    _shown("aggregate", "old_ms", "load, claim, close", "ms", beside="daybook:new_ms", ratio=1 / 1.5),
    _most("disk", "bytes_per_run", "log and read models", "bytes", 900, factor=""),
    _most("command", "version_seconds", "daybook --version", "s", 0.15, beside="daybook:bare_seconds"),
    _most("command", "list_seconds", "daybook tasks list, of 20", "s", 0.3, beside="daybook:bare_seconds"),
    _least("slots", "daily_per_second", "daily", "/s", 250_000),
    _least("slots", "weekly_per_second", "weekly, three days", "/s", 250_000),
    _least("slots", "monthly_per_second", "monthly on the 31st", "/s", 250_000),
    _shown("slots", "interval_per_second", "every two weeks", "/s"),
    _shown("slots", "business_days_per_second", "business days", "/s"),
    _shown("slots", "cron_per_second", "slowest cron", "/s", more=True, beside="daybook:cronsim_per_second", ratio=0.8),
    _most("past", "service_seconds", "the whole service", "s", 1),
    _most("past", "task_seconds", "one task", "s", 1),
    _most("past", "differences_seconds", "what changed within an hour", "s", 1),
)
