"""Telling people of trouble: at its beginning, when a task is given up, and when it is over. Never once per attempt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from application.deliverer import Deliverer
from application.notice_words import notice_summary
from application.open_runs import is_backfilling
from application.ports import Clock, Command, DeliveryRequest, ReadModel, Writer
from application.queries import Queries
from application.rows import TaskRow
from application.views import RunView, TaskView
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, delivery_key, place_of
from domain.errors import DaybookError, Refused, RunNotFound, StoreError
from domain.event import from_epoch_microseconds
from domain.incidents import MOST_UNTOLD, NoticeKind
from domain.retry import LONGEST_DELAY, retry_delay
from domain.summary import Summary

__all__ = ["Notices"]

MOST_TRIES = 8
"""A notice that nobody takes is given up after so many tries, about two hours; the log then says so."""

FIRST_WAIT = timedelta(minutes=1)
"""Before the second try of a notice; it doubles. Looks are as frequent as runs end, so they are no tries."""

GATHERED_FOR = timedelta(hours=1)
"""While a backfill goes on, people are told of its failed runs this often: of the first one, then of the rest."""

MOST_AT_ONCE = 100

_log = logging.getLogger(__name__)


class _Tried(NamedTuple):
    """How often a notice was tried in vain, and when it may be tried again."""

    tries: int
    not_before: datetime


class _Sent(NamedTuple):
    """A notice that was sent: what it was about, what came of it, and the runs that were told of."""

    about: str
    outcomes: Sequence[DeliveryOutcome]
    runs: Sequence[str]


class Notices:
    """What people are still to be told, from the read model; what they were told, into the log."""

    def __init__(
        self, *, writer: Writer, read_model: ReadModel, queries: Queries, deliverer: Deliverer, clock: Clock
    ) -> None:
        self._writer, self._rows, self._queries = writer, read_model, queries
        self._lagging = read_model.lagging()
        self._deliverer, self._clock = deliverer, clock
        self._tried: dict[tuple[str, str], _Tried] = {}
        self._told_of_runs: dict[str, datetime] = {}
        # What came of notices that were sent and could not be recorded: they are not sent again.
        self._unrecorded: dict[tuple[str, str], _Sent] = {}
        self.answering: set[str] = set()
        """Runs that somebody waits for at this moment, who will be told what came of them."""
        self._sweep: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Look at what people are to be told. Cheap when there is nothing."""
        if (self._sweep is None or self._sweep.done()) and self._lagging.to_be_told(1):
            self._sweep = asyncio.get_running_loop().create_task(self.tell_all(), name="daybook-notices")

    async def close(self) -> None:
        """Let the notices under way end."""
        if self._sweep is not None:
            await asyncio.wait([self._sweep])

    async def tell_all(self) -> None:
        """Tell everybody who waits for a notice, once over; but nobody before the time of the next try."""
        now = self._clock.now()
        # Those that wait must not stand before the others.
        most_waiting = len(self._tried) + len(self._told_of_runs) + len(self.answering)
        found = self._rows.to_be_told(MOST_AT_ONCE + most_waiting)
        if len(found) < MOST_AT_ONCE + most_waiting:  # all there are: of others nobody is to be told any more
            due = {(row.task_id, row.notice_due) for row in found}
            self._unrecorded = {key: sent for key, sent in self._unrecorded.items() if key in due}
        rows = [row for row in found if not self._waits(row, now)][:MOST_AT_ONCE]
        outcomes = await asyncio.gather(*(self._tell(row) for row in rows), return_exceptions=True)
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                _log.error("nobody could be told of task %s: %r", row.task_id, outcome)

    async def _tell(self, row: TaskRow) -> None:
        kind = NoticeKind(row.notice_due or NoticeKind.FAILING)
        untold = [run for run in row.untold.split() if run not in self.answering]
        task, runs = self._queries.task(row.task_id), self._kept(untold)
        last = None if kind is NoticeKind.RUN_FAILED else self._last_of_schedule(row.task_id)
        about = _about(kind, row, task, untold)
        before = self._unrecorded.get((row.task_id, kind))
        if before is not None and (kind is NoticeKind.RUN_FAILED or before.about == about):
            self._tried.pop((row.task_id, kind), None)
            await self._record(row.task_id, kind, before)  # what has come since is told of after it
            return
        at = _happened_at(kind, row, task, [*runs, *([last] if last is not None else [])])
        summary = notice_summary(kind, task, last, at=at, runs=runs, about=about)
        places = self.places(task, _failed_places(task, [*runs, *([last] if last is not None else [])]))
        sent = await asyncio.gather(
            *(self._deliverer.send(place, _request(task, kind, about, place, summary)) for place in places)
        )
        outcomes = [outcome for outcome, _ in sent]
        again = [o for o in outcomes if o.status is DeliveryStatus.FAILED and not o.permanent]
        tried = self._tried.pop((row.task_id, kind), None)
        tries = tried.tries + 1 if tried is not None else 1
        if again and len(again) == len(outcomes) and tries < MOST_TRIES:
            wait = max(retry_delay(tries, FIRST_WAIT), timedelta(seconds=max(asked for _, asked in sent)))
            self._tried[row.task_id, kind] = _Tried(tries, self._clock.now() + min(wait, LONGEST_DELAY))
            return
        if untold:
            now = self._clock.now()
            self._told_of_runs = {id: at for id, at in self._told_of_runs.items() if at <= now < at + GATHERED_FOR}
            self._told_of_runs[row.task_id] = now
        await self._record(row.task_id, kind, _Sent(about, outcomes, untold))

    def _kept(self, run_ids: Sequence[str]) -> list[RunView]:
        """These runs, as far as they are still to be seen."""
        found = []
        for run_id in run_ids:
            with suppress(RunNotFound):
                found.append(self._queries.run(run_id))
        return found

    def _last_of_schedule(self, task_id: str) -> RunView | None:
        runs = self._queries.runs(task_id=task_id, limit=MOST_UNTOLD)
        return next((run for run in runs if run.slot is not None), runs[0] if runs else None)

    def _waits(self, row: TaskRow, now: datetime) -> bool:
        """Whether a notice waits: for its next try, for whoever is told in another way, or for more of its kind."""
        tried = self._tried.get((row.task_id, row.notice_due or ""))
        if tried is not None and tried.not_before > now:
            return True
        if row.notice_due != NoticeKind.RUN_FAILED:
            return False
        if self.answering.issuperset(row.untold.split()):
            return True
        told = self._told_of_runs.get(row.task_id)
        return told is not None and told <= now < told + GATHERED_FOR and is_backfilling(row)

    async def _record(self, task_id: str, kind: NoticeKind, sent: _Sent) -> None:
        now, (_, outcomes, runs) = self._clock.now(), sent
        command = Command(UUID(task_id), lambda task: task.record_notice(kind, now=now, outcomes=outcomes, runs=runs))
        self._unrecorded[task_id, kind] = sent
        try:
            await self._writer.execute(command)
        except StoreError:
            _log.exception("a notice of task %s could not be recorded; that is tried again", task_id)
            self._tried[task_id, kind] = _Tried(0, now + FIRST_WAIT)
            return
        except Refused:
            _log.info("a notice of task %s is out of date: something newer is to be told", task_id)
        except DaybookError:
            _log.exception("a notice of task %s could not be recorded", task_id)
        del self._unrecorded[task_id, kind]

    def places(self, task: TaskView, failed: set[str]) -> list[Destination]:
        """Where people of the guild are told; but not at a place of the task that has just ``failed`` (keys)."""
        broken = {(d.type, d.target) for d in task.definition.destinations if d.key in failed}
        settings = self._queries.settings(task.guild_id)
        return [d for d in settings.failure_notices if d.enabled and (d.type, d.target) not in broken]


