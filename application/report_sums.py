"""What a report adds up while it reads: numbers count everything, lists keep the first of a bounded number."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Generic, TypeVar

from application.accounting import Account, summed
from application.fates import Fate
from application.report import (
    MOST_CAUSES,
    MOST_LISTED_EVENTS,
    MOST_LISTED_RUNS,
    MOST_LISTED_TASKS,
    Cause,
    ChangeLine,
    Day,
    EventLine,
    Figures,
    ModelLine,
    PlaceLine,
    RunLine,
    TaskLine,
    spread_of,
)
from domain.summary import Usage

__all__ = ["Listed", "RunSums", "Sums", "most_trouble_first"]

_ACCOUNTS_AT_ONCE = 1_000

_MOST_KINDS_OF_CAUSES = 1_000
_NUMBER = re.compile(r"[0-9]+")
_LONGEST_SAID = 160
_NOTHING: Counter[str] = Counter()
_STATES = ("executed", "failed", "skipped", "unreadable")

T = TypeVar("T")


class Listed(Generic[T]):
    """The first ``most`` of any number of lines by ``key``; ``total`` counts all of them."""

    def __init__(self, most: int, key: Callable[[T], Any]) -> None:
        self._most, self._key, self._kept, self.total = most, key, list[T](), 0

    def add(self, line: T) -> None:
        """One line more."""
        self.total += 1
        self._kept.append(line)
        if len(self._kept) >= 2 * self._most:
            self._kept = list(self.lines)

    @property
    def lines(self) -> tuple[T, ...]:
        """Those that are listed, in order."""
        return tuple(sorted(self._kept, key=self._key)[: self._most])


@dataclass
class RunSums:
    """Counts of runs, of one task or of all; spreads need every value, eight bytes a run."""

    counts: Counter[str] = field(default_factory=Counter)
    lateness: array[float] = field(default_factory=lambda: array("d"))
    duration: array[float] = field(default_factory=lambda: array("d"))
    models: dict[str, Counter[str]] = field(default_factory=dict)

    def asked(self, usage: Usage) -> None:
        """What an attempt asked of a language model. Money is counted in millionths, which add up in any order."""
        own = self.models.setdefault(usage.model, Counter())
        own.update(requests=usage.requests, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
        if usage.cost is not None:
            own.update(priced=1, cost=round(usage.cost * 1_000_000))

    def add(self, run: RunLine, failures: int, interruptions: int) -> None:
        """One run, with how many of its attempts failed or were interrupted."""
        self.counts[run.state if run.state in _STATES else "unfinished"] += 1
        self.counts["on_request"] += run.slot is None
        self.counts["attempts"] += run.attempts
        self.counts["attempts_failed"] += failures
        self.counts["attempts_interrupted"] += interruptions
        for delivery in run.deliveries:
            self.counts[_DELIVERY_COUNTS.get(delivery.status, "left_out")] += 1
        if run.lateness is not None:
            self.lateness.append(run.lateness)
        if run.duration is not None:
            self.duration.append(run.duration)

    def join(self, other: RunSums) -> None:
        """Those of another as well."""
        self.counts.update(other.counts)
        self.lateness.extend(other.lateness)
        self.duration.extend(other.duration)
        for model, counts in other.models.items():
            self.models.setdefault(model, Counter()).update(counts)

    def figures(self) -> Figures:
        """As figures."""
        lateness, duration = spread_of(self.lateness), spread_of(self.duration)
        counts = {name: count for name, count in self.counts.items() if count}
        models = tuple(_model_line(model, asked) for model, asked in sorted(self.models.items()))
        return Figures(**counts, lateness=lateness, duration=duration, models=models)


def _model_line(model: str, asked: Counter[str]) -> ModelLine:
    cost = asked["cost"] / 1_000_000 if asked["priced"] else None
    return ModelLine(model, asked["requests"], asked["input_tokens"], asked["output_tokens"], cost)


_DELIVERY_COUNTS = {"delivered": "delivered", "failed": "undelivered", "unknown": "unknown"}


def _in_time(run: RunLine) -> tuple[datetime, int]:
    return run.at, run.position


def _slowest_first(run: RunLine) -> tuple[float, int]:
    return -(run.duration or 0.0), run.position


def most_trouble_first(placed: tuple[int, TaskLine]) -> tuple[bool, int, int, int]:
    """By what outlives an erasure, so that a list made afterwards is of the same tasks; then by position."""
    position, line = placed
    lost = line.account.fates.get(Fate.FAILED, 0) + line.account.fates.get(Fate.MISSED, 0)
    return not line.account.alarm, -lost, -line.figures.attempts_failed, position


@dataclass
class Sums:
    """Everything of one report. Tasks stand there with the position of their first event; ``last`` is that of the last
    event of an erased task that was counted.
    """

    tasks: Listed[tuple[int, TaskLine]] = field(default_factory=lambda: Listed(MOST_LISTED_TASKS, most_trouble_first))
    runs: RunSums = field(default_factory=RunSums)
    kinds: Counter[str] = field(default_factory=Counter)
    listed_runs: Listed[RunLine] = field(default_factory=lambda: Listed(MOST_LISTED_RUNS, _in_time))
    slowest: Listed[RunLine] = field(default_factory=lambda: Listed(MOST_CAUSES, _slowest_first))
    events: Listed[EventLine] = field(default_factory=lambda: Listed(MOST_LISTED_EVENTS, lambda line: line.position))
    changes: Listed[ChangeLine] = field(
        default_factory=lambda: Listed(MOST_LISTED_EVENTS, lambda line: (line.position, line.field))
    )
    last: int = 0
    _accounts: list[Account] = field(default_factory=list)
    _days: dict[date, Counter[str]] = field(default_factory=dict)
    _late: dict[date, array[float]] = field(default_factory=dict)
    _causes: dict[tuple[str, str], Cause] = field(default_factory=dict)
    _cause_tasks: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _places: dict[tuple[str, str], tuple[Counter[str], datetime | None, str | None]] = field(default_factory=dict)

    def task(self, position: int, line: TaskLine) -> None:
        """One task more, with the position of its first event."""
        self.tasks.add((position, line))
        self._accounts.append(line.account)
        if len(self._accounts) >= _ACCOUNTS_AT_ONCE:
            self._accounts = [summed(self._accounts, now=line.account.now, end=line.account.end)]

    def account(self, *, now: datetime, end: datetime) -> Account:
        """The accounts of all tasks as one."""
        return summed(self._accounts, now=now, end=end)

    def run(self, run: RunLine) -> None:
        """A run of the period, for the lists."""
        self.listed_runs.add(run)
        if run.duration is not None:
            self.slowest.add(run)
        for delivery in run.deliveries:
            key = (delivery.type, delivery.place)
            counts, at, said = self._places.get(key, (Counter(), None, None))
            counts[delivery.status] += 1
            if delivery.reason is not None and (at is None or delivery.at >= at):
                at, said = delivery.at, delivery.reason
            self._places[key] = (counts, at, said)

    def event(self, line: EventLine, topic: str) -> None:
        """An event of the period, for the timeline."""
        self.kinds[topic] += 1
        self.events.add(line)

    def change(self, changes: Iterable[ChangeLine]) -> None:
        """What an edit changed."""
        for one in changes:
            self.changes.add(one)

    def day(self, day: date, what: str, count: int = 1) -> None:
        """So many slots of a day."""
        if count:
            self._days.setdefault(day, Counter())[what] += count

    def late(self, day: date, seconds: float) -> None:
        """How late a slot of a day started."""
        self._late.setdefault(day, array("d")).append(seconds)

    def failure(self, task_id: str, what: str, said: str, at: datetime) -> None:
        """An attempt that failed or was interrupted."""
        key = (what, _alike(said))
        if key not in self._causes and len(self._causes) >= _MOST_KINDS_OF_CAUSES:
            key = (what, "many others")
        before = self._causes.get(key, Cause(what, key[1], 0, 0, at, at))
        self._cause_tasks.setdefault(key, set()).add(task_id)
        self._causes[key] = replace(
            before, count=before.count + 1, first=min(before.first, at), last=max(before.last, at)
        )

    def days(self, days: list[date]) -> tuple[Day, ...]:
        """Days with their counts: from the first to the last one on which there was anything."""
        used = [day for day in days if day in self._days]
        if not used:
            return ()
        return tuple(
            Day(day, **self._days.get(day, _NOTHING), lateness=spread_of(self._late.get(day, ())))
            for day in days[days.index(used[0]) : days.index(used[-1]) + 1]
        )

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Causes of failure, the most frequent first."""
        found = [replace(cause, tasks=len(self._cause_tasks[key])) for key, cause in self._causes.items()]
        return tuple(sorted(found, key=lambda one: (-one.count, one.what, one.said)))

    @property
    def places(self) -> tuple[PlaceLine, ...]:
        """Destinations, those with the most trouble first."""
        found = [
            PlaceLine(kind, place, counts["delivered"], counts["failed"], counts["unknown"], counts["skipped"], said)
            for (kind, place), (counts, _, said) in self._places.items()
        ]
        return tuple(sorted(found, key=lambda one: (-(one.failed + one.unknown), -one.delivered, one.type, one.place)))


def _alike(said: str) -> str:
    """What was said with numbers as #, so that equal troubles of different runs fall together."""
    text = _NUMBER.sub("#", " ".join(said.split()))
    return text if len(text) <= _LONGEST_SAID else text[: _LONGEST_SAID - 1] + "…"
