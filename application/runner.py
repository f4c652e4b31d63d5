"""Doing claimed runs: has them performed, records how they ended, and tells who waits for the result."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from uuid import UUID

from application.executor import Executor
from application.ports import Clock, Command, ReadModel, Writer
from application.rows import TaskRow
from application.work import Done, Failure, Outcome, Quiet, TaskExecutionResult, Work
from domain.destination import DeliveryOutcome
from domain.errors import DaybookError, StaleAttempt, StoreError
from domain.runs import Attempt, TaskStatus
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason, SkipReason

__all__ = ["Runner", "work_of"]

MOST_JITTER = 0.1
"""A retry comes at most this share of its delay later, so that not everything is tried again in the same second."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Active:
    """A run that this process is doing. ``cause`` is set when it is to be given up."""

    work: Work
    task: asyncio.Task[None]
    cause: InterruptionReason | None = None


class Runner:
    """What this process is doing now. ``ended`` is called after every run that ended."""

    def __init__(self, *, writer: Writer, read_model: ReadModel, executor: Executor, clock: Clock, node: str) -> None:
        self._writer, self._rows, self._executor, self._clock, self._node = writer, read_model, executor, clock, node
        self.guilds: Counter[str] = Counter()
        self.ended: Callable[[], None] = lambda: None
        self._active: dict[str, _Active] = {}
        self._given_up: list[asyncio.Task[None]] = []
        self._unrecorded: dict[str, tuple[Work, Outcome]] = {}
        self._waiters: dict[str, asyncio.Future[TaskExecutionResult]] = {}

    def __len__(self) -> int:
        return len(self._active)

    @property
    def doing(self) -> frozenset[str]:
        """The ids of the runs under way."""
        return frozenset(self._active)

    @property
    def operations(self) -> tuple[str, ...]:
        """The custom operations that this process can do."""
        return self._executor.operations

    def interrupt(self, cause: InterruptionReason = InterruptionReason.SHUTDOWN) -> None:
        """Give up at once what this process is doing; it is recorded as interrupted."""
        self._given_up = self._give_up(self._active.values(), cause)

    async def drain(self, patience: timedelta) -> int:
        """Let runs end for a while, then interrupt the rest; returns how many were interrupted."""
        if self._active:
            tasks = [active.task for active in self._active.values()]
            await asyncio.wait(tasks, timeout=patience.total_seconds())
        interrupted = [*self._given_up, *self._give_up(self._active.values(), InterruptionReason.SHUTDOWN)]
        if interrupted:
            await asyncio.wait(interrupted)
        return len(interrupted)

    async def record_again(self) -> None:
        """Try again to record what could not be recorded."""
        unrecorded, self._unrecorded = self._unrecorded, {}
        for work, outcome in unrecorded.values():
            await self._record(work, outcome)

    async def run_request(
        self, task_id: UUID, request: Callable[[ScheduledTask], str], deadline: timedelta
    ) -> asyncio.Future[TaskExecutionResult]:
        """Record a request for a run, claim it at once, and return the future of its result."""
        now, node = self._clock.now(), self._node

        def decide(task: ScheduledTask) -> Work:
            run = request(task)
            attempt = task.claim_request(run, now=now, node=node, deadline=deadline)
            return work_of(task, attempt)

        work: Work = await self._writer.execute(Command(task_id, decide))
        future: asyncio.Future[TaskExecutionResult] = asyncio.get_running_loop().create_future()
        self._waiters[work.attempt.run] = future
        self.begin(work)
        return future

    def abandon(self, task_id: str) -> None:
        """Give up what this process is doing for a task: it was cancelled."""
        mine = [active for active in self._active.values() if active.work.task_id == task_id]
        self._give_up(mine, InterruptionReason.SHUTDOWN)

    def wanted(self, work: Work) -> bool:
        """Whether a run may still send: not when its task was cancelled meanwhile."""
        row = self._rows.get(TaskRow, work.task_id)
        return not isinstance(row, TaskRow) or row.status != TaskStatus.CANCELLED

    async def announce(self, work: Work, destinations: Sequence[str]) -> None:
        """Write down that a run is about to send to these destinations. Raises Refused when it may not any more."""
        now, attempt = self._clock.now(), work.attempt

        def decide(task: ScheduledTask) -> None:
            task.start_delivery(attempt.run, attempt.attempt, attempt.owner, now=now, destinations=destinations)

        await self._writer.execute(Command(UUID(work.task_id), decide))

    def begin(self, work: Work) -> None:
        """Do a claimed run."""
        for run in work.attempt.gives_up:
            if (other := self._active.get(run)) is not None:
                self._give_up([other], InterruptionReason.SHUTDOWN)
        self.guilds[work.guild_id] += 1
        task = asyncio.get_running_loop().create_task(self._run(work), name=f"daybook-run-{work.attempt.run}")
        self._active[work.attempt.run] = _Active(work, task)

    async def _run(self, work: Work) -> None:
        started = perf_counter()
        progress: list[DeliveryOutcome] = []
        try:
            outcome = await self._executor.perform(work, progress)
            await self._record(work, outcome)
            self._tell(work, outcome, perf_counter() - started)
        except asyncio.CancelledError:
            active = self._active.get(work.attempt.run)
            cause = active.cause if active is not None else None
            await self._record_interruption(work, cause or InterruptionReason.SHUTDOWN, progress)
            self._tell(work, Failure("interrupted", "the run was interrupted"), perf_counter() - started)
        finally:
            self._end(work)

    def _end(self, work: Work) -> None:
        self._active.pop(work.attempt.run, None)
        self.guilds[work.guild_id] -= 1
        if self.guilds[work.guild_id] <= 0:
            del self.guilds[work.guild_id]
        self.ended()

    async def _record(self, work: Work, outcome: Outcome) -> None:
        now = self._clock.now()
        # Decided once, here: what failed together shall not come back together.
        jitter = random.uniform(0, MOST_JITTER)
        command = Command(UUID(work.task_id), lambda task: _close(task, work.attempt, outcome, now, jitter))
        try:
            await self._writer.execute(command)
        except StaleAttempt as error:
            # Somebody closed it first: it was cancelled, or taken over while this process seemed dead.
            _log.warning("the outcome of run %s was refused: %s", work.attempt.run, error)
        except StoreError:
            # The disk may be full, or the store locked: what was done must not be forgotten, nor done again.
            self._unrecorded[work.attempt.run] = (work, outcome)
            _log.exception("the outcome of run %s could not be recorded; it is tried again", work.attempt.run)
        except DaybookError:
            _log.exception("the outcome of run %s was refused", work.attempt.run)

    async def _record_interruption(
        self, work: Work, cause: InterruptionReason, progress: Sequence[DeliveryOutcome]
    ) -> None:
        now, attempt, node = self._clock.now(), work.attempt, self._node

        def decide(task: ScheduledTask) -> None:
            task.interrupt(
                attempt.run,
                attempt.attempt,
                attempt.owner,
                now=now,
                cause=cause,
                noticed_by=node,
                outcomes=progress,
            )

        await self._writer.execute_many([Command(UUID(work.task_id), decide)])

    def _tell(self, work: Work, outcome: Outcome, seconds: float) -> None:
        waiter = self._waiters.pop(work.attempt.run, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(TaskExecutionResult.of(work.task_id, work.attempt.run, outcome, seconds))

    def _give_up(self, actives: Iterable[_Active], cause: InterruptionReason) -> list[asyncio.Task[None]]:
        given_up = []
        for active in list(actives):
            active.cause = cause
            # After its first step: one that is canceled before has never begun, and would record nothing.
            asyncio.get_running_loop().call_soon(active.task.cancel)
            given_up.append(active.task)
        return given_up


def work_of(task: ScheduledTask, attempt: Attempt) -> Work:
    """What a claimed attempt is to do."""
    return Work(str(task.id), task.definition, task.destinations, attempt)


def _close(task: ScheduledTask, attempt: Attempt, outcome: Outcome, now: datetime, jitter: float) -> None:
    run, number, owner = attempt.run, attempt.attempt, attempt.owner
    match outcome:
        case Done():
            task.conclude(
                run,
                number,
                owner,
                now=now,
                outcomes=outcome.outcomes,
                summary=outcome.summary.id if outcome.summary is not None else None,
                messages=outcome.messages,
                note=outcome.note,
                retry_after_seconds=outcome.retry_after_seconds,
                jitter=jitter,
            )
        case Quiet():
            task.skip_run(run, number, owner, now=now, reason=SkipReason.QUIET, note=outcome.note)
        case Failure():
            task.fail(
                run,
                number,
                owner,
                now=now,
                what=outcome.what,
                error=outcome.error,
                permanent=outcome.permanent,
                retry_after_seconds=outcome.retry_after_seconds,
                jitter=jitter,
            )