def _failed_places(task: TaskView, runs: Sequence[RunView]) -> set[str]:
    last = {place_of(d.destination) for run in runs for d in run.deliveries if d.status != DeliveryStatus.DELIVERED}
    return last | set(task.disabled_destinations)


def _happened_at(kind: NoticeKind, row: TaskRow, task: TaskView, runs: Sequence[RunView]) -> datetime:
    """When that happened of which people are told, equal in every try. ``runs`` are those that are told of."""
    if kind is NoticeKind.DISABLED and task.status_at is not None:
        return task.status_at
    if row.incident_since is not None and kind is not NoticeKind.RUN_FAILED:
        return from_epoch_microseconds(row.incident_since)
    closed = [run.closed_at for run in runs if run.closed_at is not None]
    return max(closed) if closed else from_epoch_microseconds(row.changed_at)


def _about(kind: NoticeKind, row: TaskRow, task: TaskView, runs: Sequence[str]) -> str:
    """What tells a notice from others of its kind, and is equal in every try of it."""
    if kind is NoticeKind.RUN_FAILED:
        return ",".join(runs)
    since = str(row.incident_since or row.changed_at)
    given_up = kind is NoticeKind.DISABLED and task.status_at is not None  # an incident may see it more than once
    return f"{since}:{task.status_at}" if given_up else since


def _request(task: TaskView, kind: NoticeKind, about: str, place: Destination, summary: Summary) -> DeliveryRequest:
    return DeliveryRequest(
        key=delivery_key(f"notice:{task.task_id}:{about}:{kind}", place.key),
        run_id=f"notice-{kind}-{summary.id}",
        task_id=task.task_id,
        task_name=f"{task.name} {kind}",
        guild_id=task.guild_id,
        destination=place,
        summary=summary,
        slot=summary.end_time,
        timezone=task.timezone,
    )
