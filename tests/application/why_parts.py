"""The decision table of docs/explanation/why.md, and the short histories that are written in it.

A history is steps with their times and semicolons between: ``08:30 make type=hourly; 09:30 pause moving house``. A time
without a date is on Monday, 2 March 2026; all are UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from application.ports import Recorded
from domain.destination import DeliveryOutcome, DeliveryStatus, DestinationType
from domain.draft import revised
from domain.errors import EventUnreadable, NotDue, PayloadErased
from domain.node import Node
from domain.runs import Attempt
from domain.schedule import Schedule, make_schedule, rules_fingerprint
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason, Replanned, SkipReason

__all__ = ["PAGE", "History", "Row", "history_of", "moment", "rows"]

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "why.md"
_POLICIES = {"overlap", "catch_up", "max_runs", "max_failures", "retry_delay_minutes", "catch_up_window_seconds"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    history: str
    asked: str
    reason: str
    fate: str
    answer: str


def rows() -> list[Row]:
    """The rows of all tables of the page that begin with a history."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 5:
            found.append(Row(*cells))
    return found


def moment(text: str) -> datetime:
    """``09:00`` or ``2026-03-08T09:00``."""
    written = datetime.fromisoformat(text if "T" in text else f"2026-03-02T{text}")
    return written if written.tzinfo else written.replace(tzinfo=UTC)


@dataclass
class History:
    """A task and the processes, and what was written of them."""

    task: ScheduledTask
    now: datetime
    events: list[Any] = field(default_factory=list)
    node_events: list[Any] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    attempt: Attempt | None = None

    @property
    def recorded(self) -> list[Recorded]:
        """The task's events as the log holds them."""
        return [Recorded(position, event) for position, event in enumerate(self.events, 1)]

    @property
    def recorded_nodes(self) -> list[Recorded]:
        """Those of the processes."""
        return [Recorded(position, event) for position, event in enumerate(self.node_events, 1000)]

    def step(self, verb: str, rest: str) -> None:
        """One step."""
        _STEPS[verb](self, rest)
        self.events += self.task.collect_events()

    def claim(self, rest: str = "") -> None:
        """Claim until nothing is due."""
        for _ in range(10):
            try:
                found = self.task.claim(now=self.now, node=rest or "n1", deadline=timedelta(minutes=15))
            except NotDue:
                return
            self.attempt = found or self.attempt

    def close(self, verb: Callable[[Attempt], None]) -> None:
        """Close the last attempt."""
        assert self.attempt is not None
        verb(self.attempt)

    def damage(self, kind: str) -> None:
        """Make the last event unreadable."""
        event = self.events[-1]
        where = event.originator_id, event.originator_version, event.topic
        self.events[-1] = PayloadErased(*where) if kind else EventUnreadable(*where, "damaged", event.timestamp)


def _serve(history: History, rest: str) -> None:
    history.claim()
    _done(history, rest)


def _done(history: History, rest: str) -> None:
    task, now = history.task, history.now
    history.close(lambda a: task.conclude(a.run, a.attempt, a.owner, now=now))


def _fail(history: History, rest: str) -> None:
    task, now = history.task, history.now
    good = rest == "for good"
    history.close(
        lambda a: task.fail(a.run, a.attempt, a.owner, now=now, what="source", error="no answer", permanent=good)
    )


def _arrived(history: History, rest: str) -> None:
    """A delivery of the last attempt is learned of late."""
    task, now = history.task, history.now
    outcome = DeliveryOutcome(destination="d", type=DestinationType.EMAIL, status=DeliveryStatus.DELIVERED, at=now)
    history.close(lambda a: task.record_late(a.run, a.attempt, a.owner, now=now, outcomes=[outcome]))


def _quiet(history: History, rest: str) -> None:
    task, now = history.task, history.now
    history.close(
        lambda a: task.skip_run(a.run, a.attempt, a.owner, now=now, reason=SkipReason.QUIET, note="2 messages")
    )


def _full(history: History, rest: str) -> None:
    deadline, because = timedelta(minutes=15), "it may have 3 a day"
    history.task.claim(now=history.now, node="n1", deadline=deadline, no_more_because=because)


def _turned(history: History, rest: str) -> None:
    task, now, reason = history.task, history.now, SkipReason.QUOTA
    history.close(
        lambda a: task.skip_run(a.run, a.attempt, a.owner, now=now, reason=reason, note="it may have 3 a day")
    )


def _crash(history: History, rest: str) -> None:
    task, now = history.task, history.now
    cause = InterruptionReason.CRASH
    history.close(lambda a: task.interrupt(a.run, a.attempt, a.owner, now=now, cause=cause, noticed_by="n2"))


def _pause(history: History, rest: str) -> None:
    until = moment(rest.split()[1]) if rest.startswith("until ") else None
    reason = " ".join(rest.split()[2:]) if until is not None else rest
    history.task.pause(now=history.now, by="ann", reason=reason or None, until=until)


