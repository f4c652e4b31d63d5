"""Telling people of trouble: at its beginning, when a task is given up, and when it is over. Never once per attempt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from application.deliverer import Deliverer
from application.ports import Clock, Command, DeliveryRequest, ReadModel, Writer
from application.queries import Queries
from application.rows import TaskRow
from application.views import RunView, TaskView
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination, delivery_key, place_of
from domain.errors import DaybookError, Refused
from domain.event import from_epoch_microseconds
from domain.incidents import NoticeKind
from domain.retry import LONGEST_DELAY, retry_delay
from domain.summary import Summary

__all__ = ["Notices", "notice_summary"]

MOST_TRIES = 8
"""A notice that nobody takes is given up after so many tries, about two hours; the log then says so."""

FIRST_WAIT = timedelta(minutes=1)
"""Before the second try of a notice; it doubles. Looks are as frequent as runs end, so they are no tries."""

MOST_AT_ONCE = 100

_log = logging.getLogger(__name__)


class _Tried(NamedTuple):
    """How often a notice was tried in vain, and when it may be tried again."""

    tries: int
    not_before: datetime


class Notices:
    """What people are still to be told, from the read model; what they were told, into the log."""

    def __init__(
        self, *, writer: Writer, read_model: ReadModel, queries: Queries, deliverer: Deliverer, clock: Clock
    ) -> None:
        self._writer, self._rows, self._queries = writer, read_model, queries
        self._deliverer, self._clock = deliverer, clock
        self._tried: dict[tuple[str, str], _Tried] = {}
        self._sweep: asyncio.Task[None] | None = None

    def ring(self) -> None:
        """Look at what people are to be told. Cheap when there is nothing."""
        if (self._sweep is None or self._sweep.done()) and self._rows.to_be_told(1):
            self._sweep = asyncio.get_running_loop().create_task(self.tell_all(), name="daybook-notices")

    async def close(self) -> None:
        """Let the notices under way end."""
        if self._sweep is not None:
            await asyncio.wait([self._sweep])

    async def tell_all(self) -> None:
        """Tell everybody who waits for a notice, once over; but nobody before the time of the next try."""
        now = self._clock.now()
        waiting = {key for key, tried in self._tried.items() if tried.not_before > now}
        found = self._rows.to_be_told(MOST_AT_ONCE + len(waiting))  # those that wait must not stand before the others
        rows = [row for row in found if (row.task_id, row.notice_due) not in waiting][:MOST_AT_ONCE]
        outcomes = await asyncio.gather(*(self._tell(row) for row in rows), return_exceptions=True)
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                _log.error("nobody could be told of task %s: %r", row.task_id, outcome)

    async def _tell(self, row: TaskRow) -> None:
        kind = NoticeKind(row.notice_due or NoticeKind.FAILING)
        task = self._queries.task(row.task_id)
        runs = self._queries.runs(task_id=row.task_id, limit=1)
        places = self.places(task, _failed_places(task, runs))
        since = row.incident_since or row.changed_at
        summary = notice_summary(kind, task, runs[0] if runs else None, at=from_epoch_microseconds(row.changed_at))
        sent = await asyncio.gather(
            *(self._deliverer.send(place, _request(task, kind, since, place, summary)) for place in places)
        )
        outcomes = [outcome for outcome, _ in sent]
        again = [o for o in outcomes if o.status is DeliveryStatus.FAILED and not o.permanent]
        before = self._tried.pop((row.task_id, kind), None)
        tries = before.tries + 1 if before is not None else 1
        if again and len(again) == len(outcomes) and tries < MOST_TRIES:
            wait = max(retry_delay(tries, FIRST_WAIT), timedelta(seconds=max(asked for _, asked in sent)))
            self._tried[row.task_id, kind] = _Tried(tries, self._clock.now() + min(wait, LONGEST_DELAY))
            return
        await self._record(row.task_id, kind, outcomes)

    async def _record(self, task_id: str, kind: NoticeKind, outcomes: Sequence[DeliveryOutcome]) -> None:
        now = self._clock.now()
        command = Command(UUID(task_id), lambda task: task.record_notice(kind, now=now, outcomes=outcomes))
        try:
            await self._writer.execute(command)
        except Refused:
            _log.info("a notice of task %s is out of date: something newer is to be told", task_id)
        except DaybookError:
            _log.exception("a notice of task %s could not be recorded", task_id)

    def places(self, task: TaskView, failed: set[str]) -> list[Destination]:
        """Where people of the guild are told; but not at a place of the task that has just ``failed`` (keys)."""
        broken = {(d.type, d.target) for d in task.definition.destinations if d.key in failed}
        settings = self._queries.settings(task.guild_id)
        return [d for d in settings.failure_notices if d.enabled and (d.type, d.target) not in broken]


def _failed_places(task: TaskView, runs: Sequence[RunView]) -> set[str]:
    last = {place_of(d.destination) for run in runs for d in run.deliveries if d.status != DeliveryStatus.DELIVERED}
    return last | set(task.disabled_destinations)


def notice_summary(kind: NoticeKind, task: TaskView, run: RunView | None, *, at: object) -> Summary:
    """What people read, in the shape that every delivery channel can render."""
    now = task.status_at or task.accounted_until
    error = f" {run.error.rstrip('.')}." if run is not None and run.error else ""
    retry = f" It is tried again at {run.due_at:%Y-%m-%d %H:%M} UTC." if run is not None and run.due_at else ""
    title, text = {
        NoticeKind.FAILING: (f"{task.name} is failing", f"The task “{task.name}” failed.{error}{retry}"),
        NoticeKind.DISABLED: (
            f"{task.name} was disabled",
            f"The task “{task.name}” is off: {(task.status_reason or 'it failed too often').rstrip('.')}.{error}"
            f" It stays off until somebody resumes it: daybook tasks resume {task.task_id[:8]}",
        ),
        NoticeKind.RECOVERED: (f"{task.name} works again", f"The task “{task.name}” succeeded again."),
    }[kind]
    digest = blake2b(f"{task.task_id}{kind}{at}".encode(), digest_size=8).hexdigest()
    return Summary(
        id=digest,
        guild_id=task.guild_id,
        title=title,
        summary_text=text,
        start_time=now,
        end_time=now,
        engine="notice",
    )


def _request(task: TaskView, kind: NoticeKind, since: int, place: Destination, summary: Summary) -> DeliveryRequest:
    return DeliveryRequest(
        key=delivery_key(f"notice:{task.task_id}:{since}:{kind}", place.key),
        run_id=f"notice-{kind}-{summary.id}",
        task_id=task.task_id,
        task_name=f"{task.name} {kind}",
        guild_id=task.guild_id,
        destination=place,
        summary=summary,
        slot=summary.end_time,
        timezone=task.timezone,
    )
