"""What a report still tells of a task that was erased: that it was there, its counts by day, and its events by topic.

Topics, numbers and positions of events are not sealed; on which day each was is in what the erasure left. What people
wrote is gone, as are instants, runs, durations, deliveries and causes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import repeat

from application.accounting import Account
from application.chronicle import Fact
from application.erased_numbers import kept_within, portions, span_of
from application.fates import Fate
from application.report import EventLine
from application.report_days import Period
from application.report_sums import RunSums, Sums
from application.report_words import ROUTINE
from domain import task_events as facts
from domain.task_erasure import ERASED

__all__ = ["add_erased"]

_DAY_COUNTS = {Fate.EXECUTED: "executed", Fate.FAILED: "failed", Fate.MISSED: "missed"}
_ATTEMPTS = {
    facts.Started.topic: "attempts",
    facts.Failed.topic: "attempts_failed",
    facts.Interrupted.topic: "attempts_interrupted",
}
_ROUTINE = {event.topic for event in ROUTINE}


def add_erased(
    erasure: Fact, sealed: Sequence[tuple[int, int, str]], account: Account, period: Period, sums: Sums
) -> RunSums:
    """Add an erased task to the sums; returns those of its runs.

    ``sealed`` are its events that cannot be read any more: which event of the stream it is, its position and topic.
    """
    own = RunSums()
    counts = own.counts
    for fate, count in account.fates.items():
        if fate in (Fate.EXECUTED, Fate.FAILED):
            counts[fate.value] += count
    for outcome in ("executed", "failed", "skipped"):
        counts[outcome] += account.manual.get(outcome, 0)
    counts["on_request"] += sum(account.manual.values())
    _add_days(erasure, period, sums)
    event = erasure.event
    days = list(_days_of_events(event.tally.events))
    for number, position, topic in sealed:
        day = days[number] if number < len(days) else None
        if day is not None and span_of(day)[1] < period.end:
            sums.last = max(sums.last, position)
        if day is None or not kept_within(day, erasure, period.start, period.end):
            continue
        counts[_ATTEMPTS.get(topic, "other")] += 1
        if topic in _ROUTINE:
            sums.kinds[topic] += 1
            continue
        name = topic.removeprefix("task.").replace("_", " ")
        line = EventLine(
            position, None, event.guild_id, event.stream, ERASED, name, ERASED, ERASED, f"{ERASED}, on {day} (UTC)"
        )
        sums.event(line, topic)
    del counts["other"]
    return own


def _add_days(erasure: Fact, period: Period, sums: Sums) -> None:
    """The slots of each day of UTC, on the day of the report that has its noon."""
    for portion in portions(erasure, period.as_of):
        begins, ends = span_of(portion.day)
        if ends - begins >= timedelta(days=1) or not portion.within(period.start, period.reached):
            continue  # of old, numbers were kept by month: nobody knows of which day they are
        noon = min(max(begins + timedelta(hours=12), period.start), period.end)
        for fate, count in portion.slots.items():
            if fate != Fate.UNREADABLE:
                pending = "pending" if Fate(fate).pending else "skipped"
                sums.day(period.days.of(noon), _DAY_COUNTS.get(Fate(fate), pending), count)


def _days_of_events(counts: dict[str, int]) -> Iterator[str]:
    """The day of each event, in order."""
    for day in sorted(counts):
        yield from repeat(day, counts[day])
