"""The ScheduledTask aggregate: commands guard and decide, then trigger events; events only move the state.

Time, ids and the node are arguments everywhere. The one exception is constructing a task, whose id and instant default
to a random UUID and the present, because that is how people write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from eventsourcing.domain import BaseAggregate, MetaAggregate

from domain import task_events as facts
from domain.claiming import INSTANT, ON_TIME, SkippedSlots, due_slots, look_back
from domain.definition import TaskDefinition, check_complete, check_definition
from domain.draft import define, schedule_of
from domain.errors import InvalidInput, InvalidSchedule, Refused
from domain.event import stream_text, utc
from domain.frozen import but
from domain.identity import time_ordered_id
from domain.incidents import Incident
from domain.runs import TaskStatus, run_id
from domain.schedule import between, count_between, describe, next_after, rules_fingerprint
from domain.task_events import SkipReason
from domain.task_runs import RunCommands

__all__ = ["MOST_BACKFILLED", "ScheduledTask", "begun", "state"]

BEING_SERVED = timedelta(seconds=5)
"""How long after its instant a slot is not taken away by an edit."""

MOST_BACKFILLED = 100
"""How many past slots can be asked for at once."""


class _Constructed(MetaAggregate["ScheduledTask"]):
    """Lets ``ScheduledTask(...)`` call its own ``__init__``; the library would ask for the fields of Created."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return type.__call__(cls, *args, **kwargs)


