"""Random lives of tasks on the real log, writer and read model, held against a plain model after every step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from application.ports import Command
from application.projections import project
from application.rows import TABLES, RowsInMemory, RunRow, TaskRow
from domain.definition import CatchUp, OverlapPolicy
from domain.destination import DeliveryStatus
from domain.draft import revised
from domain.errors import DaybookError, NotDue, StaleAttempt, TaskEnded
from domain.event import epoch_microseconds as us
from domain.runs import Attempt, TaskStatus
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason, SkipReason, Started, TaskEvent
from domain.task_snapshot import snapshot_of
from infrastructure import stream_cache
from infrastructure.read_model import SqliteReadModel
from tests.domain.task_parts import DEADLINE, file_to, outcome
from tests.doubles import HandClock
from tests.infrastructure.store_parts import Store
from tests.properties.slot_model import TaskModel

NAMESPACE = UUID("5b6a3c1e-6a55-4f0c-9d2b-2f7c41c0a111")
BEGIN = datetime(2026, 3, 6, 22, 10, tzinfo=UTC)
"""Two days before the clocks of New York change."""

NODES = st.sampled_from(["n1", "n2", "n3"])
SCHEDULES: list[dict[str, Any]] = [
    {"schedule_type": "hourly"},
    {"schedule_type": "interval", "interval": timedelta(minutes=20)},
    {"schedule_type": "interval", "interval": timedelta(hours=7, seconds=1)},
    {"schedule_type": "daily", "schedule_time": "02:30", "timezone": "America/New_York"},
    {"schedule_type": "weekly", "schedule_days": [0, 6], "schedule_time": "01:30", "timezone": "Europe/Berlin"},
    {"schedule_type": "custom", "cron_expression": "*/45 1-3,22 * * *", "timezone": "America/New_York"},
    {"schedule_type": "monthly", "day_of_month": 31},
    {"schedule_type": "once", "next_run": BEGIN + timedelta(days=3)},
]
DEFINITIONS = st.fixed_dictionaries(
    {
        "overlap": st.sampled_from(OverlapPolicy),
        "catch_up": st.sampled_from(CatchUp),
        "catch_up_window_seconds": st.sampled_from([0, 3600, 86_400]),
        "max_failures": st.sampled_from([1, 2, 3]),
        "max_runs": st.sampled_from([None, None, 1, 3]),
        "retry_delay_minutes": st.sampled_from([0, 5, 60]),
    }
)
STEPS = st.sampled_from(
    [timedelta(seconds=s) for s in (1, 59, 301, 1200, 3600, 5 * 3600, 86_400, 9 * 86_400, -1, -301, -7200, -86_400)]
)
FORWARD = [timedelta(minutes=m) for m in (1, 5, 20, 47, 60, 190, 1440, 4000)]
PICK = st.integers(0, 1_000_000)


class TaskMachine(RuleBasedStateMachine):
    """Commands of people and nodes, clocks that jump, processes that end, on up to four tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.clock = HandClock(BEGIN)
        self.store = Store(self.path)
        self.companion: Store | None = None
        self.models: dict[UUID, TaskModel] = {}
        self.open: list[tuple[UUID, Attempt]] = []
        self.rows = RowsInMemory()
        self.position = self.requests = 0

    def teardown(self) -> None:
        self._check_rebuilt()
        if self.companion is not None:
            self.companion.close()
        self.store.close()
        self.folder.cleanup()

    # --- people ---

    @initialize(schedule=st.sampled_from(SCHEDULES), policies=DEFINITIONS, places=st.integers(0, 2))
    def begin(self, schedule: dict[str, Any], policies: dict[str, Any], places: int) -> None:
        """There is one task at least."""
        self._create(schedule, policies, places)

    @precondition(lambda self: len(self.models) < 4)
    @rule(schedule=st.sampled_from(SCHEDULES), policies=DEFINITIONS, places=st.integers(0, 2))
    def create(self, schedule: dict[str, Any], policies: dict[str, Any], places: int) -> None:
        """Another task."""
        self._create(schedule, policies, places)

    def _create(self, schedule: dict[str, Any], policies: dict[str, Any], places: int) -> None:
        fields: dict[str, Any] = {"task_type": "custom", "operation": "noop"}
        if places:
            fields = {"channel_id": "7", "destinations": file_to(*"ab"[:places])}
        task_id = uuid5(NAMESPACE, str(len(self.models)))
        now = self.clock.now()
        task = ScheduledTask(id=task_id, now=now, name="t", guild_id="1", **fields, **schedule, **policies)
        if task.next_slot is None:
            return  # scheduling refuses what is never due
        self.store.put(task)
        self.models[task_id] = TaskModel(task.definition, now)

    def _command(self, pick: int, verb: Callable[[ScheduledTask], Any]) -> Any:
        """One command on a task; a refused one must not write anything."""
        task_id = list(self.models)[pick % len(self.models)]
        position = self.store.log.last_position()
        try:
            return self.store.do(task_id, verb)
        except DaybookError as error:
            assert self.store.log.last_position() == position, "a refused command writes nothing"
            return error

    @rule(pick=PICK, until=st.sampled_from([None, timedelta(hours=1), timedelta(days=2)]))
    def pause(self, pick: int, until: timedelta | None) -> None:
        """A pause, for good or for a while."""
        now = self.clock.now()
        self._command(pick, lambda task: task.pause(now=now, by="p", until=now + until if until else None))

    @rule(pick=PICK, catch_up=st.booleans())
    def resume(self, pick: int, catch_up: bool) -> None:
        """Go on."""
        now = self.clock.now()
        self._command(pick, lambda task: task.resume(now=now, by="p", catch_up=catch_up))

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        """The end; not of the first task, so that there is always something to see."""
        now = self.clock.now()
        if len(self.models) > 1:
            self._command(1 + pick % (len(self.models) - 1), lambda task: task.cancel(now=now, by="p"))

    @rule(pick=PICK)
    def request_run(self, pick: int) -> None:
        """Somebody wants a run now."""
        now = self.clock.now()
        self.requests += 1
        self._command(pick, lambda task: task.request_run(f"r{self.requests}", now=now, by="p"))

    @rule(pick=PICK, count=st.integers(1, 3))
    def skip_next(self, pick: int, count: int) -> None:
        """Leave out some slots."""
        now = self.clock.now()
        self._command(pick, lambda task: task.request_skip(count, now=now, by="p"))

    @rule(pick=PICK, schedule=st.sampled_from([None, *SCHEDULES]), policies=DEFINITIONS)
    def revise(self, pick: int, schedule: dict[str, Any] | None, policies: dict[str, Any]) -> None:
        """Another schedule, or other policies. How often it may fail and run only grows."""
        now = self.clock.now()

        def verb(task: ScheduledTask) -> None:
            old = task.definition
            changes = {**policies, **(schedule or {}), "max_failures": max(old.max_failures, policies["max_failures"])}
            del changes["max_runs"]
            task.revise(revised(old, changes, now=now), now=now, by="p")

        self._command(pick, verb)

    # --- nodes ---

    @rule(node=NODES)
    def ring(self, node: str) -> None:
        """What the timer's ring leads to: everything that is due is claimed, until nothing is."""
        for _ in range(100):
            due = self.store.rows.due(us(self.clock.now()), 100)
            if not due:
                return
            for task_id, _, _ in due:
                outcome = self._claim(UUID(task_id), node)
                assert not isinstance(outcome, BaseException), outcome
        raise AssertionError("claiming comes to no end")

    def _claim(self, task_id: UUID, node: str) -> Any:
        now = self.clock.now()
        [result] = self.store.writer.execute_now(
            [Command(task_id, lambda task: task.claim(now=now, node=node, deadline=DEADLINE))]
        )
        self._note(task_id, result)
        return result

    def _note(self, task_id: UUID, result: Any) -> None:
        if isinstance(result, Attempt):
            self.open = [(t, a) for t, a in self.open if a.run not in result.gives_up]
            self.open.append((task_id, result))

    @rule(pick=PICK)
    def claim_by_all(self, pick: int) -> None:
        """All nodes want the same task at once: each attempt goes to one of them."""
        task_id = list(self.models)[pick % len(self.models)]
        now = self.clock.now()

        def claimed(node: str) -> Command:
            return Command(task_id, lambda task: task.claim(now=now, node=node, deadline=DEADLINE))

        results = self.store.writer.execute_now([claimed(node) for node in ("n1", "n2", "n3")])
        attempts = [(r.run, r.attempt) for r in results if isinstance(r, Attempt)]
        assert len(set(attempts)) == len(attempts)
        for result in results:
            assert result is None or isinstance(result, Attempt | NotDue), result
            self._note(task_id, result)

    def _close(self, pick: int, verb: Callable[[ScheduledTask, Attempt], Any]) -> None:
        if not self.open:
            return
        task_id, attempt = self.open.pop(pick % len(self.open))
        try:
            self.store.do(task_id, lambda task: verb(task, attempt))
        except StaleAttempt:
            assert attempt.run not in self.store.replayed(task_id).open_runs

    @rule(
        pick=PICK, statuses=st.lists(st.tuples(st.sampled_from(DeliveryStatus), st.booleans()), min_size=2, max_size=2)
    )
    def conclude(self, pick: int, statuses: list[tuple[DeliveryStatus, bool]]) -> None:
        """The work is done; each delivery came to something."""
        now = self.clock.now()

        def verb(task: ScheduledTask, attempt: Attempt) -> None:
            left = [d for d in task.destinations if d.key not in attempt.delivered]
            results = [outcome(d, s, permanent=p, now=now) for d, (s, p) in zip(left, statuses, strict=False)]
            task.conclude(attempt.run, attempt.attempt, attempt.owner, now=now, outcomes=results)

        self._close(pick, verb)

    @precondition(lambda self: self.open)
    @rule(pick=PICK)
    def send(self, pick: int) -> None:
        """The intent to send is written down; only the owner of an open attempt of a task that goes on may."""
        task_id, attempt = self.open[pick % len(self.open)]
        now = self.clock.now()

        def verb(task: ScheduledTask) -> None:
            keys = [d.key for d in task.destinations] or ["none"]
            task.start_delivery(attempt.run, attempt.attempt, attempt.owner, now=now, destinations=keys)

        try:
            self.store.do(task_id, verb)
        except (StaleAttempt, TaskEnded):
            task = self.store.replayed(task_id)
            assert attempt.run not in task.open_runs or task.status is TaskStatus.CANCELLED

    @rule(pick=PICK, permanent=st.booleans(), wait=st.sampled_from([0, 1e9]))
    def fail(self, pick: int, permanent: bool, wait: float) -> None:
        """The work failed."""
        now = self.clock.now()
        self._close(
            pick,
            lambda task, a: task.fail(
                a.run,
                a.attempt,
                a.owner,
                now=now,
                what="source",
                error="x\ud800",
                permanent=permanent,
                retry_after_seconds=wait,
            ),
        )

    @rule(pick=PICK)
    def quiet(self, pick: int) -> None:
        """There was nothing to do."""
        now = self.clock.now()
        self._close(pick, lambda task, a: task.skip_run(a.run, a.attempt, a.owner, now=now, reason=SkipReason.QUIET))

    @rule(pick=PICK, cause=st.sampled_from(InterruptionReason))
    def interrupt(self, pick: int, cause: InterruptionReason) -> None:
        """The process ended under it."""
        now = self.clock.now()
        self._close(
            pick, lambda task, a: task.interrupt(a.run, a.attempt, a.owner, now=now, cause=cause, noticed_by="n9")
        )

    @precondition(lambda self: self.open)
    @rule(pick=PICK)
    def close_as_somebody_else(self, pick: int) -> None:
        """A node that is not the owner, and one that comes with an old attempt, are refused."""
        task_id, attempt = self.open[pick % len(self.open)]
        now, position = self.clock.now(), self.store.log.last_position()
        for number, owner in ((attempt.attempt, "n7"), (attempt.attempt + 1, attempt.owner)):
            with pytest.raises(StaleAttempt):
                self.store.do(
                    task_id,
                    lambda task, n=number, o=owner: task.conclude(attempt.run, n, o, now=now),  # type: ignore[misc]
                )
        assert self.store.log.last_position() == position

    # --- time and processes ---

    @rule(step=STEPS)
    def move_clock(self, step: timedelta) -> None:
        """Time passes, or jumps."""
        self.clock.move(step)

    @rule(
        steps=st.lists(
            st.tuples(
                st.sampled_from(FORWARD), NODES, st.sampled_from(["done", "fail", "quiet", "crash", "open"]), PICK
            ),
            min_size=2,
            max_size=8,
        )
    )
    def serve(self, steps: list[tuple[timedelta, str, str, int]]) -> None:
        """A stretch of ordinary service: time passes, what is due is claimed, and runs end in one way or another."""
        for step, node, end, pick in steps:
            self.clock.move(step)
            self.ring(node)
            self.everything_agrees()
            if end == "done":
                self.conclude(pick, [(DeliveryStatus.DELIVERED, False), (DeliveryStatus.DELIVERED, False)])
            elif end == "fail":
                self.fail(pick, pick % 3 == 0, 0)
            elif end == "quiet":
                self.quiet(pick)
            elif end == "crash":
                self.interrupt(pick, InterruptionReason.CRASH)
            self.everything_agrees()

    @rule()
    def restart(self) -> None:
        """The process ends and another one begins."""
        self.store.close()
        self.store = Store(self.path)

    @rule(pick=PICK)
    def pause_elsewhere(self, pick: int) -> None:
        """Another process pauses or resumes a task; this one learns of it from a conflict, or later."""
        now = self.clock.now()
        self.companion = self.companion or Store(self.path, companion=True)
        task_id = list(self.models)[pick % len(self.models)]

        def toggle(task: ScheduledTask) -> None:
            if task.is_active:
                task.pause(now=now, by="elsewhere")
            else:
                task.resume(now=now, by="elsewhere")

        self.companion.writer.execute_now([Command(task_id, toggle)])
        if pick % 2:
            self._command(pick, lambda task: task.request_run(f"x{pick}-{self.position}", now=now, by="p"))
        self.store.see_others()

    @rule()
    def rebuild(self) -> None:
        """The rows are made anew from the log."""
        before = self.store.rows.dump()
        self.store.rows.reset()
        self.store.rows.catch_up(self.store.log)
        assert self.store.rows.dump() == before

    # --- what always holds ---

    @invariant()
    def everything_agrees(self) -> None:
        """Events, memory, snapshots, rows and the plain model say the same."""
        for position, event in self.store.log.read(self.position, 1_000_000):
            assert isinstance(event, TaskEvent), event
            model = self.models[event.originator_id]
            if isinstance(event, Started) and event.slot is not None:
                model.know_slot_run(event.run)
            model.see(event)
            project(event, self.rows)
            self.position = position
        live = self.store.rows.dump()
        assert live == _dumped(self.rows)
        assert self.store.rows.faults() == []
        for task_id, model in self.models.items():
            self._check_task(task_id, model)

    def _check_task(self, task_id: UUID, model: TaskModel) -> None:
        task = self.store.replayed(task_id)
        value = snapshot_of(task, fingerprint="")
        if (cached := self.store.cached(task_id)) is not None:
            assert snapshot_of(cached, fingerprint="") == value
            assert cached.pending_events == []
        loaded = self.store.log.load([task_id])[task_id]
        if loaded.snapshot is not None:
            resumed = loaded.snapshot.restore()
            for _, event in loaded.events:
                resumed = event.mutate(resumed)
            assert snapshot_of(resumed, fingerprint="") == value
        row = self.store.rows.get(TaskRow, str(task_id))
        since, told, due = task.incident
        waits = due or ("run_failed" if task.untold else None)
        shown = (None if since is None else us(since), int(told), waits)
        assert (row.incident_since, row.incident_told, row.notice_due) == shown
        assert row.untold.split() == list(task.untold)
        attention = task.attention_at
        assert row.due_at == (None if attention is None else us(attention))
        assert row.version == task.version
        assert (row.status, row.consecutive_failures) == (model.status, model.failures)
        assert (task.status, task.consecutive_failures) == (model.status, model.failures)
        runs = [r for r in self.rows.tables.get(RunRow, {}).values() if isinstance(r, RunRow)]
        mine = [r for r in runs if r.task_id == str(task_id)]
        model.check_slots(task.accounted_until, mine, self.store.rows.skips(str(task_id), 100_000))
        self._check_sums(row, task, model, mine)

    def _check_sums(self, row: TaskRow, task: ScheduledTask, model: TaskModel, runs: list[RunRow]) -> None:
        counts, open_runs = model.counts, len(task.open_runs)
        assert row.slots_started == task.slots_started == len(model.started)
        assert row.slots_skipped == counts["skipped_slots"]
        assert (row.executed, row.failed, row.skipped) == (
            counts["executed"],
            counts["failed"],
            counts["skipped_runs"],
        )
        assert row.slots_started + counts["requested"] == row.executed + row.failed + row.skipped + open_runs
        assert len(runs) == row.slots_started + counts["requested"]
        assert (row.attempts, row.failed_attempts) == (counts["attempts"], counts["failed_attempts"])
        assert row.interruptions == counts["interruptions"]
        running = {(r.run, r.attempt) for r in task.open_runs.values() if r.owner is not None}
        assert running == model.open_attempts
        if task.is_active:
            assert task.consecutive_failures < task.definition.max_failures
            assert task.next_slot is not None or task.open_runs, "a task that is over is completed"

    def _check_rebuilt(self) -> None:
        rebuilt = SqliteReadModel(self.path / "rebuilt.db")
        rebuilt.catch_up(self.store.log)
        assert rebuilt.dump() == self.store.rows.dump()
        rebuilt.close()


def _dumped(rows: RowsInMemory) -> dict[str, list[tuple[Any, ...]]]:
    return {
        kind.table: sorted(
            (tuple(getattr(row, name) for name in kind.__slots__) for row in rows.tables.get(kind, {}).values()),
            key=repr,
        )
        for kind in TABLES
    }


def test_a_random_life_of_tasks_adds_up_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """State, snapshot and tail, live rows and rebuilt rows agree, and every slot is accounted for once."""
    monkeypatch.setattr(stream_cache, "SNAPSHOT_EVENTS", 4)
    monkeypatch.setattr(stream_cache, "CACHED_STREAMS", 2)
    thorough = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
    run_state_machine_as_test(
        TaskMachine,
        settings=settings(
            max_examples=400 if thorough else 50,
            stateful_step_count=60 if thorough else 40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
