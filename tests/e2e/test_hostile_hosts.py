"""What a host plugs in may hang, swallow its cancellation or cancel itself; the service goes on and tells the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application.dispatcher import Limits
from daybook import CustomRun
from domain.errors import StoreUnavailable
from tests.e2e.machine import HOUR, Machine, until


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path / "data")
    await machine.boot()
    yield machine
    await machine.scheduler.stop()


def doing(machine: Machine, handler: Any) -> None:
    machine.executor.register_operation("note", handler)


def last(machine: Machine, task_id: str) -> Any:
    return machine.scheduler.queries.runs(task_id=task_id, limit=1)[0]


async def test_work_that_is_cancelled_from_within_has_failed(machine: Machine) -> None:
    """It waits for its retry like any failure, instead of being started again at once and for ever."""
    begun = []

    async def cancels_itself(run: CustomRun) -> None:
        begun.append(run.attempt)
        raise asyncio.CancelledError

    doing(machine, cancels_itself)
    task_id = await machine.task()
    await machine.wait(HOUR)
    assert begun == [1]
    assert (last(machine, task_id).state, last(machine, task_id).reason) == ("waiting", "cancelled")


async def test_a_stop_does_not_wait_for_work_that_swallows_its_cancellation(machine: Machine) -> None:
    """The run is recorded as interrupted and the process ends in time."""
    going = asyncio.Event()
    released = asyncio.Event()

    async def stubborn(run: CustomRun) -> None:
        going.set()
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    doing(machine, stubborn)
    machine.release = released  # the machine does not wait for the run to end
    task_id = await machine.task()
    machine.clock.move(HOUR)
    await machine.timer.check()
    await asyncio.wait_for(going.wait(), 10)
    machine.scheduler.dispatcher.limits = Limits(drain=timedelta(seconds=0.2))
    before = time.monotonic()
    await asyncio.wait_for(machine.scheduler.stop(), 10)
    assert time.monotonic() - before < 9
    released.set()
    machine.release = None
    doing(machine, machine._note)
    await machine.boot()
    assert last(machine, task_id).state == "executed"
    assert last(machine, task_id).attempt == 2
    topics = [recorded.event.topic for recorded in machine.scheduler.queries.history(task_id)]
    assert "task.interrupted" in topics


async def test_work_that_ignores_its_deadline_has_failed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it returns in the end does not count."""
    monkeypatch.setattr("application.executor.OVERTIME_SECONDS", 0.05)
    monkeypatch.setattr("application.runner.FAREWELL_SECONDS", 0.05)
    machine.scheduler.dispatcher.limits = Limits(attempt_deadline=timedelta(seconds=0.05))
    released = asyncio.Event()

    async def stubborn(run: CustomRun) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    doing(machine, stubborn)
    task_id = await machine.task()
    await machine.wait(HOUR)
    assert (last(machine, task_id).state, last(machine, task_id).reason) == ("waiting", "deadline")
    released.set()


async def test_an_outcome_that_could_not_be_recorded_is_recorded_by_the_stop(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was full for a moment does not make the work be done twice."""
    task_id = await machine.task()
    writer = machine.scheduler.stores.writer
    execute_many, full = writer.execute_many, [True]

    async def fails_once(commands: Sequence[Any]) -> list[Any]:
        if full and machine.slots:
            full.clear()
            return [StoreUnavailable("the disk is full")] * len(commands)
        return await execute_many(commands)

    monkeypatch.setattr(writer, "execute_many", fails_once)
    machine.clock.move(HOUR)
    machine.scheduler.dispatcher.ring()
    await until(lambda: not full)
    await machine.scheduler.stop()
    await machine.boot()
    assert last(machine, task_id).state == "executed"
    assert len(machine.slots) == 1


async def test_a_node_that_was_fenced_comes_back_under_a_new_name(machine: Machine) -> None:
    """Somebody took the lock file away: the node stops, joins again, and serves what is due."""
    task_id = await machine.task()
    old = machine.scheduler.dispatcher.node.name
    (machine.folder / "daybook.lock").unlink()
    await machine.timer.check()
    assert (machine.scheduler.dispatcher.fenced, machine.scheduler.running) == (True, False)
    await machine.timer.check()
    assert (machine.scheduler.dispatcher.fenced, machine.scheduler.running) == (False, True)
    assert machine.scheduler.dispatcher.node.name == f"{old}~2"
    await machine.wait(HOUR)
    assert last(machine, task_id).state == "executed"
    [lost, back] = sorted(machine.scheduler.queries.nodes(), key=lambda node: node.started_at)
    assert (lost.node, lost.lost, back.ended_at) == (old, True, None)


async def test_two_starts_at_once_start_once(tmp_path: Path) -> None:
    """The second caller finds it started."""
    machine = Machine(tmp_path / "data")
    await machine.boot()
    await asyncio.gather(machine.scheduler.start(), machine.scheduler.start())
    serving = [machine.scheduler.running]
    await machine.scheduler.stop()
    machine.scheduler.dispatcher.changed()  # a commit that is told late finds nobody at home
    assert [*serving, machine.scheduler.running] == [True, False]
