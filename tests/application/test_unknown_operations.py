"""Custom tasks whose operation no process knows, through the real stores: nobody claims them, and why says so."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application.audit import Audit
from application.evidence import Explanation, Reason
from daybook import ScheduledTask, TaskExecutor, TaskPersistence, TaskScheduler, TaskType
from domain.errors import OperationUnknown
from domain.node import NodeLearned, NodeStarted, node_stream
from domain.task_events import Started
from tests.doubles import EARLY, HandClock, HandTimer
from tests.e2e.evidence import all_events
from tests.e2e.machine import until

HOUR = timedelta(hours=1)


async def nothing(run: Any) -> None:
    """A handler that does nothing."""


class Node:
    """A service of which the test sets the clock and knows the operations."""

    def __init__(self, folder: Path, clock: HandClock, *operations: str) -> None:
        self.clock, self.timer = clock, HandTimer(clock)
        executor = TaskExecutor()
        for operation in operations:
            executor.register_operation(operation, nothing)
        persistence = TaskPersistence(folder, environment={})
        self.scheduler = TaskScheduler(executor, persistence, clock=clock, timer=self.timer)

    async def look(self) -> None:
        """Look at what is due, and do it."""
        dispatcher = self.scheduler.dispatcher
        dispatcher.ring()
        assert dispatcher._pump is not None
        await asyncio.wait_for(dispatcher._pump, 30)
        await until(lambda: not dispatcher.active_runs)

    def why(self, task_id: str, hour: int) -> Explanation:
        """Why it did, or did not, run at this hour."""
        scheduler = self.scheduler
        return Audit(scheduler.queries, scheduler.stores.log, self.clock).why(task_id, EARLY.replace(hour=hour))


def task(**fields: Any) -> ScheduledTask:
    """An hourly task that runs ``report``."""
    known: dict[str, Any] = {"name": "a", "guild_id": "1", "task_type": TaskType.CUSTOM, "operation": "report"}
    return ScheduledTask(now=EARLY, **known, schedule_type="hourly", **fields)


async def test_a_process_says_which_operations_it_knows_when_it_starts(tmp_path: Path) -> None:
    """Those of the host and those of Daybook."""
    node = Node(tmp_path, HandClock(EARLY), "zip", "a")
    await node.scheduler.start()
    [(_, started)] = node.scheduler.stores.log.stream(node_stream(node.scheduler.node))
    assert isinstance(started, NodeStarted)
    assert started.operations == ("a", "publish-head", "zip")
    await node.scheduler.stop()


async def test_a_slot_that_no_process_could_serve_is_explained_until_one_knows_the_operation(tmp_path: Path) -> None:
    """While it is due, and afterwards: what was missed, and what ran late."""
    clock = HandClock(EARLY)
    first = Node(tmp_path, clock, "other")
    await first.scheduler.start()
    name = first.scheduler.node
    task_id = await first.scheduler.schedule_task(task())
    clock.move(3 * HOUR + timedelta(minutes=5))
    await first.look()
    found = first.why(task_id, EARLY.hour + 1)
    assert found.reason is Reason.OPERATION_UNKNOWN
    assert f"no process that was up knew the operation report [{name}, up from" in found.answer
    assert found.answer.endswith("knew other, publish-head]")
    assert found.fate is not None
    assert found.fate.pending
    await first.scheduler.stop()

    clock.move(timedelta(minutes=10))
    second = Node(tmp_path, clock, "report")
    await second.scheduler.open()
    asked = second.why(task_id, EARLY.hour + 1)
    assert asked.reason is Reason.OPERATION_UNKNOWN
    assert asked.answer.endswith("and none has started since")
    clock.move(timedelta(minutes=10))
    await second.scheduler.start()
    await second.look()
    missed, ran = (second.why(task_id, EARLY.hour + hour) for hour in (1, 3))
    assert (missed.reason, ran.reason) == (Reason.COALESCED, Reason.EXECUTED)
    for each in (missed, ran):
        assert f"no process that was up knew the operation report before {clock.now():%Y-%m-%d %H:%M}" in each.answer
        assert {f"process {name} knew other, publish-head", f"process {name} ended"} <= {e.words for e in each.evidence}
        assert any(e.words == f"process {second.scheduler.node} knew report" for e in each.evidence)
    await second.scheduler.stop()


async def test_an_operation_that_is_registered_late_is_written_down_before_its_first_run(tmp_path: Path) -> None:
    """So that nobody is told later that no process knew it."""
    clock = HandClock(EARLY)
    node = Node(tmp_path, clock)
    await node.scheduler.start()
    task_id = await node.scheduler.schedule_task(task())
    clock.move(HOUR + timedelta(minutes=10))
    await node.look()
    node.scheduler.executor.register_operation("report", nothing)
    await node.look()
    events = all_events(node.scheduler.stores.log)
    learned = next(number for number, event in enumerate(events) if isinstance(event, NodeLearned))
    started = next(number for number, event in enumerate(events) if isinstance(event, Started))
    assert learned < started
    assert events[learned].operations == ("publish-head", "report")
    await node.look()
    assert sum(isinstance(event, NodeLearned) for event in all_events(node.scheduler.stores.log)) == 1
    assert "knew the operation report before" in node.why(task_id, EARLY.hour + 1).answer
    await node.scheduler.stop()


async def test_a_run_is_not_asked_of_a_process_that_cannot_do_it(tmp_path: Path) -> None:
    """It would fail, count as a failure, and in the end disable a task that another process runs well."""
    node = Node(tmp_path, HandClock(EARLY))
    await node.scheduler.open()
    task_id = await node.scheduler.schedule_task(task())
    position = node.scheduler.stores.log.last_position()
    with pytest.raises(OperationUnknown, match="report"):
        await node.scheduler.run_task_now(task_id)
    assert node.scheduler.stores.log.last_position() == position
    await node.scheduler.stop()
