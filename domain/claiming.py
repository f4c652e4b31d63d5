"""Which due slots run and which are skipped: the catch-up and overlap policies, as one pure decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.definition import CatchUp, OverlapPolicy, TaskDefinition
from domain.schedule import Schedule, count_between, next_after, previous_before
from domain.task_events import SkipReason

__all__ = ["INSTANT", "ON_TIME", "SkippedSlots", "SlotPlan", "catch_up_window", "due_slots", "look_back", "plan_slots"]

ON_TIME = timedelta(seconds=60)
"""A slot that starts this late is still served, even by a task that never catches up."""

LONGEST_LOOK_BACK = timedelta(days=35)
"""A first run after a long silence does not summarize years; a schedule with longer gaps looks back one gap."""

INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SkippedSlots:
    """A run of slots that are left out together. ``next_slot`` is the first one after them."""

    reason: SkipReason
    first: datetime
    last: datetime
    count: int
    next_slot: datetime | None


class SlotPlan(NamedTuple):
    """What happens to the due slots: some are skipped, then at most one starts."""

    skipped: SkippedSlots | None = None
    start: datetime | None = None
    next_slot: datetime | None = None
    buffered_until: datetime | None = None


def due_slots(schedule: Schedule, first: datetime, until: datetime) -> tuple[datetime, int, datetime | None]:
    """The last slot at or before ``until``, how many there are from ``first`` on, and the first one after it.

    ``first`` was decided before, and counts as one slot whatever today's rules say of it and of the time before it.
    """
    following = next_after(schedule, first)
    if following is None or following > until:
        return first, 1, following
    last = previous_before(schedule, until + INSTANT)
    if last is None or last < first:
        # A decided slot that today's rules no longer imply is still owed: it was promised.
        last = first
    return last, 1 + count_between(schedule, first, last), next_after(schedule, last)


def catch_up_window(definition: TaskDefinition) -> timedelta:
    """How far back a claim reaches: a due slot that is older is not made up for."""
    return ON_TIME if definition.catch_up is CatchUp.SKIP else max(ON_TIME, definition.catch_up_window)


def plan_slots(
    definition: TaskDefinition,
    *,
    next_slot: datetime,
    buffered_until: datetime | None,
    busy: bool,
    now: datetime,
) -> SlotPlan:
    """Decide about all slots from ``next_slot`` to ``now``. ``busy``: a run of a slot is open."""
    schedule, overlap = definition.schedule, definition.overlap
    buffered = buffered_until is not None and next_slot <= buffered_until
    if busy and (overlap.buffers or buffered):
        return SlotPlan()
    plan = _Plan(schedule, next_slot)
    if busy and overlap is OverlapPolicy.SKIP:
        return plan.skip_all(SkipReason.OVERLAP, now)
    if buffered and buffered_until is not None:
        if overlap is OverlapPolicy.BUFFER_ONE and definition.catch_up is not CatchUp.RUN_ALL:
            return plan.run_last(SkipReason.OVERLAP, due_slots(schedule, next_slot, min(buffered_until, now)))
        return plan.run_first(buffered_until)
    due = due_slots(schedule, next_slot, now)
    last = due[0]
    if now - last > ON_TIME and now - last > catch_up_window(definition):
        return plan.skip_all(SkipReason.MISSED, now)
    if definition.catch_up is CatchUp.RUN_ALL:
        return plan.run_all_from(now - catch_up_window(definition), last)
    return plan.run_last(SkipReason.MISSED, due)


class _Plan(NamedTuple):
    """The ways to deal with the slots from ``first`` on."""

    schedule: Schedule
    first: datetime

    def skip_all(self, reason: SkipReason, until: datetime) -> SlotPlan:
        last, count, following = due_slots(self.schedule, self.first, until)
        return SlotPlan(SkippedSlots(reason, self.first, last, count, following), next_slot=following)

    def run_first(self, buffered_until: datetime | None = None) -> SlotPlan:
        return SlotPlan(None, self.first, next_after(self.schedule, self.first), buffered_until)

    def run_last(self, reason: SkipReason, due: tuple[datetime, int, datetime | None]) -> SlotPlan:
        last, count, following = due
        if count == 1:
            return SlotPlan(None, last, following)
        return SlotPlan(self._before(last, count - 1, reason), last, following)

    def run_all_from(self, earliest: datetime, last: datetime) -> SlotPlan:
        if self.first >= earliest:
            return self.run_first(last)
        start = next_after(self.schedule, earliest - INSTANT)
        if start is None or start <= self.first:
            return self.run_first(last)
        skipped = self._before(start, count_between(self.schedule, self.first, start), SkipReason.MISSED)
        return SlotPlan(skipped, start, next_after(self.schedule, start), last)

    def _before(self, start: datetime, count: int, reason: SkipReason) -> SkippedSlots:
        last = previous_before(self.schedule, start)
        return SkippedSlots(reason, self.first, max(last or self.first, self.first), count, start)


def look_back(
    definition: TaskDefinition, *, instant: datetime, covered: datetime | None, created: datetime
) -> datetime:
    """Where a run's look-back begins: at the end of the last successful one, or earlier where hours are asked for."""
    if covered is None or covered >= instant or instant - covered > LONGEST_LOOK_BACK:
        covered = _interval_before(definition.schedule, instant) or max(created, instant - timedelta(days=1))
    hours = definition.time_range_hours
    return min(covered, instant if hours is None else instant - timedelta(hours=hours))


def _interval_before(schedule: Schedule, instant: datetime) -> datetime | None:
    """One whole interval before the instant: a first look at five past nine must not show five minutes."""
    previous = previous_before(schedule, instant)
    following = next_after(schedule, instant - INSTANT)
    return previous if previous is None or following is None else min(previous, instant - (following - previous))
