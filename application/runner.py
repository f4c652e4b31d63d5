"""Doing claimed runs: has them performed, records how they ended, and tells who waits for the result."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from uuid import UUID

from application.executor import OVERTIME_SECONDS, Executor
from application.failures import classify
from application.lasting import Lasting
from application.ports import Clock, Command, ReadModel, Writer
from application.recording import record
from application.rows import TaskRow
from application.work import INTERRUPTED, Done, Failure, Outcome, OverQuota, TaskExecutionResult, Work, work_of
from domain.destination import DeliveryOutcome, DeliveryStatus
from domain.errors import DaybookError, PayloadErased, StaleAttempt, StoreError
from domain.identity import id_of
from domain.runs import TaskStatus
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason

__all__ = ["Runner"]

FAREWELL_SECONDS = 1.0
"""How long work that is given up may take to put its things down, before what became of it is recorded."""

RECORDING_SECONDS = 5.0
"""Of the time that a stop may take, what is kept for recording interruptions."""

MOST_JITTER = 0.1
"""A retry comes at most this share of its delay later, so that not everything is tried again in the same second."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Active:
    """A run that this process is doing, and how long (in the loop's time) it may go on.

    ``cause`` is set when it is to be interrupted, ``cancelled`` once it was told to end, ``settled`` once it did.
    """

    work: Work
    begun: float
    until: float
    progress: list[DeliveryOutcome] = field(default_factory=list)
    doing: asyncio.Task[Outcome] | None = None
    cause: InterruptionReason | None = None
    overdue: bool = False
    cancelled: bool = False
    settled: bool = False


