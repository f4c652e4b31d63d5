"""From due to done: claims what is due as far as there are free places, has it performed, and records how it ended.

A ring of the timer is a hint. What is due is asked of the read model and decided anew from the log by every claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from uuid import UUID

from application.executor import Executor
from application.ports import Clock, Command, Exclusions, Log, Presence, ReadModel, Timer, Writer
from application.recovery import Recovery
from application.rows import TaskRow
from application.work import Done, Failure, Outcome, Quiet, TaskExecutionResult, Work
from domain.destination import DeliveryOutcome
from domain.errors import DaybookError, EventUnreadable, NotDue, StaleAttempt, StoreError
from domain.event import epoch_microseconds, from_epoch_microseconds
from domain.node import Node, node_stream
from domain.runs import Attempt, TaskStatus
from domain.schedule import rules_fingerprint
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason, SkipReason

__all__ = ["Dispatcher", "Limits", "NodeIdentity"]

CHECK_SECONDS = 30
"""The clock may have jumped, or the machine slept: what is due is looked at this often at least."""

POLL_SECONDS = 0.5
"""How soon the commits of other processes are seen."""

BEAT_SECONDS = 5
CLAIM_BATCH = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one process. ``drain`` is how long a stop waits for runs to end."""

    runs: int = 200
    runs_per_guild: int = 50
    attempt_deadline: timedelta = timedelta(minutes=15)
    drain: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """This process, as the log knows it."""

    name: str
    host: str
    pid: int
    version: str


@dataclass(slots=True)
class _Active:
    """A run that this process is doing. ``cause`` is set when it is to be given up."""

    work: Work
    task: asyncio.Task[None]
    cause: InterruptionReason | None = None


