"""What a task should have come to, kept as plain lists: slots enumerated one by one, statuses and counts by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from application.rows import RunRow, SkipRow
from domain import task_events as facts
from domain.definition import TaskDefinition
from domain.event import epoch_microseconds as us
from domain.event import from_epoch_microseconds
from domain.schedule import between
from domain.task_events import SkipReason

__all__ = ["TaskModel"]

MANY = 1_000_000


@dataclass
class TaskModel:
    """One task. Told of every event in order, it checks what the event may not do, and counts."""

    definition: TaskDefinition
    enumerated_until: datetime
    implied: list[int] = field(default_factory=list)
    status: str = "active"
    failures: int = 0
    started: list[datetime] = field(default_factory=list)
    owners: dict[tuple[str, int], str] = field(default_factory=dict)
    open_attempts: set[tuple[str, int]] = field(default_factory=set)
    closed: set[tuple[str, int]] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    paused_until: datetime | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the task has had all its runs."""
        return self.definition.max_runs is not None and len(self.started) >= self.definition.max_runs

    def see(self, event: Any) -> None:
        """Check and count one event."""
        match event:
            case facts.Started():
                self._see_start(event)
            case facts.DeliveryStarted():
                assert self.status != "cancelled", "a cancelled task sends nothing new"
                assert (event.run, event.attempt) in self.open_attempts, "only an open attempt sends"
            case facts.Executed() | facts.Failed() | facts.Interrupted():
                self._see_end(event)
            case facts.Skipped(run=str()):
                self._see_closed(event)
            case facts.Skipped():
                if event.skip is SkipReason.PAUSED and self.paused_until is not None:
                    assert event.last is not None
                    assert event.last < self.paused_until, "a pause that is over keeps no slot"
                self.counts["skipped_slots"] += event.count or 0
            case facts.Revised():
                self._enumerate(event.accounted_until)
                self.definition = event.definition
            case facts.Paused() | facts.Disabled() | facts.Cancelled() | facts.Completed():
                self.status = type(event).__name__.lower()
                self.paused_until = event.until if isinstance(event, facts.Paused) else None
            case facts.Resumed():
                self.status, self.failures = "active", 0
            case facts.Requested():
                self.counts["requested"] += 1

    def _see_start(self, event: facts.Started) -> None:
        assert self.status in ("active", "paused", "disabled"), "an ended task starts nothing"
        key = event.run, event.attempt
        assert key not in self.owners, "one attempt has one owner"
        assert not any(run == event.run for run, _ in self.open_attempts), "one attempt of a run at a time"
        assert event.attempt == 1 + sum(run == event.run for run, _ in self.owners), "attempts are counted"
        self.owners[key] = event.owner
        self.open_attempts.add(key)
        self.counts["attempts"] += 1
        if event.slot is not None:
            assert self.status == "active", "slots run only while the task is active"
            assert event.slot <= event.timestamp, "no slot runs before its time"
            assert self.failures < self.definition.max_failures, "a task that failed too often is off"
            if event.attempt == 1:
                assert event.slot not in self.started, "a slot starts once"
                assert not self.exhausted, "a task has no more runs than it may have"
                self.started.append(event.slot)

    def _see_end(self, event: facts.Executed | facts.Failed | facts.Interrupted) -> None:
        key = event.run, event.attempt
        assert key in self.open_attempts, "only an open attempt is closed"
        assert self.owners[key] == event.owner, "only its owner's attempt is closed"
        self.open_attempts.remove(key)
        self.closed.add(key)
        has_slot = any(row == event.run for row in self._slot_runs)
        if isinstance(event, facts.Executed):
            self.counts["executed"] += 1
            self.failures = 0 if has_slot else self.failures
        elif isinstance(event, facts.Failed):
            self.counts["failed"] += event.retry_at is None
            self.counts["failed_attempts"] += 1
            self.failures += has_slot
        else:
            self.counts["interruptions"] += 1

    def _see_closed(self, event: facts.Skipped) -> None:
        self.open_attempts.discard((str(event.run), event.attempt or 0))
        self.counts["skipped_runs"] += 1

    _slot_runs: set[str] = field(default_factory=set)

    def know_slot_run(self, run: str) -> None:
        """Remember that a run is a slot's."""
        self._slot_runs.add(run)

    def _enumerate(self, until: datetime) -> None:
        if self.exhausted:
            until = min(until, max(self.started))
        if until > self.enumerated_until:
            self.implied += map(us, between(self.definition.schedule, self.enumerated_until, until, MANY))
            self.enumerated_until = until

    def check_slots(self, accounted_until: datetime, runs: list[RunRow], skips: list[SkipRow]) -> None:
        """Every slot that the schedules implied up to now was started or skipped, once."""
        self._enumerate(accounted_until)
        started = [run.slot for run in runs if run.slot is not None]
        assert sorted(started) == sorted(map(us, self.started))
        served = sorted(started)
        for skip in skips:
            inside = [slot for slot in self.implied if skip.first <= slot <= skip.last]
            assert len(inside) == skip.count, (
                f"{skip.reason}: {skip.count} slots from {from_epoch_microseconds(skip.first)}, there are {len(inside)}"
            )
            served += inside
        assert sorted(served) == self.implied, "every slot is accounted for once"