class ScheduledTask(RunCommands, BaseAggregate[UUID], metaclass=_Constructed):
    """What to do, when, and where to deliver; and what became of every slot of it."""

    Event = facts.TaskEvent
    Created = facts.Created

    def __init__(self, *, id: UUID | str | None = None, now: datetime | None = None, **fields: Any) -> None:
        """A new task, active from ``now`` on; the fields are those of the public names (see domain.draft.define).

        Raises InvalidInput for values that no task may have. Whether it says enough to be scheduled is checked by
        ``check_complete`` when it is scheduled.
        """
        instant = utc(now) if now is not None else datetime.now(UTC)
        self._given: dict[str, Any] | None = dict(fields)
        definition = define(fields, now=instant)
        check_definition(definition)
        task_id = _as_uuid(id) if id is not None else time_ordered_id(instant, uuid4())
        self._construct(definition, task_id, instant)

    @classmethod
    def define(cls, definition: TaskDefinition, *, id: UUID, now: datetime, by: str | None = None) -> ScheduledTask:
        """A new task from a finished definition; made by whom that says, if it was nobody else."""
        check_definition(definition)
        task = cls.__new__(cls)
        task._given = None
        task._construct(definition, id, now, by)
        return task

    def _construct(self, definition: TaskDefinition, task_id: UUID, now: datetime, by: str | None = None) -> None:
        self._id, self._created_on, self._author = task_id, now, by
        self.definition = definition.keyed(stream_text(task_id))
        self.definition.schedule.engine  # noqa: B018  # a rule that makes no sense is refused here

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The rest of what a constructed task is, made when it is asked for: scheduling makes it begin anew."""
            if "_author" not in self.__dict__ or "_version" in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            created = _created(self.definition, self._id, self._created_on, self._author)
            self.begin(created)
            self.pending_events.append(created)
            return getattr(self, name)

    def begin(self, created: facts.Created) -> None:
        """The state right after Created. Called by the event."""
        self.__base_init__(created.originator_id, created.originator_version, created.timestamp)
        self.status = TaskStatus.ACTIVE
        self.open_runs = {}
        self.consecutive_failures = 0
        self.slots_started = 0
        self.covered_until = self.buffered_until = self.paused_until = None
        self.disabled_destinations = set()
        self.incident = Incident()
        self.untold = ()
        created.apply(self)

    # --- commands of people ---

    def settle(
        self,
        *,
        now: datetime,
        default_timezone: str,
        by: str,
        for_others: bool = True,
        prepare: Callable[[TaskDefinition], TaskDefinition] = lambda definition: definition,
    ) -> facts.Created:
        """How a task that was constructed, and never stored, begins at the instant it is scheduled.

        ``by`` is who schedules it, and so who made it; the service itself did it for whom the definition names. Nobody
        is named in it by another who may not act ``for_others``. Its zone is ``default_timezone`` if it was given none.
        ``prepare`` has the last word on the checked definition: it may refuse it, or return another, with its schedule.
        Raises InvalidInput when it says too little, or is never due.
        """
        if "_version" in self.__dict__ and (self.version != 1 or len(self.pending_events) != 1):
            raise Refused(self.id, "is scheduled already")
        definition = self.definition
        if self._given is not None:
            definition = self._as_of(self._given, now, default_timezone)
        if definition.created_by != by and (definition.created_by == "system" or not for_others):
            definition = but(definition, created_by=by)
        check_complete(definition)
        next_slot = next_after(definition.schedule, now)
        if next_slot is None:
            raise InvalidSchedule(
                "schedule", describe(definition.schedule), "has no slot in the future", "choose a time to come"
            )
        return _created(prepare(definition), self.id, now, by if by != "system" else None, next_slot)

    def _as_of(self, given: Mapping[str, Any], now: datetime, default_timezone: str) -> TaskDefinition:
        """The definition as these fields mean it now: an anchor that they leave open is a second, and moves with it."""
        definition, fields = self.definition, dict(given)
        if fields.get("schedule") is None:
            zone = fields["timezone"] = fields.get("timezone") or default_timezone
            if zone == definition.schedule.timezone and _second(now) == _second(self.created_on):
                return definition  # as it was made
        schedule = schedule_of(fields, now=now)
        return but(definition, schedule=schedule.keyed(stream_text(self.id)))

    def revise(self, definition: TaskDefinition, *, now: datetime, by: str, reason: str | None = None) -> None:
        """Replace the definition. A changed schedule first accounts for the old one's slots up to now."""
        self._check_alive()
        if definition.guild_id != self.guild_id:
            raise InvalidInput(
                "guild_id", definition.guild_id, "cannot be changed", "make a new task in the other guild"
            )
        definition = self._with_own_key(definition)
        check_definition(definition)
        check_complete(definition)
        moves = definition.schedule != self.definition.schedule
        if moves:
            self._check_is_ever_due(definition, now)
            self._check_none_is_being_served(now)
        self._end_pause(now)
        if moves:
            self._account_until(now, now=now)
        accounted_until, next_slot = self.accounted_until, self.next_slot
        if moves:
            accounted_until = max(self.accounted_until, now)
            next_slot = next_after(definition.schedule, accounted_until)
        exhausted = definition.max_runs is not None and self.slots_started >= definition.max_runs
        if exhausted:
            next_slot = None
        elif next_slot is None:
            # The old limit had ended the schedule while a run was still open: it goes on from now.
            accounted_until = max(self.accounted_until, now)
            next_slot = next_after(definition.schedule, accounted_until)
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

    def _check_is_ever_due(self, definition: TaskDefinition, now: datetime) -> None:
        if next_after(definition.schedule, max(self.accounted_until, now)) is None:
            raise InvalidSchedule(
                "schedule", describe(definition.schedule), "has no slot in the future", "choose a time to come"
            )

    def _check_none_is_being_served(self, now: datetime) -> None:
        """A slot that has just come is claimed in a moment: an edit between the two would take it away."""
        owed = self._owed(now)
        if (self.is_active or self._pause_is_over(now)) and owed is not None and owed <= now:
            last, _, _ = due_slots(self.definition.schedule, owed, now)
            if last > now - BEING_SERVED:
                raise Refused(
                    self.id, f"the slot of {last:%Y-%m-%d %H:%M:%S} UTC is being served; try again in a moment"
                )

    def _account_overdue(self, now: datetime) -> None:
        """Slots that passed unserved were missed, whatever happens to the task now. Not those that wait for a run."""
        if self.is_active and all(run.manual for run in self.open_runs.values()):
            self._account_until(now - ON_TIME, now=now)

    def _with_own_key(self, definition: TaskDefinition) -> TaskDefinition:
        # A task from before there were keys keeps its slots until its schedule is changed.
        if definition.keyed(self.definition.schedule.key).schedule == self.definition.schedule:
            return but(definition, schedule=self.definition.schedule)
        return definition.keyed(self.definition.schedule.key or stream_text(self.id))

    def pause(self, *, now: datetime, by: str, reason: str | None = None, until: datetime | None = None) -> None:
        """Stop the schedule. Runs that are under way finish; runs that wait for a retry are closed."""
        self._check_alive()
        if self.status is not TaskStatus.ACTIVE and not self._pause_is_over(now):
            raise Refused(self.id, f"is {self.status} already")
        if until is not None and utc(until, "until") <= now:
            raise InvalidInput("until", until.isoformat(), "is past", "give an instant to come, or none")
        self._end_pause(now)
        self._account_overdue(now)
        self._trigger(facts.Paused, now, by=by, reason=reason, until=until)
        self._close_waiting(now, SkipReason.PAUSED)

    def resume(self, *, now: datetime, by: str, reason: str | None = None, catch_up: bool = False) -> None:
        """Go on. Slots that passed meanwhile are skipped, unless ``catch_up`` leaves them to the catch-up policy.

        Those after the end of a pause that had an end were not paused: they are due, or missed, in any case.
        """
        self._check_alive()
        if self.status is TaskStatus.ACTIVE:
            raise Refused(self.id, "is active already")
        until = self.paused_until if self._pause_is_over(now) else None
        through = now if until is None else until - INSTANT
        self._go_on(now, by, reason, paused_through=None if catch_up else through)
        self._complete_if_over(now)

    def cancel(self, *, now: datetime, by: str, reason: str | None = None) -> None:
        """End the task for good. Runs under way may still close; nothing new starts."""
        self._check_alive()
        self._end_pause(now)
        self._account_overdue(now)
        self._account_until(now, now=now, active_reason=SkipReason.CANCELLED)
        self._trigger(facts.Cancelled, now, by=by, reason=reason)
        self._close_waiting(now, SkipReason.CANCELLED, manual_too=True)

    def end(self, *, now: datetime, by: str, reason: str | None = None) -> None:
        """Cancel the task unless it has ended, and close what still runs: nothing is written about it afterwards."""
        if not self.status.ended:
            self.cancel(now=now, by=by, reason=reason)
        for run in list(self.open_runs.values()):
            self._close_as(run, now, SkipReason.CANCELLED)

    def request_run(self, request: str, *, now: datetime, by: str, reason: str | None = None) -> str:
        """Ask for a run now, whatever the schedule says; returns the run's id. Works while paused or disabled.

        A request that is under way already is not made again: its run is returned.
        """
        self._check_alive()
        run = run_id(self.id, None, request)
        if run in self.open_runs:
            return run
        self._trigger(facts.Requested, now, run=run, request=request, by=by, reason=reason)
        return run

    def request_backfill(
        self, start: datetime, end: datetime, request: str, *, now: datetime, by: str, reason: str | None = None
    ) -> list[str]:
        """Ask for a run of every past slot with ``start`` <= slot <= ``end``, one after the other; returns their ids.

        Each looks back over the time of its slot. The slots' own accounting is not touched. Raises InvalidInput for a
        range that is not past, holds no slot, or more than MOST_BACKFILLED.
        """
        self._check_alive()
        if end < start or start > now:
            raise InvalidInput("start", start.isoformat(), "does not begin a past range", "give a start before the end")
        last, owed = min(end, now), self._owed(now)
        if owed is not None and (self.is_active or self._pause_is_over(now)):
            last = min(last, owed - INSTANT)  # what is due is served as such
        schedule = self.definition.schedule
        slots = between(schedule, start - INSTANT, last, MOST_BACKFILLED + 1)
        if not slots:
            raise InvalidInput("start", start.isoformat(), "begins a range without past slots", "choose a wider range")
        if len(slots) > MOST_BACKFILLED:
            count = count_between(schedule, start - INSTANT, last)
            raise InvalidInput("end", count, "slots are too many at once", f"ask for at most {MOST_BACKFILLED}")
        named = {f"{request} {slot:%Y-%m-%dT%H:%M:%SZ}": slot for slot in slots}
        if busy := next((name for name in named if run_id(self.id, None, name) in self.open_runs), None):
            raise Refused(self.id, f"request {busy} is under way already")
        self._end_pause(now)
        for name, slot in named.items():
            since = look_back(self.definition, instant=slot, covered=None, created=self.created_on)
            self._trigger(
                facts.Requested,
                now,
                run=run_id(self.id, None, name),
                request=name,
                by=by,
                reason=reason,
                since=since,
                until=slot,
            )
        return [run_id(self.id, None, name) for name in named]

    def request_skip(self, count: int, *, now: datetime, by: str, reason: str | None = None) -> list[datetime]:
        """Leave out the next ``count`` slots that are still to come; returns them.

        Slots that passed unserved are written down first, as missed (or paused, or disabled): they are not meant.
        """
        self._check_alive()
        if not 1 <= count <= 1000:
            raise InvalidInput("count", count, "is out of range", "give a number from 1 to 1000")
        owed = self._owed(now)
        passed = now - ON_TIME if self.is_active or self._pause_is_over(now) else now
        if owed is None or (owed <= passed and next_after(self.definition.schedule, passed) is None):
            raise Refused(self.id, "has no slot to skip")
        self._end_pause(now)
        self._account_until(passed, now=now)
        slots: list[datetime] = []
        slot: datetime | None = self.next_slot
        while slot is not None and len(slots) < count:
            slots.append(slot)
            slot = next_after(self.definition.schedule, slot)
        self._trigger(facts.SkipRequested, now, by=by, reason=reason, count=len(slots))
        self._skip(SkippedSlots(SkipReason.REQUESTED, slots[0], slots[-1], len(slots), slot), now)
        self._complete_if_over(now)
        return slots


def _created(
    definition: TaskDefinition, task_id: UUID, now: datetime, by: str | None, next_slot: datetime | None = None
) -> facts.Created:
    return facts.Created(
        originator_id=task_id,
        originator_version=1,
        timestamp=now,
        definition=definition,
        by=by or definition.created_by,
        next_slot=next_slot or next_after(definition.schedule, now),
        rules=rules_fingerprint(),
    )


def begun(created: facts.Created) -> ScheduledTask:
    """The task that begins with this event, which is yet to be written."""
    task = created.mutate(None)
    task.pending_events.append(created)
    return task


def state(events: Iterable[Any], task: ScheduledTask | None = None) -> ScheduledTask | None:
    """The state that events lead to, from nothing or from an earlier state. Pure; computes no calendar."""
    for event in events:
        task = event.mutate(task)
    return task


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _as_uuid(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except ValueError:
        raise InvalidInput("id", value, "is not a task id", "give a UUID, or none for a new one") from None