class Dispatcher:
    """The loop of a node. All methods are called on the event loop that ``start`` was called on."""

    def __init__(
        self,
        *,
        writer: Writer,
        read_model: ReadModel,
        log: Log,
        timer: Timer,
        clock: Clock,
        presence: Presence,
        executor: Executor,
        node: NodeIdentity,
        limits: Limits,
    ) -> None:
        self._writer, self._rows, self._log, self._timer = writer, read_model, log, timer
        self._clock, self._presence, self._executor = clock, presence, executor
        self.node, self.limits = node, limits
        self._recovery = Recovery(writer=writer, read_model=read_model, presence=presence, clock=clock, node=node.name)
        self._active: dict[str, _Active] = {}
        self._guilds: Counter[str] = Counter()
        self._held: set[str] = set()
        self._given_up: list[asyncio.Task[None]] = []
        self._unrecorded: dict[str, tuple[Work, Outcome]] = {}
        self._waiters: dict[str, asyncio.Future[TaskExecutionResult]] = {}
        # A heart of its own: other threads may all be busy for longer than a lease lasts.
        self._beats = ThreadPoolExecutor(1, thread_name_prefix="daybook-beat")
        self._claiming = False
        self._pump: asyncio.Task[None] | None = None
        self._again = False
        self._foreign: object = None
        self.running = False
        self.listeners: list[Callable[[], None]] = []

    # --- life ---

    async def recover(self, found_dead: Sequence[tuple[str, datetime]]) -> None:
        """Write down which nodes died, and make what they held due again. The presence has been joined before."""
        await self._recovery.recover(found_dead, self._active)

    async def start(self) -> None:
        """Announce this node, plan again under new rules, and begin to claim.

        What the dead left is recovered before.
        """
        if self.running:
            return
        now = self._clock.now()
        self._foreign = self._log.last_foreign_change()
        await self._writer.catch_up()
        previous = self._rows.nodes(limit=1)
        await self._writer.execute(self._node_started(now))
        if previous and previous[0].rules != rules_fingerprint():
            await self._recovery.replan(now)
        self.running = self._claiming = True
        self._timer.every("check", CHECK_SECONDS, self._check)
        self._timer.every("poll", POLL_SECONDS, self._poll)
        self._timer.every("beat", BEAT_SECONDS, self._beat)
        self._timer.start()
        self.ring()

    def notifier(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        """What the writer's thread calls after a commit: wakes this loop once for any number of commits."""
        pending = False

        def tell() -> None:
            nonlocal pending
            pending = False
            self.changed()

        def notify() -> None:
            nonlocal pending
            if not pending and not loop.is_closed():
                pending = True
                loop.call_soon_threadsafe(tell)

        return notify

    @property
    def active_runs(self) -> int:
        """How many runs this process is doing."""
        return len(self._active)

    async def stop(self) -> None:
        """Stop claiming, let runs end for a while, interrupt the rest, and say goodbye. Idempotent."""
        if not self.running:
            return
        self.running = self._claiming = False
        self._timer.stop()
        if self._pump is not None:
            await asyncio.wait([self._pump])
        if self._active:
            tasks = [active.task for active in self._active.values()]
            await asyncio.wait(tasks, timeout=self.limits.drain.total_seconds())
        interrupted = [*self._given_up, *self._give_up(self._active.values(), InterruptionReason.SHUTDOWN)]
        if interrupted:
            await asyncio.wait(interrupted)
        now = self._clock.now()
        stopped = Command(
            node_stream(self.node.name), lambda node: node.stop(now=now, interrupted_runs=len(interrupted))
        )
        await self._writer.execute_many([stopped])
        self._beats.shutdown(wait=False)

    def interrupt(self) -> None:
        """Give up at once what this process is doing; it is recorded as interrupted. For a stop that cannot wait."""
        self._given_up = self._give_up(self._active.values(), InterruptionReason.SHUTDOWN)

    def _node_started(self, now: datetime) -> Command:
        node = self.node

        def begin() -> Node:
            return Node.start(
                node.name, now=now, host=node.host, pid=node.pid, version=node.version, rules=rules_fingerprint()
            )

        return Command(node_stream(node.name), lambda started: None, create=begin)

    # --- claiming ---

    def ring(self) -> None:
        """Look at what is due. Cheap to call often: rings that come while it looks are one more look."""
        self._again = True
        if self._claiming and (self._pump is None or self._pump.done()):
            self._pump = asyncio.get_running_loop().create_task(self._claim_all(), name="daybook-claim")

    def changed(self) -> None:
        """Something was committed: arm the timer for what is next due."""
        if self._claiming:
            self._arm()
        for listener in self.listeners:
            listener()

    async def _claim_all(self) -> None:
        while self._again:
            self._again = False
            try:
                while await self._claim_some():
                    pass
            except StoreError:
                _log.exception("claiming failed; it is tried again at the next check")
        self._arm()

    async def _claim_some(self) -> bool:
        """Claim one batch; says whether there may be more."""
        free = self.limits.runs - len(self._active)
        if free <= 0 or not self._claiming:
            return False
        now = self._clock.now()
        due = self._rows.due(epoch_microseconds(now), min(free, CLAIM_BATCH), self._exclusions())
        due = self._within_guild_limits(due)
        if not due:
            return False
        outcomes = await self._writer.execute_many([self._claim(UUID(task_id), now) for task_id, _, _ in due])
        for (task_id, _, _), outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, Work):
                self._begin(outcome)
            elif isinstance(outcome, BaseException):
                self._not_claimed(task_id, outcome)
        return True

    def _claim(self, task_id: UUID, now: datetime) -> Command:
        deadline, node = self.limits.attempt_deadline, self.node.name

        def decide(task: ScheduledTask) -> Work | None:
            attempt = task.claim(now=now, node=node, deadline=deadline)
            return _work(task, attempt) if attempt is not None else None

        return Command(task_id, decide)

    def _not_claimed(self, task_id: str, error: BaseException) -> None:
        # The row says due and the log does not: ask again at the next check, not at once for ever.
        self._held.add(task_id)
        if isinstance(error, NotDue):
            return
        if isinstance(error, EventUnreadable):
            _log.error("task %s is left alone, its history cannot be read: %s", task_id, error)
        else:
            _log.error("task %s could not be claimed: %r", task_id, error)

    def _exclusions(self) -> Exclusions:
        full = [guild for guild, count in self._guilds.items() if count >= self.limits.runs_per_guild]
        return Exclusions(tasks=tuple(self._held), guilds=full, operations=self._executor.operations)

    def _within_guild_limits(self, due: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
        taken = Counter(self._guilds)
        chosen = []
        for row in due:
            taken[row[1]] += 1
            if taken[row[1]] <= self.limits.runs_per_guild:
                chosen.append(row)
        return chosen

    def _arm(self) -> None:
        if not self.running:
            return
        if len(self._active) >= self.limits.runs:
            self._timer.wake_at(None, self._wake)
            return
        due = self._rows.next_due(self._exclusions())
        self._timer.wake_at(None if due is None else from_epoch_microseconds(due), self._wake)

    async def _wake(self) -> None:
        self.ring()

    async def _check(self) -> None:
        self._held.clear()
        unrecorded, self._unrecorded = self._unrecorded, {}
        for work, outcome in unrecorded.values():
            await self._record(work, outcome)
        self.ring()

    # --- performing and recording ---

    async def run_request(
        self, task_id: UUID, request: Callable[[ScheduledTask], str]
    ) -> asyncio.Future[TaskExecutionResult]:
        """Record a request for a run, claim it at once, and return the future of its result."""
        now, deadline, node = self._clock.now(), self.limits.attempt_deadline, self.node.name

        def decide(task: ScheduledTask) -> Work:
            run = request(task)
            attempt = task.claim_request(run, now=now, node=node, deadline=deadline)
            return _work(task, attempt)

        work: Work = await self._writer.execute(Command(task_id, decide))
        future: asyncio.Future[TaskExecutionResult] = asyncio.get_running_loop().create_future()
        self._waiters[work.attempt.run] = future
        self._begin(work)
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

    def _begin(self, work: Work) -> None:
        for run in work.attempt.gives_up:
            if (other := self._active.get(run)) is not None:
                self._give_up([other], InterruptionReason.SHUTDOWN)
        self._guilds[work.guild_id] += 1
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
        self._guilds[work.guild_id] -= 1
        if self._guilds[work.guild_id] <= 0:
            del self._guilds[work.guild_id]
        if self._claiming:
            self.ring()

    async def _record(self, work: Work, outcome: Outcome) -> None:
        now = self._clock.now()
        command = Command(UUID(work.task_id), lambda task: _close(task, work.attempt, outcome, now))
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
        now, attempt, node = self._clock.now(), work.attempt, self.node.name

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
            active.task.cancel()
            given_up.append(active.task)
        return given_up

    # --- other processes ---

    async def _poll(self) -> None:
        token = await asyncio.to_thread(self._log.last_foreign_change)
        if token != self._foreign:
            self._foreign = token
            if await self._writer.catch_up():
                self._held.clear()
                self.ring()

    async def _beat(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            dead = await loop.run_in_executor(self._beats, self._presence.beat, self.node.name, self._clock.now())
        except StoreError:
            # Fenced: others may have taken over already. Whatever is under way must not send any more.
            _log.exception("this node lost its lease and stops sending")
            self._claiming = False
            self._give_up(self._active.values(), InterruptionReason.LEASE_LOST)
            return
        if dead:
            await self.recover(dead)
            self.ring()


def _work(task: ScheduledTask, attempt: Attempt) -> Work:
    return Work(str(task.id), task.definition, task.destinations, attempt)


def _close(task: ScheduledTask, attempt: Attempt, outcome: Outcome, now: datetime) -> None:
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
            )
