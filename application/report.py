"""An audit report as plain frozen data: what a task, a guild or the service did in a period, by the log alone.

How it is made is in application.reports, who may see what of it in application.report_masks; renderers only show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from math import ceil

from application.accounting import Account

__all__ = [
    "FORMAT",
    "MOST_CAUSES",
    "MOST_LISTED_EVENTS",
    "MOST_LISTED_RUNS",
    "MOST_LISTED_TASKS",
    "Cause",
    "ChangeLine",
    "Day",
    "DeliveryLine",
    "EventLine",
    "Figures",
    "ModelLine",
    "Outage",
    "PlaceLine",
    "Report",
    "Role",
    "RunLine",
    "Scope",
    "ScopeKind",
    "Spread",
    "TaskLine",
    "spread_of",
]

FORMAT = "daybook-report/1"

MOST_LISTED_RUNS = 10_000
"""So many runs are listed, the first ones of the period; all numbers count all of them."""
MOST_LISTED_EVENTS = 10_000
"""So many events, and so many changes, are listed, the first ones of the period."""
MOST_LISTED_TASKS = 1_000
"""So many tasks are listed, those with the most trouble, unless every one is asked for."""
MOST_CAUSES = 10
"""So many causes of failure, slowest runs and outages are listed."""


class Role(StrEnum):
    """Whose eyes a report is for: the operator's, those of who manages the guild, or those of anybody else in it."""

    OPERATOR = "operator"
    MANAGER = "manager"
    VIEWER = "viewer"


class ScopeKind(StrEnum):
    """What a report is about."""

    TASK = "task"
    GUILD = "guild"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about: the id of the task or guild (empty for the service), and its name as of the end."""

    kind: ScopeKind
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread, in seconds: each percentile is the smallest value that so many percent do not exceed."""

    count: int
    p50: float
    p90: float
    p95: float
    p99: float
    most: float


