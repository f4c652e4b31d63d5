"""From due to done: claims what is due as far as there are free places, has it performed, and records how it ended.

A ring of the timer is a hint. What is due is asked of the read model and decided anew from the log by every claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from application.allowance import Allowance
from application.changes import gathered
from application.executor import Executor
from application.limits import Limits
from application.node_record import NodeIdentity, NodeRecord
from application.notices import Notices
from application.ports import Change, Clock, Command, Exclusions, Log, Presence, ReadModel, Timer, Writer
from application.reading_ahead import ReadingAhead
from application.recovery import Recovery
from application.runner import Runner
from application.work import TaskExecutionResult, Work, work_of
from domain.errors import EventUnreadable, LeaseLost, NotDue, StoreError
from domain.event import epoch_microseconds, from_epoch_microseconds
from domain.identity import id_of
from domain.schedule import rules_fingerprint
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason

__all__ = ["Dispatcher"]

CHECK_SECONDS = 30
"""The clock may have jumped, or the machine slept: what is due is looked at this often at least."""

POLL_SECONDS = 0.5
"""How soon the commits of other processes are seen."""

BEAT_SECONDS = 5

LEASE_SECONDS = 10
"""A node that could not say so for this long must expect that others count it as dead."""

CLAIM_BATCH = 500

AHEAD_SECONDS = 1.0
"""What was looked up while the claims before it were decided holds for so long."""

WARM_SECONDS = 5
"""How often tasks that are due soon are read into memory."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Ahead(NamedTuple):
    """What was found ``due`` (task, guild, instant) when the rows stood at the position ``seen``."""

    at: float
    seen: int
    due: list[tuple[str, str, int]]


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
        notices: Notices,
        node: NodeIdentity,
        limits: Limits,
        allowance: Allowance,
    ) -> None:
        # What is due is looked at with every change: it never waits for rows, nor keeps the loop waiting.
        self._writer, self._rows, self._log, self._timer = writer, read_model.lagging(), log, timer
        self._clock, self._presence = clock, presence
        self.node, self.limits, self._allowance = node, limits, allowance
        self._record = NodeRecord(writer)
        self._recovery = Recovery(
            writer=writer, read_model=read_model, log=log, presence=presence, clock=clock, node=node.name
        )
        self.runner = Runner(writer=writer, read_model=read_model, executor=executor, clock=clock, node=node.name)
        self.runner.beyond = allowance.beyond
        self.runner.ended, self.runner.may_begin = self._ended, lambda: not self.fenced
        self._recovery.aside = self._on_pulse
        self._reading_ahead = ReadingAhead(
            writer=writer, rows=self._rows, clock=clock, aside=self._on_pulse, wanted=lambda: self._claiming
        )
        self.notices = notices
        # Tasks whose rows are not to be believed before they have followed to this position.
        self._held: dict[str, int] = {}
        self._shown = 0
        self._broken: set[str] = set()
        self._told: dict[str, str] = {}
        self._armed: int | None = None
        self.fenced = False
        self._pulse = ThreadPoolExecutor(2, thread_name_prefix="daybook-pulse")
        self._last_beat = monotonic()
        self._lives = 1
        self._closed = self._beating = False
        self._claiming = False
        self._ahead: _Ahead | None = None
        self._pump: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._again = False
        self._foreign: object = None
        self._others = 0
        self.running = False
        self.listeners: list[Callable[[], None]] = []

    # --- life ---

    async def recover(self, found_dead: Sequence[tuple[str, datetime]]) -> None:
        """Write down which nodes died, and make what they held due again. The presence has been joined before."""
        await self._recovery.recover(found_dead, self.runner.doing)

    async def start(self) -> None:
        """Plan again under new rules, announce this node, and begin to claim. What the dead left was recovered."""
        now = self._clock.now()
        self._foreign = self._log.last_foreign_change()
        await self._writer.catch_up()
        previous = self._rows.nodes(limit=1)
        if previous and previous[0].rules != rules_fingerprint():
            await self._recovery.replan(now)  # before it says that it has these rules: a process may die in between
        self._last_beat = monotonic()
        await self._beat()  # the lease may have run out since the stores were opened
        await self._record.began(self.node, self.runner.operations, now)
        self.running, self._claiming = True, not self.fenced
        self._timer.every("check", CHECK_SECONDS, self._check)
        self._timer.every("poll", POLL_SECONDS, self._poll)
        self._timer.every("beat", BEAT_SECONDS, self._beat)
        self._timer.every("warm", WARM_SECONDS, self._warm)
        self._timer.start()
        self.ring()
        if self._claiming:
            self.notices.ring()
        self._warming = asyncio.get_running_loop().create_task(self._reading_ahead.read(), name="daybook-warm")

    def notifier(self) -> Callable[[Change], None]:
        """What is called from any thread after rows followed: wakes this loop once for any number of commits."""
        return gathered(self.changed)

    @property
    def active_runs(self) -> int:
        """How many runs this process is doing."""
        return len(self.runner)

    async def stop(self) -> None:
        """Stop claiming, let runs end for a while, interrupt the rest, and say goodbye. Idempotent."""
        was_running, self.running, self._claiming = self.running, False, False
        if under_way := [task for task in (self._pump, self._warming) if task is not None]:
            await asyncio.wait(under_way)
        try:  # others would take its runs over if it did not beat meanwhile
            interrupted = await self.runner.drain(self.limits.drain)
        finally:
            self._timer.stop()
        await self.notices.close()
        with suppress(TimeoutError):  # a poll that is under way needs the stores; one that hangs is left behind
            await asyncio.wait_for(self._timer.done(), BEAT_SECONDS)
        if was_running:
            await self._record.ended(self.node, interrupted, self._clock.now())
        self._pulse.shutdown(wait=False)
        self._closed = True

    def interrupt(self) -> None:
        """Give up at once what this process is doing; it is recorded as interrupted. For a stop that cannot wait."""
        self.runner.interrupt()

    # --- claiming ---

    def ring(self) -> None:
        """Look at what is due. Cheap to call often: rings that come while it looks are one more look."""
        self._again = True
        if self._claiming and (self._pump is None or self._pump.done()):
            self._pump = asyncio.get_running_loop().create_task(self._claim_all(), name="daybook-claim")

    def changed(self, change: Change) -> None:
        """Rows followed: arm the timer, if it would ring later than the first of these tasks is due.

        It may ring when there is nothing to do (any more); then it is armed anew.
        """
        if self._closed:
            return
        self._shown, due = change.position, change.due
        self._held = {task_id: until for task_id, until in self._held.items() if until > self._shown}
        if self._claiming:
            self.notices.ring()
        sooner = due is not None and (self._armed is None or due < self._armed)
        if sooner and self._claiming and (self._pump is None or self._pump.done()):  # it arms when it has claimed
            self._arm()
        for listener in self.listeners:
            listener()

    async def _claim_all(self) -> None:
        while self._again:
            self._again = False
            try:
                await self._record.knows(self.node, self.runner.operations, self._clock.now())
                while await self._claim_some():
                    pass
            except StoreError:
                _log.exception("claiming failed; it is tried again at the next check")
        self._arm()

    async def _claim_some(self) -> bool:
        """Claim one batch; says whether there may be more."""
        free = self.limits.runs - self.runner.places
        if free <= 0 or not self._claiming:
            return False
        now = self._clock.now()
        seen, due = self._due(now, min(free, CLAIM_BATCH))
        if not due:
            return False
        if len(due) == CLAIM_BATCH:
            # There may be more. Timers run behind what was called soon, as handing these claims over will be.
            asyncio.get_running_loop().call_later(0, self._look_ahead, [task_id for task_id, _, _ in due])
        used_up = self._allowance.used_up((guild_id for _, guild_id, _ in due), now)
        claims = [self._claim(id_of(task_id), guild_id, now, used_up.get(guild_id)) for task_id, guild_id, _ in due]
        outcomes = await self._writer.execute_many(claims)
        written, claimed = self._writer.position, []
        for (task_id, _, _), outcome in zip(due, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                self._not_claimed(task_id, outcome, seen)
                continue
            if written > self._shown:  # its row still says due
                self._held[task_id] = written
            if outcome is not None:
                claimed.append(outcome)
        self.runner.begin(claimed)
        return True

    def _due(self, now: datetime, limit: int) -> tuple[int, list[tuple[str, str, int]]]:
        """What is due and may begin, the longest due first; and the position that the rows stood at when they said so.

        Every claim is decided anew from the log: what has changed since is refused.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and monotonic() - ahead.at < AHEAD_SECONDS:
            due = self._within_guild_limits(ahead.due[:limit])
            if due:
                return ahead.seen, due
        seen, exclude = self._shown, self._exclusions(self._record.operations)
        return seen, self._within_guild_limits(self._rows.due(epoch_microseconds(now), limit, exclude))

    def _look_ahead(self, asked: Sequence[str]) -> None:
        """Look up what comes behind these claims while they are decided: this loop has nothing else to do then."""
        if self._claiming:
            now, exclude = epoch_microseconds(self._clock.now()), self._exclusions(self._record.operations, asked)
            with suppress(StoreError):  # whoever claims next will look, and tell
                self._ahead = _Ahead(monotonic(), self._shown, self._rows.due(now, CLAIM_BATCH, exclude))

    def _claim(self, task_id: UUID, guild_id: str, now: datetime, no_more_because: str | None) -> Command:
        deadline, node = self.limits.attempt_deadline, self.node.name

        def decide(task: ScheduledTask) -> Work | None:
            attempt = task.claim(now=now, node=node, deadline=deadline, no_more_because=no_more_because)
            return work_of(task, attempt) if attempt is not None else None

        return Command(task_id, decide, awaited=False)

    def _not_claimed(self, task_id: str, error: BaseException, seen: int) -> None:
        # The row said due and the log does not. Where rows have followed since, look again; else not before they do.
        if isinstance(error, NotDue):
            if self._shown == seen:
                self._held[task_id] = max(self._writer.position, seen + 1)
            return
        self._broken.add(task_id)
        if isinstance(error, EventUnreadable):
            if self._told.get(task_id) != str(error):  # it is tried again at every check, and said once
                self._told[task_id] = str(error)
                _log.error("task %s is left alone, its history cannot be read: %s", task_id, error)
        else:
            _log.error("task %s could not be claimed: %r", task_id, error)

    def _exclusions(self, operations: Sequence[str], asked: Sequence[str] = ()) -> Exclusions:
        full = [guild for guild, count in self.runner.guilds.items() if count >= self.limits.runs_per_guild]
        return Exclusions(tasks=(*self._held, *self._broken, *asked), guilds=full, operations=operations)

    def _within_guild_limits(self, due: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
        taken = Counter(self.runner.guilds)
        chosen = []
        for row in due:
            taken[row[1]] += 1
            if taken[row[1]] <= self.limits.runs_per_guild:
                chosen.append(row)
        return chosen

    def _arm(self) -> None:
        if not self.running:
            return
        full = self.runner.places >= self.limits.runs
        known = self._record.expected(self.runner.operations)
        self._armed = due = None if full else self._rows.next_due(self._exclusions(known))
        self._timer.wake_at(None if due is None else from_epoch_microseconds(due), self._wake)

    def _ended(self) -> None:
        if self._claiming:
            self.ring()

    async def _wake(self) -> None:
        self.ring()

    async def _check(self) -> None:
        self._held.clear()
        self._broken.clear()
        at_rest = self._claiming and (self._pump is None or self._pump.done())
        self.ring()
        if self._claiming:
            self.notices.ring()
        if not self.runner.draining:  # which records again at its end
            await self.runner.record_again()
        if at_rest:
            await self._recovery.heal(lambda: self.runner.doing)

    async def _warm(self) -> None:
        at_rest = self._pump is None or self._pump.done()  # else what is due now goes first
        if at_rest and (self._warming is None or self._warming.done()):
            await self._reading_ahead.read()

    # --- on request ---

    async def run_request(
        self, task_id: UUID, request: Callable[[ScheduledTask], str]
    ) -> asyncio.Future[TaskExecutionResult]:
        """Record a request for a run, claim it at once, and return the future of its result.

        Raises LeaseLost where others take this process for dead, or it works beside the one that holds the store.
        """
        if self.fenced:
            cure = "ask again in a moment" if self.running else "stop it, and open it again"
            raise LeaseLost(f"others take node {self.node.name} for dead; {cure}")
        if not self.running and not self.runner.draining:
            await self._keep_lease()
        return await self.runner.run_request(task_id, request, self.limits.attempt_deadline)

    async def _keep_lease(self) -> None:
        """A run on request may take longer than a lease, also where nothing is claimed."""
        try:
            dead = await self._on_pulse(self._presence.beat, self.node.name, self._clock.now())
        except LeaseLost as error:
            cure = "stop this scheduler and open it again, or leave the run to who holds the store (request_run)"
            raise LeaseLost(f"no run can be done here: {error}; {cure}") from error
        self._last_beat = monotonic()
        if not self._beating and not self.runner.draining:
            self._beating = True
            self._timer.every("beat", BEAT_SECONDS, self._beat)
            self._timer.start()
        await self._take_over(dead)

    @contextmanager
    def answering(self, run: str) -> Iterator[None]:
        """While somebody waits for a run and will be told what came of it: people of the guild are not told as well."""
        self.notices.answering.add(run)
        try:
            yield
        finally:
            self.notices.answering.discard(run)
            if self._claiming:
                self.notices.ring()

    # --- other processes ---

    async def _poll(self) -> None:
        token = await self._on_pulse(self._log.last_foreign_change)
        if token != self._foreign:
            self._foreign = token
            await self._writer.catch_up()
            if (others := self._writer.others) != self._others:  # this process's own commits are most that it sees
                self._others = others
                self.runner.abandon_unwanted()
                self._held.clear()
                self.ring()

    async def _beat(self) -> None:
        try:
            if self.fenced:
                if self.running:
                    await self._rejoin()
                return
            dead = await self._on_pulse(self._presence.beat, self.node.name, self._clock.now())
        except LeaseLost:
            self._fence("its lease is lost")
        except StoreError as error:
            _log.error("this node could not say that it is alive: %s", error)
            if monotonic() - self._last_beat >= LEASE_SECONDS:
                self._fence("nobody has heard of it for longer than its lease")
        else:
            self._last_beat = monotonic()
            await self._take_over(dead)

    async def _take_over(self, dead: Sequence[tuple[str, datetime]]) -> None:
        if dead:
            try:
                await self.recover(dead)
            except StoreError:
                _log.exception("what dead nodes left is looked for again at the next check")
            self.ring()

    def _fence(self, reason: str) -> None:
        """Others may have taken over already: whatever is under way must not send any more."""
        if not self.fenced:
            _log.error("this node stops sending: %s; it joins again as soon as it can", reason)
            self.fenced, self._claiming = True, False
            self.runner.interrupt(InterruptionReason.LEASE_LOST)

    async def _rejoin(self) -> None:
        """Come back under a new name; what the old name held is taken over like a dead node's."""
        old = self.node
        self._lives += 1
        self.node = replace(old, name=f"{old.name.partition('~')[0]}~{self._lives}")
        now = self._clock.now()
        await self._on_pulse(self._presence.leave, old.name)
        try:
            found = await self._on_pulse(self._presence.join, self.node.name, now)
        except StoreError:
            self.node = old
            raise
        await self._writer.catch_up()
        await self._record.began(self.node, self.runner.operations, now)
        self.runner.node = self._recovery.node = self.node.name
        await self.recover([(old.name, now), *found])
        self._last_beat, self.fenced, self._claiming = monotonic(), False, self.running
        _log.warning("this node is back, as %s", self.node.name)
        self.ring()

    async def _on_pulse(self, call: Callable[..., T], *arguments: Any) -> T:
        """A blocking call on threads of our own: the common ones may all be busy for longer than a lease lasts."""
        return await asyncio.get_running_loop().run_in_executor(self._pulse, call, *arguments)
