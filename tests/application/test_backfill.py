"""A backfill through the real stores: in order, once each, with the rows that people see."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from daybook import TaskExecutor, TaskPersistence, TaskScheduler
from domain.errors import Forbidden, TaskNotFound
from domain.principal import Permission, Principal
from domain.task import ScheduledTask
from tests.doubles import EARLY, HandClock, HandTimer

HOUR = timedelta(hours=1)
VIEWER = Principal(reference="person:2", guild_id="1")
STRANGER = Principal(reference="person:3", guild_id="2", permissions=frozenset(Permission))


def scheduler_on(folder: Path, served: list[Any], clock: HandClock) -> TaskScheduler:
    """A scheduler whose handler writes down which slots it served."""
    executor = TaskExecutor()

    async def note(run: Any) -> None:
        served.append(run.slot)

    executor.register_operation("note", note)
    return TaskScheduler(executor, TaskPersistence(folder, environment={}), clock=clock, timer=HandTimer(clock))


async def executed(scheduler: TaskScheduler, runs: list[str]) -> None:
    """Look at what is due after every change until all of these have run."""
    changed = asyncio.Event()
    scheduler.dispatcher.listeners.append(changed.set)
    while any(scheduler.queries.run(run).state != "executed" for run in runs):
        scheduler.dispatcher.ring()
        await changed.wait()
        changed.clear()


async def test_a_backfill_serves_past_slots_in_order(tmp_path: Path) -> None:
    """Oldest first, also over a restart; the slots of the schedule are not touched."""
    clock, served = HandClock(EARLY), list[Any]()
    scheduler = scheduler_on(tmp_path, served, clock)
    await scheduler.open()
    hourly = ScheduledTask(
        name="a", guild_id="1", task_type="custom", operation="note", schedule_type="hourly", now=EARLY
    )
    task_id = await scheduler.schedule_task(hourly)
    before = await scheduler.get_task_status(task_id)
    runs = await scheduler.commands.backfill(task_id, EARLY - 5 * HOUR, EARLY - HOUR, reason="lost")
    assert len(runs) == 5
    with pytest.raises(Forbidden):
        await scheduler.commands.backfill(task_id, EARLY - HOUR, EARLY, principal=VIEWER)
    with pytest.raises(TaskNotFound):
        await scheduler.commands.backfill(task_id, EARLY - HOUR, EARLY, principal=STRANGER)
    await scheduler.stop()

    scheduler = scheduler_on(tmp_path, served, clock)
    await scheduler.start()
    await executed(scheduler, runs)
    shown = [scheduler.queries.run(run) for run in runs]
    after = await scheduler.get_task_status(task_id)
    await scheduler.stop()
    assert served == sorted(served)
    assert [slot.hour for slot in served] == [(EARLY - n * HOUR).hour for n in (5, 4, 3, 2, 1)]
    assert {run.state for run in shown} == {"executed"}
    assert (after.next_run_time, after.accounted_until) == (before.next_run_time, before.accounted_until)
    assert after.metadata.execution_count == 5
