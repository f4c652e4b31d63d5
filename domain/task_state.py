"""The state of a task, and what follows from it directly. Commands are in domain.task and domain.task_runs."""

from __future__ import annotations

from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventsourcing.domain import BaseAggregate

from domain import task_events as facts
from domain.claiming import INSTANT, SkippedSlots, due_slots
from domain.definition import TaskDefinition
from domain.destination import Destination
from domain.errors import StaleAttempt, TaskEnded
from domain.incidents import Incident
from domain.runs import OpenRun, TaskStatus, attention_at
from domain.schedule import next_after, rules_fingerprint
from domain.task_events import SkipReason

__all__ = ["STATE_FIELDS", "TaskState"]

STATE_FIELDS = (
    "definition",
    "status",
    "accounted_until",
    "next_slot",
    "rules",
    "open_runs",
    "consecutive_failures",
    "slots_started",
    "covered_until",
    "buffered_until",
    "paused_until",
    "disabled_destinations",
    "incident",
    "untold",
)
"""What a snapshot keeps, beside the id, the version and the instants of the first and the last event."""


class TaskState:
    """Where a task stands. Moved by events alone."""

    definition: TaskDefinition
    status: TaskStatus
    accounted_until: datetime
    next_slot: datetime | None
    rules: str
    open_runs: dict[str, OpenRun]
    consecutive_failures: int
    slots_started: int
    covered_until: datetime | None
    buffered_until: datetime | None
    paused_until: datetime | None
    disabled_destinations: set[str]
    incident: Incident[datetime]
    untold: tuple[str, ...]

    if TYPE_CHECKING:
        # What the aggregate of the library adds.
        id: UUID
        version: int
        created_on: datetime
        modified_on: datetime
        pending_events: list[Any]
        _version: int
        _modified_on: datetime
    else:
        # The same without Python's code for it: they are wanted ten times a command.
        id = property(attrgetter("_id"))
        version = property(attrgetter("_version"), BaseAggregate.version.fset)
        pending_events = property(attrgetter("_pending_events"))

    @property
    def name(self) -> str:
        """The name people gave it."""
        return self.definition.name

    @property
    def guild_id(self) -> str:
        """The guild it belongs to."""
        return self.definition.guild_id

    @property
    def is_active(self) -> bool:
        """Whether its slots run."""
        return self.status is TaskStatus.ACTIVE

    @property
    def next_run(self) -> datetime | None:
        """The next slot that will run (aware UTC); None while it is not active."""
        return self.next_slot if self.is_active else None

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """Where results go now: the enabled destinations that have not refused for good."""
        return tuple(d for d in self.definition.destinations if d.enabled and d.key not in self.disabled_destinations)

    @property
    def attention_at(self) -> datetime | None:
        """When it next wants to be looked at."""
        return attention_at(
            self.status, self.next_slot, self.definition.overlap, self.open_runs, self.paused_until, self.buffered_until
        )

    # --- moving it ---

    def _account_until(self, until: datetime, *, now: datetime, active_reason: SkipReason = SkipReason.MISSED) -> None:
        if self.next_slot is None or self.next_slot > until:
            return
        reasons = {TaskStatus.PAUSED: SkipReason.PAUSED, TaskStatus.DISABLED: SkipReason.DISABLED}
        last, count, following = due_slots(self.definition.schedule, self.next_slot, until)
        self._skip(SkippedSlots(reasons.get(self.status, active_reason), self.next_slot, last, count, following), now)

    def _pause_is_over(self, now: datetime) -> bool:
        """Whether a pause had an end that has come, however late anybody is there to notice."""
        return self.status is TaskStatus.PAUSED and self.paused_until is not None and self.paused_until <= now

    def _owed(self, now: datetime) -> datetime | None:
        """The first slot that no pause keeps from running any more, also where nobody has noticed that it is over."""
        if self.paused_until is None or not self._pause_is_over(now):
            return self.next_slot
        return self._following(max(self.accounted_until, self.paused_until - INSTANT))

    def _end_pause(self, now: datetime) -> bool:
        """Go on where a pause is over. Slots from its end on are not paused, but due or missed.

        Every command that decides about slots does so first, once it has refused what it refuses.
        """
        if self.paused_until is None or not self._pause_is_over(now):
            return False
        self._go_on(now, "system", "the pause ended", paused_through=self.paused_until - INSTANT)
        return True

    def _go_on(self, now: datetime, by: str, reason: str | None, *, paused_through: datetime | None) -> None:
        accounted_until, next_slot = self.accounted_until, self.next_slot
        if paused_through is not None:
            self._account_until(paused_through, now=now)
            accounted_until = max(self.accounted_until, paused_through)
            next_slot = self._following(accounted_until)
        self._trigger(
            facts.Resumed,
            now,
            by=by,
            reason=reason,
            accounted_until=accounted_until,
            next_slot=next_slot,
            rules=rules_fingerprint(),
        )

    def _following(self, instant: datetime) -> datetime | None:
        if self.definition.max_runs is not None and self.slots_started >= self.definition.max_runs:
            return None
        return next_after(self.definition.schedule, instant)

    def _skip(self, skipped: SkippedSlots, now: datetime, note: str | None = None) -> None:
        self._trigger(
            facts.Skipped,
            now,
            skip=skipped.reason,
            first=skipped.first,
            last=skipped.last,
            count=skipped.count,
            next_slot=skipped.next_slot,
            rules=self._new_rules(),
            note=note,
        )

    def _new_rules(self) -> str | None:
        """The calendar rules of today, where the stream's last word on them is another: they stand there once."""
        rules = rules_fingerprint()
        return rules if rules != self.rules else None

    def _close_waiting(self, now: datetime, reason: SkipReason, *, manual_too: bool = False) -> None:
        for run in [r for r in self.open_runs.values() if r.due_at is not None and (manual_too or not r.manual)]:
            self._close_as(run, now, reason)

    def _close_as(self, run: OpenRun, now: datetime, reason: SkipReason, note: str | None = None) -> None:
        self._trigger(facts.Skipped, now, skip=reason, run=run.run, attempt=run.attempt, owner=run.owner, note=note)

    def _complete_if_over(self, now: datetime) -> None:
        if self.is_active and self.next_slot is None and not self.open_runs:
            self._trigger(facts.Completed, now)

    def _trigger(self, event_class: type[facts.TaskEvent], now: datetime, **fields: Any) -> None:
        """Make an event, apply it, and keep it as pending: the library's ``trigger_event`` for what runs twice a run.

        What that one checks first is so by construction here: the stream, the next version, an aware instant. The
        validator is asked without the constructor around it, which takes half as long again.
        """
        fields["originator_id"], fields["originator_version"], fields["timestamp"] = self.id, self.version + 1, now
        event = event_class.__pydantic_validator__.validate_python(fields)
        event.apply(self)
        self._version, self._modified_on = event.originator_version, event.timestamp
        self.pending_events.append(event)

    # --- guards ---

    def _check_alive(self) -> None:
        if self.status.ended:
            raise TaskEnded(self.id, f"is {self.status}")

    def _attempt(self, run: str, attempt: int, owner: str) -> OpenRun:
        open_run = self.open_runs.get(run)
        if open_run is None or open_run.owner != owner or open_run.attempt != attempt:
            raise StaleAttempt(self.id, f"attempt {attempt} of run {run} is not open for {owner}")
        return open_run
