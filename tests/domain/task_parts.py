"""Tasks for tests, and the steps that nodes take with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.definition import TaskType
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, DestinationType
from domain.draft import revised
from domain.runs import Attempt
from domain.task import ScheduledTask, state
from domain.task_snapshot import snapshot_of

__all__ = [
    "DEADLINE",
    "START",
    "at",
    "changed",
    "claim",
    "done",
    "events",
    "failed",
    "file_to",
    "kinds",
    "make",
    "outcome",
    "same",
    "summary_task",
]

START = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
"""A Monday morning: hourly slots are at 9, 10, 11 o'clock."""

DEADLINE = timedelta(minutes=15)


def at(hours: float = 0, *, minutes: float = 0, seconds: float = 0, days: float = 0) -> datetime:
    """An instant after START."""
    return START + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def make(*, now: datetime = START, **fields: Any) -> ScheduledTask:
    """An hourly custom task."""
    known: dict[str, Any] = {"name": "hourly", "guild_id": "1", "task_type": TaskType.CUSTOM, "operation": "noop"}
    return ScheduledTask(now=now, **{**known, "schedule_type": "hourly", **fields})


def file_to(*targets: str) -> list[Destination]:
    """Destinations that are files."""
    return [Destination(type=DestinationType.FILE, target=target, format="markdown") for target in targets]


def summary_task(*targets: str, now: datetime = START, **fields: Any) -> ScheduledTask:
    """An hourly summary with one destination for each target."""
    known: dict[str, Any] = {"task_type": TaskType.SUMMARY, "operation": None, "channel_id": "7"}
    return make(now=now, **{**known, "destinations": file_to(*targets), **fields})


def changed(task: ScheduledTask, *, now: datetime = START, **changes: Any) -> Any:
    """The task's definition with some fields changed."""
    return revised(task.definition, changes, now=now)


def claim(task: ScheduledTask, now: datetime, node: str = "n1") -> Attempt:
    """Claim until something starts."""
    for _ in range(10):
        attempt = task.claim(now=now, node=node, deadline=DEADLINE)
        if attempt is not None:
            return attempt
    raise AssertionError("nothing starts")


def done(task: ScheduledTask, attempt: Attempt, now: datetime, outcomes: Sequence[DeliveryOutcome] = ()) -> None:
    """Close an attempt whose work is done."""
    task.conclude(attempt.run, attempt.attempt, attempt.owner, now=now, outcomes=outcomes)


def failed(task: ScheduledTask, attempt: Attempt, now: datetime, *, permanent: bool = False, **more: Any) -> None:
    """Close an attempt as failed."""
    task.fail(
        attempt.run,
        attempt.attempt,
        attempt.owner,
        now=now,
        what="source",
        error="no answer",
        permanent=permanent,
        **more,
    )


def outcome(
    destination: Destination,
    status: DeliveryStatus = DeliveryStatus.DELIVERED,
    *,
    permanent: bool = False,
    unsent: bool = False,
    not_before: datetime | None = None,
    now: datetime = START,
) -> DeliveryOutcome:
    """What became of one delivery."""
    return DeliveryOutcome(
        destination=destination.key,
        type=destination.type,
        status=status,
        reason=None if status is DeliveryStatus.DELIVERED else "no",
        permanent=permanent,
        unsent=unsent or None,
        not_before=not_before,
        at=now,
    )


def events(task: ScheduledTask) -> list[Any]:
    """The events of a task that was never written."""
    return list(task.pending_events)


def kinds(task: ScheduledTask, since: int = 0) -> list[str]:
    """The names of the events of a task that was never written, from the one after ``since`` on."""
    return [type(event).__name__ for event in events(task)[since:]]


def same(task: ScheduledTask, other: ScheduledTask | None = None) -> bool:
    """Whether two tasks stand alike; by default, whether a task stands as its own events say."""
    other = other if other is not None else state(task.pending_events)
    assert other is not None
    return snapshot_of(task, fingerprint="") == snapshot_of(other, fingerprint="")
