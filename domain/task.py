"""The ScheduledTask aggregate: commands guard and decide, then trigger events; events only move the state.

Time, ids and the node are arguments everywhere. The one exception is constructing a task, whose id and instant default to
a random UUID and the present, because that is how people write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID, uuid4

from eventsourcing.domain import BaseAggregate, MetaAggregate

from domain import task_events as facts
from domain.claiming import SkippedSlots, due_slots, plan_slots
from domain.definition import OverlapPolicy, TaskDefinition, check_complete, check_definition
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination
from domain.draft import define
from domain.errors import InvalidInput, InvalidSchedule, NotDue, Refused, StaleAttempt, TaskEnded
from domain.event import Snapshot, Utc, utc
from domain.retry import CRASHES_THAT_FAIL, retry_delay
from domain.runs import OpenRun, TaskStatus, attention_at, run_id
from domain.schedule import next_after, previous_before, rules_fingerprint
from domain.task_events import InterruptionReason, SkipReason

__all__ = ["Attempt", "ScheduledTask", "TaskSnapshot", "state"]

LONGEST_LOOK_BACK = timedelta(days=35)
"""A first run after a long silence does not summarize years; a schedule with longer gaps looks back one gap."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claimed try of a run: what its owner needs to do it. ``gives_up`` names runs to be stopped for it."""

    run: str
    attempt: int
    owner: str
    slot: datetime | None
    request: str | None
    started_at: datetime
    deadline: datetime
    since: datetime
    delivered: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()

    @property
    def instant(self) -> datetime:
        """What the run stands for: its slot, or when it was started on request."""
        return self.slot if self.slot is not None else self.started_at