def _kept(history: History, rest: str) -> None:
    """An earlier version of the program took every slot before a command for paused, also after the pause's end."""
    history.task._account_until(history.now, now=history.now)


def _resume(history: History, rest: str) -> None:
    history.task.resume(now=history.now, by="bob", catch_up=rest == "and catch up")


def _skip(history: History, rest: str) -> None:
    history.task.request_skip(int(rest), now=history.now, by="ann", reason="bank holiday")


def _cancel(history: History, rest: str) -> None:
    history.task.cancel(now=history.now, by="ann", reason=rest or None)


def _edit(history: History, rest: str) -> None:
    policies, schedule = _fields(rest)
    changes = {**policies, **({"schedule": schedule} if schedule is not None else {})}
    definition = revised(history.task.definition, changes, now=history.now)
    history.task.revise(definition, now=history.now, by="ann", reason="better so")


def _request(history: History, rest: str) -> None:
    history.task.request_run("q", now=history.now, by="ann", reason=rest or None)


def _backfill(history: History, rest: str) -> None:
    history.task.request_backfill(moment(rest), moment(rest), "again", now=history.now, by="ann")


def _replanned(history: History, rest: str) -> None:
    task = history.task
    history.events.append(
        Replanned(
            originator_id=task.id, originator_version=task.version + 1, timestamp=history.now, previous=task.next_slot,
            next_slot=moment(rest), rules="newer rules",
        )
    )  # fmt: skip


def _forgotten(history: History, rest: str) -> None:
    del history.events[-int(rest) :]


def _up(history: History, rest: str) -> None:
    name, knowing, operations = rest.partition(" knowing ")
    known = None if not knowing else operations.split() if operations != "none" else ()
    node = Node.start(name, now=history.now, host="h", pid=1, version="1", rules=rules_fingerprint(), operations=known)
    history.nodes[name] = node
    history.node_events += node.collect_events()


def _learned(history: History, rest: str) -> None:
    name, *operations = rest.split()
    node = history.nodes[name]
    node.learn(operations, now=history.now)
    history.node_events += node.collect_events()


def _down(history: History, rest: str) -> None:
    node = history.nodes[rest]
    node.stop(now=history.now)
    history.node_events += node.collect_events()


def _lost(history: History, rest: str) -> None:
    name, seen = rest.split(" seen ")
    node = history.nodes[name]
    node.lose(now=history.now, last_seen=moment(seen), noticed_by="n2")
    history.node_events += node.collect_events()


_STEPS: dict[str, Callable[[History, str], None]] = {
    "serve": _serve, "claim": History.claim, "done": _done, "fail": _fail, "quiet": _quiet, "crash": _crash,
    "full": _full, "turned": _turned, "arrived": _arrived,
    "pause": _pause, "kept": _kept, "resume": _resume, "skip": _skip, "cancel": _cancel, "edit": _edit,
    "request": _request, "backfill": _backfill, "up": _up, "learned": _learned, "down": _down, "lost": _lost,
    "now": lambda history, rest: None, "replanned": _replanned, "forgotten": _forgotten,
    "damaged": lambda history, rest: history.damage(""), "erased": lambda history, rest: history.damage("erased"),
}  # fmt: skip


def _fields(text: str) -> tuple[dict[str, Any], Schedule | None]:
    given: dict[str, Any] = dict(pair.split("=", 1) for pair in text.split())
    policies = {name: given.pop(name) for name in list(given) if name in _POLICIES}
    for name in ("max_runs", "max_failures"):
        if name in policies:
            policies[name] = int(policies[name])
    if "days" in given:
        given["days"] = [int(day) for day in given["days"].split(",")]
    for name in ("start", "end", "at"):
        if name in given:
            given[name] = moment(given[name])
    if "exclude" in given:
        given["exclude"] = [datetime.fromisoformat(given["exclude"]).date()]
    if "cron" in given:
        given["cron"] = given["cron"].replace("_", " ")
    if "day_of_month" in given:
        given["day_of_month"] = int(given["day_of_month"])
    if "spread" in given:
        given["spread"] = timedelta(hours=float(given["spread"]))
    if "business_days" in given:
        given["business_days"] = given["business_days"] == "yes"
    return policies, make_schedule(**given) if given else None


def history_of(text: str) -> History:
    """The history that a row of the table tells."""
    first, *others = text.split("; ")
    at, make, fields = first.split(" ", 2)
    assert make == "make"
    policies, schedule = _fields(fields)
    task = ScheduledTask(
        id=UUID(int=7), now=moment(at), name="t", guild_id="1", task_type="custom", operation="o", created_by="ann",
        schedule=schedule, **policies,
    )  # fmt: skip
    history = History(task, moment(at))
    history.events += task.collect_events()
    for other in others:
        at, verb, *rest = other.split(" ", 2)
        history.now = moment(at)
        history.step(verb, rest[0] if rest else "")
    return history
