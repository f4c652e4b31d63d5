"""What nodes do to a task: claim what is due, and close what they claimed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain import task_events as facts
from domain.claiming import SkippedSlots, look_back, plan_slots
from domain.definition import OverlapPolicy
from domain.destination import DeliveryOutcome, DeliveryStatus, UnknownPolicy, place_of
from domain.errors import NotDue, Refused, TaskEnded
from domain.incidents import NoticeKind
from domain.retry import CRASHES_THAT_FAIL, LONGEST_DELAY, MOST_POSTPONEMENTS, retry_delay
from domain.runs import Attempt, OpenRun, TaskStatus, run_id, startable
from domain.summary import Usage
from domain.task_events import InterruptionReason, SkipReason
from domain.task_state import TaskState

__all__ = ["RunCommands"]

CUT_OFF = "it was cut off while it was sent: whether it arrived is not known"


class RunCommands(TaskState):
    """The commands of nodes. They guard and decide, then trigger events."""

    def claim(
        self, *, now: datetime, node: str, deadline: timedelta, no_more_because: str | None = None
    ) -> Attempt | None:
        """Account for what is due and start at most one attempt of it, owned by ``node``.

        ``no_more_because`` says that the guild has used up its runs of the day: what would begin is skipped, what has
        begun goes on. Returns None when everything due was skipped. Raises NotDue when there is nothing to decide.
        """
        due_at = self.attention_at
        if due_at is None or due_at > now:
            raise NotDue(self.id, f"nothing is due before {due_at.isoformat()}" if due_at else "nothing is due")
        if self._end_pause(now):
            self._complete_if_over(now)
            return None
        waiting = self._waiting_until(now) if self.open_runs else ()
        if waiting:
            run = min(waiting, key=lambda run: (run.due_at, run.run))
            if no_more_because is not None and run.attempt == 0:
                self._close_as(run, now, SkipReason.QUOTA, note=no_more_because)
                return None
            return self._start(run.slot, now, node, deadline, run=run)
        return self._claim_slot(now, node, deadline, no_more_because)

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
        usage: Usage | None = None,
        jitter: float = 0,
    ) -> None:
        """Close an attempt whose work is done, by what became of its deliveries.

        Executed when every destination that is left has the result. A failed delivery makes it Failed: transient ones
        are retried, destinations that refused for good are disabled alone, and the task only when none is left. One
        of which nobody knows whether it arrived is no success, and is not sent again by itself. An attempt that sent
        nothing, as the hosts are left alone for now, is postponed: tried again, and not counted, a few times at most.
        The retry comes when the first of the missing destinations may be asked again; others are left for their time.
        ``jitter`` lengthens the wait before a retry by that share of it.
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
                usage=usage,
            )
            self._complete_if_over(now)
            return
        resent = {d.key for d in self.definition.destinations if d.on_unknown is UnknownPolicy.RESEND}
        transient = [
            o
            for o in bad
            if (o.status is DeliveryStatus.FAILED and not o.permanent)
            or (o.status is DeliveryStatus.UNKNOWN and place_of(o.destination) in resent)
        ]
        permanent = (place_of(o.destination) for o in bad if o.status is DeliveryStatus.FAILED and o.permanent)
        refused = tuple(dict.fromkeys(permanent))
        error = "; ".join(f"{o.type}: {o.reason or o.status}" for o in bad)
        left = [d for d in self.destinations if d.key not in refused]
        self._fail(
            open_run,
            now,
            what="delivery",
            error=error,
            permanent=not transient,
            retry_after_seconds=min((_seconds_asked(o, now) for o in transient), default=0),
            jitter=jitter,
            summary=summary,
            deliveries=tuple(outcomes),
            disabled_destinations=refused or None,
            no_destination_left=not left,
            unsent=bool(transient) and all(o.unsent for o in bad),
            usage=usage,
        )

    def start_delivery(self, run: str, attempt: int, owner: str, *, now: datetime, destinations: Sequence[str]) -> None:
        """Write down, before the send, that these destinations are about to be sent to."""
        self._attempt(run, attempt, owner)
        if self.status is TaskStatus.CANCELLED:
            raise TaskEnded(self.id, "is cancelled: nothing new is sent")
        self._trigger(
            facts.DeliveryStarted, now, run=run, attempt=attempt, owner=owner, destinations=tuple(destinations)
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
        jitter: float = 0,
        unsent: bool = False,
        outcomes: Sequence[DeliveryOutcome] = (),
    ) -> None:
        """Close an attempt whose work was not done. Transient failures are retried.

        ``jitter`` lengthens the wait before a retry by that share of it. ``unsent``: what it needs was away, so that
        the attempt could not be begun; as often as a run may be postponed, that is no failure.
        ``outcomes`` are deliveries settled before.
        """
        open_run = self._attempt(run, attempt, owner)
        self._fail(
            open_run,
            now,
            what=what,
            error=error,
            permanent=permanent,
            retry_after_seconds=retry_after_seconds,
            jitter=jitter,
            unsent=unsent,
            deliveries=tuple(outcomes) or None,
        )

    def record_late(
        self, run: str, attempt: int, owner: str, *, now: datetime, outcomes: Sequence[DeliveryOutcome]
    ) -> None:
        """Write down what an attempt delivered that was closed before it could say so. What failed changes nothing."""
        open_run = self.open_runs.get(run)
        known = open_run.delivered if open_run is not None else ()
        late = [o for o in outcomes if o.status is DeliveryStatus.DELIVERED and o.destination not in known]
        if late:
            self._trigger(facts.DeliveredLate, now, run=run, attempt=attempt, owner=owner, deliveries=tuple(late))

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
                deliveries=tuple(outcomes) or None,
            )
            return
        goes_on = not self.status.ended and (self.is_active or open_run.manual)
        if not goes_on:
            outcomes = (*outcomes, *self._doubts(open_run, outcomes, now))
        if goes_on or outcomes:  # what arrived, or may have, stands in the log although the run does not go on
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
        if not goes_on:
            reason = SkipReason.CANCELLED if self.status.ended else SkipReason(self.status.value)
            self._trigger(
                facts.Skipped, now, skip=reason, run=run, attempt=attempt, owner=owner, note=f"interrupted: {cause}"
            )

    def record_notice(
        self,
        kind: NoticeKind,
        *,
        now: datetime,
        outcomes: Sequence[DeliveryOutcome] = (),
        runs: Sequence[str] = (),
    ) -> None:
        """Write down that people were told, also of these single ``runs``, so that nobody tells them again."""
        told = tuple(run for run in self.untold if run in runs)
        if self.incident.due is not kind and not (kind is NoticeKind.RUN_FAILED and told):
            raise Refused(self.id, f"has nothing to tell of {kind}")
        self._trigger(facts.Noticed, now, kind=kind, deliveries=tuple(outcomes), runs=told or None)

    def record_answered(self, run: str, *, now: datetime) -> None:
        """Write down that whoever asked for ``run`` has been told what came of it, where nobody else was yet."""
        if run in self.untold:
            self._trigger(facts.Noticed, now, kind=NoticeKind.RUN_FAILED, runs=(run,))

    def replan(self, *, now: datetime, rules: str) -> bool:
        """Plan the future again under new calendar rules; what is due or past stays. Says whether anything moved."""
        if self.status.ended or rules == self.rules or (self.next_slot is not None and self.next_slot <= now):
            return False
        next_slot = self._following(max(self.accounted_until, now))
        moved = next_slot != self.next_slot
        if moved:
            self._trigger(facts.Replanned, now, previous=self.next_slot, next_slot=next_slot, rules=rules)
            self._complete_if_over(now)
        return moved

    # --- decisions ---

    def _waiting_until(self, now: datetime) -> Sequence[OpenRun]:
        """The open runs that may be started by now."""
        waiting = [run for run in startable(self.open_runs) if run.due_at is not None and run.due_at <= now]
        return [run for run in waiting if run.manual or self.is_active]

    def _claim_slot(self, now: datetime, node: str, deadline: timedelta, no_more_because: str | None) -> Attempt | None:
        if self.next_slot is None or self.next_slot > now or not self.is_active:
            raise NotDue(self.id, "nothing is due")
        running = [run for run in self.open_runs.values() if not run.manual]
        plan = plan_slots(
            self.definition,
            next_slot=self.next_slot,
            buffered_until=self.buffered_until,
            busy=bool(running),
            now=now,
        )
        if plan.skipped is not None:
            self._skip(plan.skipped, now)
        if plan.start is not None and no_more_because is not None:
            self._skip(SkippedSlots(SkipReason.QUOTA, plan.start, plan.start, 1, plan.next_slot), now, no_more_because)
            self._complete_if_over(now)
            return None
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
        since = (run.since if run is not None else None) or look_back(
            self.definition,
            instant=slot if slot is not None else now,
            covered=self.covered_until,
            created=self.created_on,
        )
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
            rules=self._new_rules() if first else None,
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
            unknown=started.unknown,
            sent_at=started.sent_at,
            not_before=started.not_before,
            begun_at=started.begun_at,
            gives_up=gives_up,
            until=started.until,
        )

    def _fail(
        self,
        run: OpenRun,
        now: datetime,
        *,
        what: str,
        error: str,
        permanent: bool,
        retry_after_seconds: float = 0,
        jitter: float = 0,
        no_destination_left: bool = False,
        unsent: bool = False,
        summary: str | None = None,
        deliveries: tuple[DeliveryOutcome, ...] | None = None,
        disabled_destinations: tuple[str, ...] | None = None,
        usage: Usage | None = None,
    ) -> None:
        counted = run.failures + 1 if run.manual else self.consecutive_failures + 1
        may_go_on = not self.status.ended if run.manual else self.is_active
        postponed = unsent and may_go_on and run.postponed < MOST_POSTPONEMENTS
        retry_at = None
        if not permanent and may_go_on and (postponed or counted < self.definition.max_failures):
            delay = retry_delay(run.failures + run.postponed + 1, self.definition.retry_delay)
            asked = min(max(0.0, retry_after_seconds), LONGEST_DELAY.total_seconds())
            retry_at = now + max(delay, timedelta(seconds=asked)) * (1 + jitter)
        if retry_at is None:
            deliveries = (*(deliveries or ()), *self._doubts(run, deliveries or (), now)) or None
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
            postponed=postponed or None,
            usage=usage,
        )
        if self.is_active and no_destination_left:
            self._disable(now, "no destination is left: each refused for good")
        elif self.is_active and not postponed and self.consecutive_failures >= self.definition.max_failures:
            count = self.consecutive_failures
            self._disable(now, "1 failure" if count == 1 else f"{count} failures in a row")
        self._complete_if_over(now)

    def _doubts(self, run: OpenRun, told: Sequence[DeliveryOutcome], now: datetime) -> tuple[DeliveryOutcome, ...]:
        """What a run leaves open that is closed: it was about to be sent, or in doubt, and nothing is told of it.

        Of a place that was edited away meanwhile nobody can say any more what it was.
        """
        known = {outcome.destination for outcome in told} | set(run.delivered)
        types = {destination.key: destination.type for destination in self.definition.destinations}
        return tuple(
            DeliveryOutcome(
                destination=name, type=types[place_of(name)], status=DeliveryStatus.UNKNOWN, reason=CUT_OFF, at=now
            )
            for name in dict.fromkeys((*run.unknown, *run.sending))
            if name not in known and place_of(name) in types
        )

    def _disable(self, now: datetime, reason: str) -> None:
        self._trigger(facts.Disabled, now, reason=reason)
        self._close_waiting(now, SkipReason.DISABLED)


def _seconds_asked(outcome: DeliveryOutcome, now: datetime) -> float:
    return (outcome.not_before - now).total_seconds() if outcome.not_before is not None else 0