def spread_of(seconds: Sequence[float]) -> Spread | None:
    """The spread of these values; None for none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    p50, p90, p95, p99 = (ordered[ceil(len(ordered) * share / 100) - 1] for share in (50, 90, 95, 99))
    return Spread(len(ordered), p50, p90, p95, p99, ordered[-1])


def _rate(good: int, bad: int) -> float | None:
    return round(100 * good / (good + bad), 4) if good + bad else None


@dataclass(frozen=True, slots=True)
class ModelLine:
    """What one language model was asked for: requests, tokens, and the cost in US dollars (None: it has no price)."""

    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of the runs of a period: of its slots, and (``on_request`` of them) of requests made in it.

    A skipped run started and was closed without a result (quiet, for one); ``unfinished`` ones were not closed, and
    ``unreadable`` ones may have been. A delivery is one result at one destination, by its last outcome. Lateness is
    from the slot to the first attempt, duration that of the last attempt. ``models`` are empty where none was asked.
    """

    executed: int = 0
    failed: int = 0
    skipped: int = 0
    unfinished: int = 0
    unreadable: int = 0
    on_request: int = 0
    attempts: int = 0
    attempts_failed: int = 0
    attempts_interrupted: int = 0
    delivered: int = 0
    undelivered: int = 0
    unknown: int = 0
    left_out: int = 0
    lateness: Spread | None = None
    duration: Spread | None = None
    models: tuple[ModelLine, ...] = ()

    @property
    def runs(self) -> int:
        """All runs."""
        return self.executed + self.failed + self.skipped + self.unfinished + self.unreadable

    @property
    def deliveries(self) -> int:
        """All deliveries."""
        return self.delivered + self.undelivered + self.unknown + self.left_out

    @property
    def run_rate(self) -> float | None:
        """The share of executed runs among those that were executed or failed, 0 to 100; None before the first."""
        return _rate(self.executed, self.failed)

    @property
    def attempt_rate(self) -> float | None:
        """The share of attempts that ended with a result among those that did, failed, or were interrupted."""
        return _rate(self.executed, self.attempts_failed + self.attempts_interrupted)

    @property
    def delivery_rate(self) -> float | None:
        """The share of deliveries that arrived among those that did, failed, or are unknown."""
        return _rate(self.delivered, self.undelivered + self.unknown)


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task as it was at the end of the report, the account of its slots, and the figures of its runs."""

    task_id: str
    guild_id: str
    name: str
    status: str
    schedule: str
    timezone: str
    account: Account
    figures: Figures


@dataclass(frozen=True, slots=True)
class Day:
    """The slots of one day of the report's zone. ``pending`` are under way, or due and not decided.

    ``missed`` ones passed while nothing served them; ``skipped`` are left out for all other reasons.
    """

    date: date
    executed: int = 0
    failed: int = 0
    missed: int = 0
    skipped: int = 0
    pending: int = 0
    lateness: Spread | None = None

    @property
    def slots(self) -> int:
        """All slots of the day."""
        return self.executed + self.failed + self.missed + self.skipped + self.pending

    @property
    def rate(self) -> float | None:
        """The share of executed slots among those that were executed, failed or missed; None for none."""
        return _rate(self.executed, self.failed + self.missed)


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """The last outcome of a run's result at one destination: ``place`` is its target, or what people see of it."""

    destination: str
    type: str
    place: str
    status: str
    attempt: int
    at: datetime
    receipt: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run. ``slot`` is None for one that was asked for; ``position`` is that of its first event.

    ``state`` is executed, failed, skipped, running, waiting or unreadable; ``reason`` why it was skipped, or what kind
    of failure it was; ``error`` what was said about it.
    """

    position: int
    run_id: str
    task_id: str
    task: str
    guild_id: str
    slot: datetime | None
    requested_at: datetime | None
    requested_by: str | None
    started_at: datetime | None
    closed_at: datetime | None
    state: str
    lateness: float | None
    duration: float | None
    attempts: int
    messages: int | None = None
    reason: str | None = None
    error: str | None = None
    note: str | None = None
    deliveries: tuple[DeliveryLine, ...] = ()

    @property
    def at(self) -> datetime:
        """Its slot, or when it was asked for: one of them is there."""
        at = self.slot or self.requested_at
        assert at is not None
        return at


@dataclass(frozen=True, slots=True)
class EventLine:
    """One event: where it stands in the log, what it was about, who acted (None: nobody), why, and what it says."""

    position: int
    at: datetime | None
    guild_id: str
    task_id: str
    subject: str
    event: str
    who: str | None
    reason: str | None
    what: str


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One field that an edit changed, of a task or of a guild's settings; values as JSON, or as plain text."""

    position: int
    at: datetime
    guild_id: str
    task_id: str
    subject: str
    field: str
    before: str | None
    after: str | None
    who: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which no process was up. ``until`` is None for one that was not over at the end of the report."""

    since: datetime
    until: datetime | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Cause:
    """Attempts that failed alike: the kind of failure, what was said (numbers as #), how often, and when."""

    what: str
    said: str
    count: int
    tasks: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class PlaceLine:
    """What became of all deliveries to one destination."""

    type: str
    place: str
    delivered: int
    failed: int
    unknown: int
    skipped: int
    last_reason: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report over ``start`` <= instant < ``end``, with days of the zone ``timezone``.

    It is ``closed`` once the log holds an event at or after the end: then it is the same whenever it is made. Otherwise
    it tells what was known at ``as_of``. ``position`` is the last event that it was made from. The runs and events that
    are listed are the first of ``runs_total``, ``events_total`` and ``changes_total``; the tasks are those of
    ``tasks_total`` with the most trouble, in the order in which they were made. ``kinds`` counts all events of the
    period. ``watched_seconds`` is how much of the period the log knows processes, ``down_seconds`` how long of that
    none was up; both None where the log holds no process.
    """

    scope: Scope
    role: Role
    start: datetime
    end: datetime
    timezone: str
    closed: bool
    as_of: datetime
    position: int
    account: Account
    figures: Figures
    tasks: tuple[TaskLine, ...] = ()
    tasks_total: int = 0
    days: tuple[Day, ...] = ()
    runs: tuple[RunLine, ...] = ()
    runs_total: int = 0
    slowest: tuple[RunLine, ...] = ()
    events: tuple[EventLine, ...] = ()
    events_total: int = 0
    kinds: tuple[tuple[str, int], ...] = ()
    changes: tuple[ChangeLine, ...] = ()
    changes_total: int = 0
    outages: tuple[Outage, ...] = ()
    watched_seconds: float | None = None
    down_seconds: float | None = None
    causes: tuple[Cause, ...] = ()
    causes_total: int = 0
    places: tuple[PlaceLine, ...] = ()

    @property
    def up_rate(self) -> float | None:
        """The share of the known time in which some process was up, 0 to 100; None where nothing is known."""
        if self.down_seconds is None or not self.watched_seconds:
            return None
        return round(100 - 100 * self.down_seconds / self.watched_seconds, 4)

    @property
    def cut(self) -> tuple[str, ...]:
        """What is not listed in full, in words; empty where everything is."""
        counts = (
            ("runs", len(self.runs), self.runs_total),
            ("events", len(self.events), self.events_total),
            ("changes", len(self.changes), self.changes_total),
        )
        tasks = f"the {len(self.tasks):,} of {self.tasks_total:,} tasks with the most trouble are listed"
        return (
            *([f"{tasks}; all numbers count all of them"] if len(self.tasks) < self.tasks_total else []),
            *(
                f"the first {listed:,} of {total:,} {name} are listed; all numbers count all of them"
                for name, listed, total in counts
                if listed < total
            ),
        )