class _Constructed(MetaAggregate["ScheduledTask"]):
    """Lets ``ScheduledTask(...)`` call its own ``__init__``; the library would call the Created event's fields instead."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(cls, *args, **kwargs)


class ScheduledTask(BaseAggregate[UUID], metaclass=_Constructed):
    """What to do, when, and where to deliver; and what became of every slot of it."""

    Event = facts.TaskEvent
    Created = facts.Created

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

    def __init__(self, *, id: UUID | str | None = None, now: datetime | None = None, **fields: Any) -> None:
        """A new task, active from ``now`` on; the fields are those of the public names (see domain.draft.define).

        Raises InvalidInput for values that no task may have. Whether it says enough to be scheduled is checked by
        ``check_complete`` when it is scheduled.
        """
        instant = utc(now) if now is not None else datetime.now(UTC)
        self._given: dict[str, Any] | None = dict(fields)
        definition = define(fields, now=instant)
        check_definition(definition)
        task_id = _as_uuid(id) if id is not None else uuid4()
        self._create_from(definition, task_id, instant)

    def _create_from(self, definition: TaskDefinition, task_id: UUID, now: datetime) -> None:
        created = facts.Created(
            originator_id=task_id,
            originator_version=1,
            timestamp=now,
            definition=definition,
            by=definition.created_by,
            next_slot=next_after(definition.schedule, now),
            rules=rules_fingerprint(),
        )
        self.begin(created)
        self.pending_events.append(created)

    @classmethod
    def define(cls, definition: TaskDefinition, *, id: UUID, now: datetime) -> ScheduledTask:
        """A new task from a finished definition."""
        check_definition(definition)
        task = cls.__new__(cls)
        task._given = None
        task._create_from(definition, id, now)
        return task

    def begin(self, created: facts.Created) -> None:
        """The state right after Created. Called by the event."""
        self.__base_init__(created.originator_id, created.originator_version, created.timestamp)
        self.status = TaskStatus.ACTIVE
        self.open_runs = {}
        self.consecutive_failures = 0
        self.slots_started = 0
        self.covered_until = self.buffered_until = self.paused_until = None
        self.disabled_destinations = set()
        created.apply(self)

    # --- what it is ---

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

    # --- commands of people ---

    def settle(self, *, now: datetime, default_timezone: str, created_by: str) -> None:
        """Make a task that was constructed, and never stored, begin at the instant it is scheduled.

        Its zone is ``default_timezone`` if it was given none. Raises InvalidInput when it says too little, or is never due.
        """
        if self.version != 1 or len(self.pending_events) != 1:
            raise Refused(self.id, "is scheduled already")
        definition = self.definition
        if self._given is not None:
            fields = dict(self._given)
            if fields.get("timezone") is None:
                fields["timezone"] = default_timezone
            definition = define(fields, now=now)
        if definition.created_by == "system":
            definition = definition.model_copy(update={"created_by": created_by})
        check_definition(definition)
        check_complete(definition)
        if next_after(definition.schedule, now) is None:
            raise InvalidSchedule(
                "schedule", definition.schedule.type.value, "has no slot in the future", "choose a time to come"
            )
        self._create_from(definition, self.id, now)

    def revise(self, definition: TaskDefinition, *, now: datetime, by: str, reason: str | None = None) -> None:
        """Replace the definition. A changed schedule first accounts for the old one's slots up to now."""
        self._check_alive()
        if definition.guild_id != self.guild_id:
            raise InvalidInput(
                "guild_id", definition.guild_id, "cannot be changed", "make a new task in the other guild"
            )
        check_definition(definition)
        check_complete(definition)
        accounted_until, next_slot = self.accounted_until, self.next_slot
        if definition.schedule != self.definition.schedule:
            accounted_until = max(self.accounted_until, now)
            next_slot = next_after(definition.schedule, accounted_until)
            if next_slot is None:
                raise InvalidSchedule(
                    "schedule", definition.schedule.type.value, "has no slot in the future", "choose a time to come"
                )
            self._account_until(now)
            accounted_until = max(self.accounted_until, now)
            next_slot = next_after(definition.schedule, accounted_until)
        if definition.max_runs is not None and self.slots_started >= definition.max_runs:
            next_slot = None
        self._trigger(
            facts.Revised,
            now,
            definition=definition,
            by=by,
            reason=reason,
            accounted_until=accounted_until,
            next_slot=next_slot,
            rules=rules_fingerprint(),
        )
        self._complete_if_over(now)

    def pause(self, *, now: datetime, by: str, reason: str | None = None, until: datetime | None = None) -> None:
        """Stop the schedule. Runs that are under way finish; runs that wait for a retry are closed."""
        self._check_alive()
        if self.status is not TaskStatus.ACTIVE:
            raise Refused(self.id, f"is {self.status} already")
        if until is not None and until <= now:
            raise InvalidInput("until", until.isoformat(), "is past", "give an instant to come, or none")
        self._trigger(facts.Paused, now, by=by, reason=reason, until=until)
        self._close_waiting(now, SkipReason.PAUSED)

    def resume(self, *, now: datetime, by: str, reason: str | None = None, catch_up: bool = False) -> None:
        """Go on. Slots that passed meanwhile are skipped, unless ``catch_up`` leaves them to the catch-up policy."""
        self._check_alive()
        if self.status is TaskStatus.ACTIVE:
            raise Refused(self.id, "is active already")
        accounted_until, next_slot = self.accounted_until, self.next_slot
        if not catch_up:
            self._account_until(now)
            accounted_until = max(self.accounted_until, now)
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
        self._complete_if_over(now)

    def cancel(self, *, now: datetime, by: str, reason: str | None = None) -> None:
        """End the task for good. Runs under way may still close; nothing new starts."""
        self._check_alive()
        self._account_until(now, active_reason=SkipReason.CANCELLED)
        self._trigger(facts.Cancelled, now, by=by, reason=reason)
        self._close_waiting(now, SkipReason.CANCELLED, manual_too=True)

    def request_run(self, request: str, *, now: datetime, by: str, reason: str | None = None) -> str:
        """Ask for a run now, whatever the schedule says; returns the run's id. Works while paused or disabled."""
        self._check_alive()
        run = run_id(self.id, None, request)
        if run in self.open_runs:
            raise Refused(self.id, f"request {request} is under way already")
        self._trigger(facts.Requested, now, run=run, request=request, by=by, reason=reason)
        return run

    def request_skip(self, count: int, *, now: datetime, by: str, reason: str | None = None) -> list[datetime]:
        """Leave out the next ``count`` slots that are still to come; returns them."""
        self._check_alive()
        if not 1 <= count <= 1000:
            raise InvalidInput("count", count, "is out of range", "give a number from 1 to 1000")
        if self.next_slot is None:
            raise Refused(self.id, "has no slot to skip")
        slots: list[datetime] = []
        slot: datetime | None = self.next_slot
        while slot is not None and len(slots) < count:
            slots.append(slot)
            slot = next_after(self.definition.schedule, slot)
        self._trigger(facts.SkipRequested, now, by=by, reason=reason, count=len(slots))
        self._skip(SkippedSlots(SkipReason.REQUESTED, slots[0], slots[-1], len(slots), slot), now)
        self._complete_if_over(now)
        return slots

    # --- commands of nodes ---

    def claim(self, *, now: datetime, node: str, deadline: timedelta) -> Attempt | None:
        """Account for what is due and start at most one attempt of it, owned by ``node``.

        Returns None when everything due was skipped. Raises NotDue when there is nothing to decide.
        """
        due_at = self.attention_at
        if due_at is None or due_at > now:
            raise NotDue(self.id, f"nothing is due before {due_at.isoformat()}" if due_at else "nothing is due")
        if self.status is TaskStatus.PAUSED and self.paused_until is not None and self.paused_until <= now:
            self.resume(now=now, by="system", reason="the pause ended")
            return None
        waiting = [run for run in self.open_runs.values() if run.due_at is not None and run.due_at <= now]
        startable = [run for run in waiting if run.manual or self.is_active]
        if startable:
            run = min(startable, key=lambda run: (run.due_at, run.run))
            return self._start(run.slot, now, node, deadline, run=run)
        return self._claim_slot(now, node, deadline)

    def claim_request(self, run: str, *, now: datetime, node: str, deadline: timedelta) -> Attempt:
        """Start the requested run ``run`` at once, before anything else that is due."""
        requested = self.open_runs.get(run)
        if requested is None or not requested.manual or requested.due_at is None or self.status.ended:
            raise NotDue(self.id, f"run {run} does not wait")
        return self._start(None, now, node, deadline, run=requested)

    def conclude(
        self,
        run: str,
        attempt: int,
        owner: str,
        *,
        now: datetime,
        outcomes: Sequence[DeliveryOutcome] = (),
        summary: str | None = None,
        messages: int | None = None,
        note: str | None = None,
        retry_after_seconds: float = 0,
    ) -> None:
        """Close an attempt whose work is done, by what became of its deliveries.

        Executed when every destination that is left has the result. A failed delivery makes it Failed: transient ones are
        retried, destinations that refused for good are disabled alone, and the task only when none is left.
        """
        open_run = self._attempt(run, attempt, owner)
        bad = [o for o in outcomes if o.status in (DeliveryStatus.FAILED, DeliveryStatus.UNKNOWN)]
        if not bad:
            self._trigger(
                facts.Executed,
                now,
                run=run,
                attempt=attempt,
                owner=owner,
                summary=summary,
                messages=messages,
                deliveries=tuple(outcomes) or None,
                note=note,
            )
            self._complete_if_over(now)
            return
        refused = tuple(o.destination for o in bad if o.permanent)
        error = "; ".join(f"{o.type}: {o.reason or o.status}" for o in bad)
        left = [d for d in self.destinations if d.key not in refused]
        self._fail(
            open_run,
            now,
            what="delivery",
            error=error,
            permanent=all(o.permanent for o in bad),
            retry_after_seconds=retry_after_seconds,
            summary=summary,
            deliveries=tuple(outcomes),
            disabled_destinations=refused or None,
            no_destination_left=not left,
        )

    def fail(
        self,
        run: str,
        attempt: int,
        owner: str,
        *,
        now: datetime,
        what: str,
        error: str,
        permanent: bool = False,
        retry_after_seconds: float = 0,
    ) -> None:
        """Close an attempt that failed before anything was delivered. Transient failures are retried."""
        open_run = self._attempt(run, attempt, owner)
        self._fail(open_run, now, what=what, error=error, permanent=permanent, retry_after_seconds=retry_after_seconds)

    def skip_run(
        self, run: str, attempt: int, owner: str, *, now: datetime, reason: SkipReason, note: str | None = None
    ) -> None:
        """Close a started attempt without a result: quiet is known only after collecting."""
        self._attempt(run, attempt, owner)
        self._trigger(facts.Skipped, now, skip=reason, run=run, attempt=attempt, owner=owner, note=note)
        self._complete_if_over(now)

    def interrupt(
        self,
        run: str,
        attempt: int,
        owner: str,
        *,
        now: datetime,
        cause: InterruptionReason,
        noticed_by: str,
        outcomes: Sequence[DeliveryOutcome] = (),
    ) -> None:
        """End an attempt whose process died or drains. No failure; but the third crash of one run is one."""
        open_run = self._attempt(run, attempt, owner)
        if cause is not InterruptionReason.SHUTDOWN and open_run.crashes + 1 >= CRASHES_THAT_FAIL:
            self._fail(
                open_run,
                now,
                what="crash",
                error=f"the process died under it {CRASHES_THAT_FAIL} times",
                permanent=True,
            )
            return
        if self.status.ended or (not self.is_active and not open_run.manual):
            reason = SkipReason.CANCELLED if self.status.ended else SkipReason(self.status.value)
            self._trigger(
                facts.Skipped, now, skip=reason, run=run, attempt=attempt, owner=owner, note=f"interrupted: {cause}"
            )
            return
        self._trigger(
            facts.Interrupted,
            now,
            run=run,
            attempt=attempt,
            owner=owner,
            cause=cause,
            noticed_by=noticed_by,
            deliveries=tuple(outcomes) or None,
        )

    def replan(self, *, now: datetime, rules: str) -> bool:
        """Plan the future again under new calendar rules; what is due or past stays. Says whether anything moved."""
        if self.status.ended or rules == self.rules or (self.next_slot is not None and self.next_slot <= now):
            return False
        next_slot = self._following(max(self.accounted_until, now))
        moved = next_slot != self.next_slot
        if moved:
            self._trigger(facts.Replanned, now, previous=self.next_slot, next_slot=next_slot, rules=rules)
        return moved

    # --- decisions ---

    def _claim_slot(self, now: datetime, node: str, deadline: timedelta) -> Attempt | None:
        if self.next_slot is None or self.next_slot > now or not self.is_active:
            raise NotDue(self.id, "nothing is due")
        running = [run for run in self.open_runs.values() if not run.manual]
        plan = plan_slots(
            self.definition,
            accounted_until=self.accounted_until,
            next_slot=self.next_slot,
            buffered_until=self.buffered_until,
            busy=bool(running),
            now=now,
        )
        if plan.skipped is not None:
            self._skip(plan.skipped, now)
        if plan.start is None:
            self._complete_if_over(now)
            return None
        gives_up: tuple[str, ...] = ()
        if running and self.definition.overlap is OverlapPolicy.CANCEL_OTHER:
            gives_up = tuple(run.run for run in running)
            for run in running:
                self._close_as(run, now, SkipReason.OVERLAP)
        return self._start(
            plan.start,
            now,
            node,
            deadline,
            next_slot=plan.next_slot,
            buffered_until=plan.buffered_until,
            gives_up=gives_up,
        )

    def _start(
        self,
        slot: datetime | None,
        now: datetime,
        node: str,
        deadline: timedelta,
        *,
        run: OpenRun | None = None,
        next_slot: datetime | None = None,
        buffered_until: datetime | None = None,
        gives_up: tuple[str, ...] = (),
    ) -> Attempt:
        first = run is None
        limit = self.definition.max_runs
        if first and limit is not None and self.slots_started + 1 >= limit:
            next_slot = None
        name = run.run if run is not None else run_id(self.id, slot)
        since = (run.since if run is not None else None) or self._since(slot if slot is not None else now)
        self._trigger(
            facts.Started,
            now,
            run=name,
            slot=slot,
            request=run.request if run is not None else None,
            attempt=run.attempt + 1 if run is not None else 1,
            owner=node,
            deadline=now + deadline,
            since=since,
            next_slot=next_slot,
            rules=rules_fingerprint() if first else None,
            buffered_until=buffered_until,
        )
        started = self.open_runs[name]
        return Attempt(
            run=name,
            attempt=started.attempt,
            owner=node,
            slot=slot,
            request=started.request,
            started_at=now,
            deadline=now + deadline,
            since=since,
            delivered=started.delivered,
            gives_up=gives_up,
        )

    def _since(self, instant: datetime) -> datetime:
        schedule, hours = self.definition.schedule, self.definition.time_range_hours
        covered = self.covered_until
        if covered is None or covered >= instant or instant - covered > LONGEST_LOOK_BACK:
            covered = previous_before(schedule, instant) or max(self.created_on, instant - timedelta(days=1))
        if hours is None:
            return min(covered, instant)
        return min(covered, instant - timedelta(hours=hours))

    def _fail(
        self,
        run: OpenRun,
        now: datetime,
        *,
        what: str,
        error: str,
        permanent: bool,
        retry_after_seconds: float = 0,
        no_destination_left: bool = False,
        summary: str | None = None,
        deliveries: tuple[DeliveryOutcome, ...] | None = None,
        disabled_destinations: tuple[str, ...] | None = None,
    ) -> None:
        counted = run.failures + 1 if run.manual else self.consecutive_failures + 1
        may_go_on = not self.status.ended if run.manual else self.is_active
        retry_at = None
        if not permanent and may_go_on and counted < self.definition.max_failures:
            delay = retry_delay(run.failures + 1, self.definition.retry_delay)
            retry_at = now + max(delay, timedelta(seconds=retry_after_seconds))
        self._trigger(
            facts.Failed,
            now,
            run=run.run,
            attempt=run.attempt,
            owner=run.owner or "",
            what=what,
            error=error[:1000],
            permanent=permanent,
            retry_at=retry_at,
            summary=summary,
            deliveries=deliveries,
            disabled_destinations=disabled_destinations,
        )
        if self.is_active and no_destination_left:
            self._disable(now, "no destination is left: each refused for good")
        elif self.is_active and self.consecutive_failures >= self.definition.max_failures:
            self._disable(now, f"{self.consecutive_failures} failures in a row")
        self._complete_if_over(now)

    def _disable(self, now: datetime, reason: str) -> None:
        self._trigger(facts.Disabled, now, reason=reason)
        self._close_waiting(now, SkipReason.DISABLED)

    def _account_until(self, now: datetime, active_reason: SkipReason = SkipReason.MISSED) -> None:
        if self.next_slot is None or self.next_slot > now:
            return
        reasons = {TaskStatus.PAUSED: SkipReason.PAUSED, TaskStatus.DISABLED: SkipReason.DISABLED}
        last, count, following = due_slots(self.definition.schedule, self.accounted_until, self.next_slot, now)
        self._skip(SkippedSlots(reasons.get(self.status, active_reason), self.next_slot, last, count, following), now)

    def _following(self, instant: datetime) -> datetime | None:
        if self.definition.max_runs is not None and self.slots_started >= self.definition.max_runs:
            return None
        return next_after(self.definition.schedule, instant)

    def _skip(self, skipped: SkippedSlots, now: datetime) -> None:
        self._trigger(
            facts.Skipped,
            now,
            skip=skipped.reason,
            first=skipped.first,
            last=skipped.last,
            count=skipped.count,
            next_slot=skipped.next_slot,
            rules=rules_fingerprint(),
        )

    def _close_waiting(self, now: datetime, reason: SkipReason, *, manual_too: bool = False) -> None:
        for run in [r for r in self.open_runs.values() if r.due_at is not None and (manual_too or not r.manual)]:
            self._close_as(run, now, reason)

    def _close_as(self, run: OpenRun, now: datetime, reason: SkipReason) -> None:
        self._trigger(facts.Skipped, now, skip=reason, run=run.run, attempt=run.attempt, owner=run.owner)

    def _complete_if_over(self, now: datetime) -> None:
        if self.is_active and self.next_slot is None and not self.open_runs:
            self._trigger(facts.Completed, now)

    # --- guards ---

    def _check_alive(self) -> None:
        if self.status.ended:
            raise TaskEnded(self.id, f"is {self.status}")

    def _attempt(self, run: str, attempt: int, owner: str) -> OpenRun:
        open_run = self.open_runs.get(run)
        if open_run is None or open_run.owner != owner or open_run.attempt != attempt:
            raise StaleAttempt(self.id, f"attempt {attempt} of run {run} is not open for {owner}")
        return open_run

    def _trigger(self, event_class: type[facts.TaskEvent], now: datetime, **fields: Any) -> None:
        self.trigger_event(event_class, timestamp=now, **fields)

    # --- snapshots ---

    def snapshot(self, *, fingerprint: str) -> TaskSnapshot:
        """The state as one value, to start from instead of the whole stream."""
        return TaskSnapshot(
            originator_id=self.id,
            originator_version=self.version,
            timestamp=self.modified_on,
            fingerprint=fingerprint,
            created_on=self.created_on,
            **{field: getattr(self, field) for field in STATE_FIELDS},
        )


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
)


