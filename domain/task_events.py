"""The facts of a task's life. Mutators (``apply``) move the state: they never guard, and compute no calendar."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from eventsourcing.domain import CanInitAggregate

from domain.definition import TaskDefinition
from domain.destination import DeliveryOutcome, DeliveryStatus
from domain.event import Event, Text, Utc
from domain.incidents import NoticeKind, untold_with
from domain.reasons import InterruptionReason, SkipReason
from domain.runs import OpenRun, TaskStatus
from domain.summary import Usage

if TYPE_CHECKING:
    from domain.task import ScheduledTask

__all__ = [
    "Cancelled",
    "Completed",
    "Created",
    "DeliveredLate",
    "DeliveryStarted",
    "Disabled",
    "Executed",
    "Failed",
    "Interrupted",
    "InterruptionReason",
    "Noticed",
    "Paused",
    "Replanned",
    "Requested",
    "Resumed",
    "Revised",
    "SkipReason",
    "SkipRequested",
    "Skipped",
    "Started",
    "TaskEvent",
]


class TaskEvent(Event):
    """A fact of one task."""

    def apply(self, task: ScheduledTask) -> None:
        """Move the state of the task."""
        raise NotImplementedError


class Created(TaskEvent, CanInitAggregate[UUID]):
    """The task exists. Its slots are accounted for from this instant on."""

    topic: ClassVar[str] = "task.created"
    originator_topic: ClassVar[str] = "task"  # type: ignore[misc]  # the class is known by the topic, not by a path

    definition: TaskDefinition
    by: str
    next_slot: Utc | None = None
    rules: str

    def mutate(self, aggregate: None) -> ScheduledTask:  # type: ignore[override]
        """The task as it begins."""
        from domain.task import ScheduledTask  # the aggregate imports its events; only this one makes an aggregate

        task = ScheduledTask.__new__(ScheduledTask)
        task.begin(self)
        return task

    def apply(self, task: ScheduledTask) -> None:
        """Set the first state."""
        task.definition = self.definition
        task.accounted_until = self.timestamp
        task.next_slot = self.next_slot
        task.rules = self.rules


class Revised(TaskEvent):
    """A person changed the definition."""

    topic: ClassVar[str] = "task.revised"

    definition: TaskDefinition
    by: str
    reason: Text | None = None
    accounted_until: Utc
    next_slot: Utc | None = None
    rules: str

    def apply(self, task: ScheduledTask) -> None:
        task.definition = self.definition
        task.accounted_until = self.accounted_until
        task.next_slot = self.next_slot
        task.rules = self.rules
        task.disabled_destinations &= {destination.key for destination in self.definition.destinations}


class Paused(TaskEvent):
    """A person stopped the schedule, for good or until an instant."""

    topic: ClassVar[str] = "task.paused"

    by: str
    reason: Text | None = None
    until: Utc | None = None

    def apply(self, task: ScheduledTask) -> None:
        task.status = TaskStatus.PAUSED
        task.paused_until = self.until


class Resumed(TaskEvent):
    """The schedule goes on, after a pause or after being disabled. Failures are counted from zero."""

    topic: ClassVar[str] = "task.resumed"

    by: str
    reason: Text | None = None
    accounted_until: Utc
    next_slot: Utc | None = None
    rules: str

    def apply(self, task: ScheduledTask) -> None:
        task.status = TaskStatus.ACTIVE
        task.paused_until = None
        task.consecutive_failures = 0
        task.disabled_destinations = set()
        task.accounted_until = self.accounted_until
        task.next_slot = self.next_slot
        task.rules = self.rules


class Requested(TaskEvent):
    """Somebody asked for a run now. It has no slot, and stays outside the slot accounting.

    A backfill asks for a past slot again: the run stands for ``until`` (that slot) and looks back to ``since``.
    """

    topic: ClassVar[str] = "task.requested"

    run: str
    request: str
    by: str
    reason: Text | None = None
    since: Utc | None = None
    until: Utc | None = None

    def apply(self, task: ScheduledTask) -> None:
        task.open_runs[self.run] = OpenRun(
            run=self.run, request=self.request, due_at=self.timestamp, since=self.since, until=self.until
        )


class SkipRequested(TaskEvent):
    """Somebody asked to leave out the next slots; the Skipped event after it says which."""

    topic: ClassVar[str] = "task.skip_requested"

    by: str
    reason: Text | None = None
    count: int

    def apply(self, task: ScheduledTask) -> None:
        """Nothing moves: Skipped does that."""


class Started(TaskEvent):
    """An attempt was claimed by a node: written before anything is done.

    ``since`` is where the look-back begins. With a slot, every slot up to it is accounted for and ``next_slot`` was
    decided. ``buffered_until`` exempts due slots up to then from overlap and catch-up.
    """

    topic: ClassVar[str] = "task.started"

    run: str
    slot: Utc | None = None
    request: str | None = None
    attempt: int
    owner: str
    deadline: Utc
    since: Utc
    next_slot: Utc | None = None
    rules: str | None = None
    buffered_until: Utc | None = None

    def apply(self, task: ScheduledTask) -> None:
        now, before = self.timestamp, task.open_runs.get(self.run)
        if before is None:  # by position: by name it takes four times as long
            run = OpenRun(
                self.run, self.slot, self.request, self.attempt, self.owner, now, now, self.deadline, self.since
            )
        else:
            run = before._replace(
                slot=self.slot,
                request=self.request,
                attempt=self.attempt,
                owner=self.owner,
                begun_at=before.begun_at or before.started_at or now,
                started_at=now,
                deadline=self.deadline,
                since=self.since,
                due_at=None,
                sending=(),
            )
        task.open_runs[self.run] = run
        if self.attempt == 1 and self.slot is not None:
            task.accounted_until = max(task.accounted_until, self.slot)
            task.next_slot = self.next_slot
            task.slots_started += 1
            if self.rules:
                task.rules = self.rules
        if self.buffered_until is not None:
            task.buffered_until = self.buffered_until


def _closed(task: ScheduledTask, run_id: str, at: datetime) -> OpenRun | None:
    """Take a run off the open ones. Slots wait for runs of slots only, so only those leave buffered slots behind."""
    run = task.open_runs.pop(run_id, None)
    if run is not None and not run.manual and task.definition.overlap.buffers:
        task.buffered_until = at
    return run


class DeliveryStarted(TaskEvent):
    """A result is about to be sent to places that cannot tell a second one from the first. Written before the send."""

    topic: ClassVar[str] = "task.delivery_started"

    run: str
    attempt: int
    owner: str
    destinations: tuple[str, ...]

    def apply(self, task: ScheduledTask) -> None:
        run = task.open_runs.get(self.run)
        if run is not None:
            sending = tuple(dict.fromkeys((*run.sending, *self.destinations)))
            task.open_runs[self.run] = run._replace(sending=sending, sent_at=run.sent_at or self.timestamp)


class DeliveredLate(TaskEvent):
    """Results arrived, as was learned after their attempt had been closed: by somebody else, or since it overstayed.

    A run that is still open does not send them again; one that is closed stays as it is.
    """

    topic: ClassVar[str] = "task.delivered_late"

    run: str
    attempt: int
    owner: str
    deliveries: tuple[DeliveryOutcome, ...]

    def apply(self, task: ScheduledTask) -> None:
        run = task.open_runs.get(self.run)
        if run is not None:
            task.open_runs[self.run] = run.arrived(outcome.destination for outcome in self.deliveries)


class _Closing(TaskEvent):
    """An event that closes one attempt; it names the attempt and its owner, and no other may close it."""

    run: str
    attempt: int
    owner: str

    def _close(self, task: ScheduledTask) -> OpenRun | None:
        return _closed(task, self.run, self.timestamp)


class Executed(_Closing):
    """The run is done: the work was made and every destination that is left has it.

    ``usage`` is what a language model was asked for in this attempt; None where an earlier one had made the summary.
    """

    topic: ClassVar[str] = "task.executed"

    summary: Text | None = None
    messages: int | None = None
    deliveries: tuple[DeliveryOutcome, ...] | None = None
    note: Text | None = None
    usage: Usage | None = None

    def apply(self, task: ScheduledTask) -> None:
        run = self._close(task)
        if run is not None and run.slot is not None:
            # A run on request covers some of the interval; the next slot still looks back over all of it.
            task.covered_until = run.slot if task.covered_until is None else max(task.covered_until, run.slot)
            task.consecutive_failures = 0
            task.incident = task.incident.succeeded()


class Failed(_Closing):
    """The attempt failed. With ``retry_at`` the run waits for its next attempt, without it is closed as failed.

    ``what`` is the kind of failure in one word, ``error`` what happened; ``disabled_destinations`` are those that
    refused for good, ``usage`` what a language model was asked for. A ``postponed`` attempt sent nothing, as the hosts
    are left alone for now: it is not counted among the failures in a row.
    """

    topic: ClassVar[str] = "task.failed"

    what: str
    error: Text
    permanent: bool
    retry_at: Utc | None = None
    summary: Text | None = None
    deliveries: tuple[DeliveryOutcome, ...] | None = None
    disabled_destinations: tuple[str, ...] | None = None
    postponed: bool | None = None
    usage: Usage | None = None

    @property
    def leaves_doubt(self) -> bool:
        """Whether it is not known of some destination if it has the result."""
        return any(outcome.status is DeliveryStatus.UNKNOWN for outcome in self.deliveries or ())

    def apply(self, task: ScheduledTask) -> None:
        run = task.open_runs.get(self.run) if self.retry_at else self._close(task)
        if self.disabled_destinations:
            task.disabled_destinations |= set(self.disabled_destinations)
        if run is None:
            return
        if self.retry_at is None:
            doubt, known = self.leaves_doubt, task.incident.since is not None
            task.untold = untold_with(task.untold, run.run, manual=run.manual, doubtful=doubt, in_trouble=known)
        if run.slot is not None:
            task.consecutive_failures += not self.postponed
            task.incident = task.incident.failed(self.timestamp)
        if self.retry_at is not None:
            counted = "postponed" if self.postponed else "failures"
            counts = {counted: getattr(run, counted) + 1}
            task.open_runs[self.run] = run.waiting(self.retry_at, self.deliveries or (), **counts)


class Skipped(TaskEvent):
    """Slots that did not run (``first`` to ``last``, ``count`` of them), or one started run closed without a result."""

    topic: ClassVar[str] = "task.skipped"

    skip: SkipReason
    first: Utc | None = None
    last: Utc | None = None
    count: int | None = None
    next_slot: Utc | None = None
    rules: str | None = None
    run: str | None = None
    attempt: int | None = None
    owner: str | None = None
    note: Text | None = None

    def apply(self, task: ScheduledTask) -> None:
        if self.run is not None:
            _closed(task, self.run, self.timestamp)
        elif self.last is not None:
            task.accounted_until = max(task.accounted_until, self.last)
            task.next_slot = self.next_slot
            if self.rules:
                task.rules = self.rules


class Interrupted(_Closing):
    """The attempt ended without an outcome: a crash, a shutdown, a lost lease. The run waits to be started again."""

    topic: ClassVar[str] = "task.interrupted"

    cause: InterruptionReason
    noticed_by: str
    deliveries: tuple[DeliveryOutcome, ...] | None = None

    def apply(self, task: ScheduledTask) -> None:
        run = task.open_runs.get(self.run)
        if run is None:
            return
        crashes = run.crashes + (self.cause is not InterruptionReason.SHUTDOWN)
        task.open_runs[self.run] = run.waiting(self.timestamp, self.deliveries or (), crashes=crashes)


class Disabled(TaskEvent):
    """The task is off until a person resumes it: it failed too often, or no destination is left."""

    topic: ClassVar[str] = "task.disabled"

    reason: str

    def apply(self, task: ScheduledTask) -> None:
        task.status = TaskStatus.DISABLED
        task.incident = task.incident.disabled(self.timestamp)


class Cancelled(TaskEvent):
    """A person ended the task for good."""

    topic: ClassVar[str] = "task.cancelled"

    by: str
    reason: Text | None = None

    def apply(self, task: ScheduledTask) -> None:
        task.status = TaskStatus.CANCELLED
        task.next_slot = None


class Completed(TaskEvent):
    """The schedule has ended: no slot is left and no run is open."""

    topic: ClassVar[str] = "task.completed"

    def apply(self, task: ScheduledTask) -> None:
        task.status = TaskStatus.COMPLETED
        task.next_slot = None


class Noticed(TaskEvent):
    """People were told of trouble, or of its end; or could not be told, as the outcomes say.

    ``runs`` are the single runs that they were told of. Without a delivery whoever asked for a run had waited for it.
    """

    topic: ClassVar[str] = "task.noticed"

    kind: NoticeKind
    deliveries: tuple[DeliveryOutcome, ...] = ()
    runs: tuple[str, ...] | None = None

    def apply(self, task: ScheduledTask) -> None:
        task.incident = task.incident.noticed(self.kind)
        if self.runs:
            task.untold = tuple(run for run in task.untold if run not in self.runs)


class Replanned(TaskEvent):
    """New rules (time zones, cron, holidays) moved the next slot; only the future moves."""

    topic: ClassVar[str] = "task.replanned"

    previous: Utc | None = None
    next_slot: Utc | None = None
    rules: str

    def apply(self, task: ScheduledTask) -> None:
        task.next_slot = self.next_slot
        task.rules = self.rules