class Runner:
    """What this process is doing now. ``ended`` is called when work has ended, and once more when that is recorded.

    ``guilds`` counts the work under way: a place is free as soon as work has ended, so that the next claims are written
    together with how it ended. ``beyond`` says why a claimed run is one more than its guild may have.
    """

    def __init__(self, *, writer: Writer, read_model: ReadModel, executor: Executor, clock: Clock, node: str) -> None:
        self._writer, self._executor, self._clock, self.node = writer, executor, clock, node
        self._rows, self._lagging = read_model, read_model.lagging()
        self.guilds: dict[str, int] = {}
        self.ended: Callable[[], None] = lambda: None
        self.beyond: Callable[[Work], str | None] = lambda work: None
        self._active: dict[str, _Active] = {}
        self._deserted: set[asyncio.Task[Outcome]] = set()
        self._recording_late: set[asyncio.Task[None]] = set()
        self._closing: list[tuple[_Active, Outcome | None]] = []
        self._closer: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._unrecorded: dict[str, tuple[_Active, Outcome | None]] = {}
        self._waiters: dict[str, asyncio.Future[TaskExecutionResult]] = {}
        self._requests, self.draining = Lasting(), False
        self.may_begin: Callable[[], bool] = lambda: True

    def __len__(self) -> int:
        """How many runs are under way, those among them whose end is being recorded."""
        return len(self._active)

    @property
    def places(self) -> int:
        """How many runs are being worked on."""
        return sum(self.guilds.values())

    @property
    def doing(self) -> frozenset[str]:
        """The ids of the runs under way, and of those whose end is still to be recorded."""
        return frozenset((*self._active, *self._unrecorded))

    @property
    def operations(self) -> tuple[str, ...]:
        """The custom operations that this process can do."""
        return self._executor.operations

    def interrupt(self, cause: InterruptionReason = InterruptionReason.SHUTDOWN) -> None:
        """Give up at once what this process is doing; it is recorded as interrupted."""
        self._give_up(self._active.values(), cause)

    async def drain(self, patience: timedelta) -> int:
        """Let runs end for a while, interrupt the rest, all within ``patience``; returns how many were interrupted.

        Work that does not let itself be cancelled is left behind: what became of it is recorded all the same.
        """
        self.draining = True
        await self._requests.done()
        seconds = patience.total_seconds()
        recording = min(RECORDING_SECONDS, seconds / 4)
        await self._ended_within(seconds - recording)
        interrupted = len(self._active)
        self.interrupt()
        await self._ended_within(max(recording, FAREWELL_SECONDS * 2))
        await self.record_again()
        if self._recording_late:
            await asyncio.wait(self._recording_late)
        for run in self._unrecorded:
            _log.error("the outcome of run %s is lost: it will be done again as if the process had died", run)
        return interrupted

    async def _ended_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def record_again(self) -> None:
        """Try again to record what could not be recorded."""
        unrecorded, self._unrecorded = list(self._unrecorded.values()), {}
        if unrecorded:
            await self._record(unrecorded)

    async def _record(self, entries: Sequence[tuple[_Active, Outcome | None]]) -> None:
        """Write down how these ended, all together; what cannot be written now is kept for later."""
        now = self._clock.now()
        try:
            results = await self._writer.execute_many([self._closing_of(*entry, now) for entry in entries])
        except StoreError as error:
            results = [error] * len(entries)
        for (active, outcome), result in zip(entries, results, strict=True):
            if isinstance(result, BaseException):
                self._not_recorded(active, outcome, result)

    async def run_request(
        self, task_id: UUID, request: Callable[[ScheduledTask], str], deadline: timedelta
    ) -> asyncio.Future[TaskExecutionResult]:
        """Record a request for a run, claim it at once, and return the future of its result."""
        if self.draining:
            raise StoreError("the service stops, and begins no run any more; ask again when it has started")
        # A claim that was written is begun, whether anybody still waits for it or not.
        return await self._requests.carry_through(self._claimed_request(task_id, request, deadline))

    async def _claimed_request(
        self, task_id: UUID, request: Callable[[ScheduledTask], str], deadline: timedelta
    ) -> asyncio.Future[TaskExecutionResult]:
        now, node = self._clock.now(), self.node

        def decide(task: ScheduledTask) -> Work:
            run = request(task)
            attempt = task.claim_request(run, now=now, node=node, deadline=deadline)
            return work_of(task, attempt)

        work: Work = await self._writer.execute(Command(task_id, decide))
        future: asyncio.Future[TaskExecutionResult] = asyncio.get_running_loop().create_future()
        self._waiters[work.attempt.run] = future
        self.begin([work])
        return future

    def abandon(self, task_id: str) -> None:
        """Give up what this process is doing for a task: it was cancelled."""
        mine = [active for active in self._active.values() if active.work.task_id == task_id]
        self._give_up(mine, InterruptionReason.SHUTDOWN)

    def abandon_unwanted(self) -> None:
        """Give up what other processes have cancelled."""
        self._give_up([a for a in self._active.values() if not self.wanted(a.work)], InterruptionReason.SHUTDOWN)

    def wanted(self, work: Work) -> bool:
        """Whether a run may still send: not when its task was cancelled meanwhile, as far as the rows have it."""
        return not _is_cancelled(self._lagging.get(TaskRow, work.task_id))

    def _goes_on(self, work: Work) -> bool:
        """Whether a run that was given up is done again; whoever waits for it is told."""
        return not _is_cancelled(self._rows.get(TaskRow, work.task_id))

    async def announce(self, work: Work, destinations: Sequence[str]) -> None:
        """Write down that a run is about to send to these destinations. Raises Refused when it may not any more."""
        now, attempt = self._clock.now(), work.attempt

        def decide(task: ScheduledTask) -> None:
            task.start_delivery(attempt.run, attempt.attempt, attempt.owner, now=now, destinations=destinations)

        await self._writer.execute(Command(id_of(work.task_id), decide))

    def begin(self, claimed: Iterable[Work]) -> None:
        """Do these claimed runs."""
        if not self.may_begin():  # others may have taken it over; else it is when this node joins again
            for work in claimed:
                self._tell(work, _INTERRUPTED, 0.0)
            return
        loop, now = asyncio.get_running_loop(), self._clock.now()
        begun, time = perf_counter(), loop.time()
        for work in claimed:
            attempt, guild_id = work.attempt, work.guild_id
            for run in attempt.gives_up:
                if (other := self._active.get(run)) is not None:
                    self._give_up([other], InterruptionReason.SHUTDOWN)
            self.guilds[guild_id] = self.guilds.get(guild_id, 0) + 1
            left = (attempt.deadline - now).total_seconds()
            patience = max(0.0, left) + self._executor.overtime_seconds(work)
            active = self._active[attempt.run] = _Active(work, begun, time + patience)
            self._idle.clear()
            doing = active.doing = loop.create_task(
                self._perform(work, active.progress), name=f"daybook-run-{attempt.run}"
            )
            doing.add_done_callback(partial(self._came_to_its_end, active))
            self._watch_until(active.until)

    async def _perform(self, work: Work, progress: list[DeliveryOutcome]) -> Outcome:
        if (too_many := self.beyond(work)) is not None:
            return OverQuota(too_many)
        return await self._executor.perform(work, progress)

    # A host's work is watched from outside: it may hang, swallow its cancellation, or be cancelled from within.

    def _came_to_its_end(self, active: _Active, doing: asyncio.Task[Outcome]) -> None:
        if active.settled:
            return
        outcome = _outcome_of(doing, active.overdue)
        if outcome is not None and _lacks_something(outcome) and not self.wanted(active.work):
            active.cause, outcome = InterruptionReason.SHUTDOWN, None  # it was given up in between: no failure
        self._settle(active, outcome)

    # One timer watches over all of them: one for each would cost more than all else that a run without work takes here.

    def _watch_until(self, until: float) -> None:
        """Have the watch look at this time (the loop's) at the latest."""
        if self._watch is not None:
            if self._watch.when() <= until:
                return
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_at(until, self._look)

    def _look(self) -> None:
        """Cancel what takes too long, leave behind what was cancelled and goes on, and look again when it is time."""
        self._watch = None
        now = asyncio.get_running_loop().time()
        for active in [active for active in self._active.values() if active.until <= now and not active.settled]:
            if active.cancelled:
                self._desert(active)
            else:
                active.overdue = True
                self._cancel(active, OVERTIME_SECONDS)
        if left := [active.until for active in self._active.values() if not active.settled]:
            self._watch_until(min(left))

    def _cancel(self, active: _Active, patience: float) -> None:
        """Cancel the work; whether it obeys or not, its run is settled after this time (seconds)."""
        if active.doing is not None:
            active.doing.cancel()
        active.cancelled, active.until = True, asyncio.get_running_loop().time() + patience
        self._watch_until(active.until)

    def _desert(self, active: _Active) -> None:
        if active.doing is None:
            return
        _log.error("run %s does not let itself be cancelled; it is left behind", active.work.attempt.run)
        told = frozenset(outcome.destination for outcome in active.progress)
        self._deserted.add(active.doing)
        active.doing.add_done_callback(lambda doing: self._came_late(active, doing, told))
        self._settle(active, None if active.cause is not None else _OVERDUE)

    def _came_late(self, active: _Active, doing: asyncio.Task[Outcome], told: frozenset[str]) -> None:
        """Work that was left behind has ended: what it delivered meanwhile must not be sent again."""
        self._deserted.discard(doing)
        if not doing.cancelled():
            doing.exception()  # seen: nobody else will ask for it
        self._record_late(active.work, [o for o in active.progress if o.destination not in told])

    def _record_late(self, work: Work, outcomes: Sequence[DeliveryOutcome]) -> None:
        if any(outcome.status is DeliveryStatus.DELIVERED for outcome in outcomes):
            recording = asyncio.get_running_loop().create_task(self._late(work, outcomes), name="daybook-late")
            self._recording_late.add(recording)
            recording.add_done_callback(self._recording_late.discard)

    async def _late(self, work: Work, outcomes: Sequence[DeliveryOutcome]) -> None:
        now, attempt = self._clock.now(), work.attempt

        def decide(task: ScheduledTask) -> None:
            task.record_late(attempt.run, attempt.attempt, attempt.owner, now=now, outcomes=outcomes)

        try:
            await self._writer.execute(Command(id_of(work.task_id), decide))
        except DaybookError as error:
            _log.error("what run %s delivered late could not be recorded: %s", attempt.run, error)

    def _settle(self, active: _Active, outcome: Outcome | None) -> None:
        active.settled = True
        self._closing.append((active, outcome))
        if self._closer is None or self._closer.done():
            self._closer = asyncio.get_running_loop().create_task(self._close_all(), name="daybook-close")
        self._free_place(active.work.guild_id)

    async def _close_all(self) -> None:
        """Record how runs ended, all that wait together, and tell who waits for them."""
        while self._closing:
            batch, self._closing = self._closing, []
            await self._record(batch)
            for active, outcome in batch:
                if outcome is None and active.cause is not None:
                    outcome = _INTERRUPTED if self._goes_on(active.work) else _ENDED
                self._tell(active.work, outcome or _CANCELLED, perf_counter() - active.begun)
                self._end(active)
            self.ended()

    def _closing_of(self, active: _Active, outcome: Outcome | None, now: datetime) -> Command:
        """What is written of a run that ended. No outcome: it was interrupted, or cancelled from within."""
        if outcome is None and active.cause is not None:
            return self._interruption(active.work, active.cause, active.progress, now)
        return self._recording(active.work, outcome or _CANCELLED, active.progress, now)

    def _end(self, active: _Active) -> None:
        if self._active.get(run := active.work.attempt.run) is active:  # there may be a newer attempt
            del self._active[run]
        if not self._active:
            self._idle.set()
            if self._watch is not None:
                self._watch.cancel()
                self._watch = None

    def _free_place(self, guild_id: str) -> None:
        if (left := self.guilds.pop(guild_id) - 1) > 0:
            self.guilds[guild_id] = left
        self.ended()

    def _recording(self, work: Work, outcome: Outcome, progress: Sequence[DeliveryOutcome], now: datetime) -> Command:
        settled = tuple(progress)
        # Decided once, here: what failed together shall not come back together.
        jitter = random.random() * MOST_JITTER
        awaited = work.attempt.run in self._waiters
        return Command(
            id_of(work.task_id), lambda task: record(task, work.attempt, outcome, now, jitter, settled), awaited=awaited
        )

    def _not_recorded(self, active: _Active, outcome: Outcome | None, error: BaseException) -> None:
        run = active.work.attempt.run
        if isinstance(error, StaleAttempt | PayloadErased):
            # Somebody closed it first: it was cancelled, erased, or taken over while this process seemed dead.
            if active.cause is None or outcome is not None:  # what is given up for another run was closed by that one
                _log.warning("the outcome of run %s was refused: %s", run, error)
            if isinstance(error, StaleAttempt):
                self._record_late(active.work, active.progress)
        elif isinstance(error, StoreError):
            # The disk may be full, or the store locked: what was done must not be forgotten, nor done again.
            self._unrecorded[run] = (active, outcome)
            _log.error("the outcome of run %s could not be recorded; it is tried again: %s", run, error)
        else:
            _log.error("the outcome of run %s was refused: %r", run, error)

    def _interruption(
        self, work: Work, cause: InterruptionReason, progress: Sequence[DeliveryOutcome], now: datetime
    ) -> Command:
        attempt, node, outcomes = work.attempt, self.node, tuple(progress)

        def decide(task: ScheduledTask) -> None:
            task.interrupt(
                attempt.run,
                attempt.attempt,
                attempt.owner,
                now=now,
                cause=cause,
                noticed_by=node,
                outcomes=outcomes,
            )

        return Command(id_of(work.task_id), decide)

    def _tell(self, work: Work, outcome: Outcome, seconds: float) -> None:
        waiter = self._waiters.pop(work.attempt.run, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(TaskExecutionResult.of(work.task_id, work.attempt.run, outcome, seconds))

    def _give_up(self, actives: Iterable[_Active], cause: InterruptionReason) -> None:
        for active in list(actives):
            if active.cause is None and not active.settled:
                active.cause = cause
                self._cancel(active, FAREWELL_SECONDS)


_OVERDUE = Failure("deadline", "the work did not end by its deadline")
_INTERRUPTED = Failure(INTERRUPTED, "the run was interrupted; it is done again as soon as the service runs")
_ENDED = Failure(INTERRUPTED, "the run was interrupted, for its task was cancelled")
_CANCELLED = Failure("cancelled", "the work was cancelled from within")


def _outcome_of(doing: asyncio.Task[Outcome], overdue: bool) -> Outcome | None:
    """What the work came to; None when it was cancelled before its deadline."""
    if doing.cancelled():
        return _OVERDUE if overdue else None
    error = doing.exception()
    return classify(error) if error is not None else doing.result()


def _is_cancelled(row: object) -> bool:
    return isinstance(row, TaskRow) and row.status == TaskStatus.CANCELLED


def _lacks_something(outcome: Outcome) -> bool:
    """Whether something that was to be done was not, for a reason that may be that nobody wants it any more."""
    if isinstance(outcome, Done):
        return any(each.status in (DeliveryStatus.FAILED, DeliveryStatus.UNKNOWN) for each in outcome.outcomes)
    return isinstance(outcome, Failure)