class TaskSnapshot(Snapshot):
    """A ScheduledTask at one version."""

    topic: ClassVar[str] = "task.snapshot"

    created_on: Utc
    definition: TaskDefinition
    status: TaskStatus
    accounted_until: Utc
    next_slot: Utc | None
    rules: str
    open_runs: dict[str, OpenRun]
    consecutive_failures: int
    slots_started: int
    covered_until: Utc | None
    buffered_until: Utc | None
    paused_until: Utc | None
    disabled_destinations: set[str]

    def restore(self) -> ScheduledTask:
        """The aggregate as it was."""
        task = ScheduledTask.__new__(ScheduledTask)
        task.__base_init__(self.originator_id, self.originator_version, self.created_on)
        task.modified_on = self.timestamp
        for field in STATE_FIELDS:
            setattr(task, field, getattr(self, field))
        task.open_runs, task.disabled_destinations = dict(self.open_runs), set(self.disabled_destinations)
        return task


def state(events: Iterable[Any], task: ScheduledTask | None = None) -> ScheduledTask | None:
    """The state that events lead to, from nothing or from an earlier state. Pure; computes no calendar."""
    for event in events:
        task = event.mutate(task)
    return task


def _as_uuid(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except ValueError:
        raise InvalidInput("id", value, "is not a task id", "give a UUID, or none for a new one") from None
