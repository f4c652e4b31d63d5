"""Clocks that jump and machines that sleep: nothing runs twice, and no slot disappears without a word."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from daybook import CatchUp, OverlapPolicy, ScheduleType
from domain.schedule import between
from tests.doubles import EARLY
from tests.e2e.machine import HOUR, Machine, hours, until


async def test_time_that_passes_runs_each_slot_once(machine: Machine) -> None:
    """Without any trouble, each hour has its run."""
    await machine.task()
    await machine.wait(4 * HOUR)
    assert machine.slots == hours(9, 10, 11, 12)
    assert machine.counts() == {"executed": 4}


async def test_a_jump_forward_of_two_hours_drops_nothing_in_silence(machine: Machine) -> None:
    """The last slot runs, the one before is written down as missed."""
    task_id = await machine.task()
    await machine.wait(HOUR)
    await machine.jump(2 * HOUR)
    assert machine.slots == hours(9, 11)
    [skip] = machine.scheduler.queries.skips(task_id)
    assert (skip.first, skip.last, skip.count, skip.reason) == (*hours(10, 10), 1, "missed")
    assert machine.counts() == {"executed": 2, "skipped": 1}


async def test_a_jump_forward_runs_all_where_that_is_asked_for(machine: Machine) -> None:
    """With catch-up of all slots, each of them runs, in order."""
    await machine.task(catch_up=CatchUp.RUN_ALL, catch_up_window_seconds=3 * 3600)
    await machine.wait(HOUR)
    await machine.jump(2 * HOUR)
    assert machine.slots == hours(9, 10, 11)
    assert machine.counts() == {"executed": 3}


@pytest.mark.parametrize("overlap", list(OverlapPolicy))
@pytest.mark.parametrize("catch_up", list(CatchUp))
async def test_a_jump_back_of_two_hours_runs_nothing_again(
    machine: Machine, overlap: OverlapPolicy, catch_up: CatchUp
) -> None:
    """What ran stays run; the hours that come again do nothing, and the next new one runs."""
    await machine.task(overlap=overlap, catch_up=catch_up)
    await machine.wait(2 * HOUR)
    await machine.jump(-2 * HOUR)
    await machine.wait(2 * HOUR)
    assert machine.slots == hours(9, 10)
    await machine.wait(HOUR)
    assert machine.slots == hours(9, 10, 11)
    assert machine.counts() == {"executed": 3}


async def test_a_night_of_sleep_is_written_down(machine: Machine) -> None:
    """A suspended laptop: beyond the window nothing runs late, and every slot has its reason."""
    task_id = await machine.task(catch_up_window_seconds=600)
    await machine.jump(9 * HOUR + timedelta(minutes=30))
    assert machine.slots == []
    assert sum(skip.count for skip in machine.scheduler.queries.skips(task_id)) == 9
    await machine.wait(HOUR)
    assert machine.slots == hours(18)
    assert machine.counts() == {"executed": 1, "skipped": 9}


async def test_a_restart_with_the_clock_set_back_goes_on_where_it_was(machine: Machine) -> None:
    """The log knows what was served, whatever the clock says at boot."""
    await machine.task()
    await machine.wait(3 * HOUR)
    await machine.scheduler.stop()
    machine.clock.move(-2 * HOUR)
    await machine.boot()
    await machine.wait(3 * HOUR)
    assert machine.slots == hours(9, 10, 11, 12)
    assert machine.counts() == {"executed": 4}


async def test_a_jump_back_in_the_middle_of_a_run_leaves_sane_statistics(machine: Machine) -> None:
    """A run never takes a negative time."""
    machine.release = asyncio.Event()
    task_id = await machine.task()
    await machine.timer.advance(HOUR)
    await until(lambda: machine.scheduler.dispatcher.active_runs == 1)
    machine.clock.move(-2 * HOUR)
    machine.release.set()
    machine.release = None
    await machine.settled()
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    assert run.state == "executed"
    assert run.duration_seconds == 0
    assert machine.counts() == {"executed": 1}


async def test_commands_with_the_clock_set_back_lose_no_slot(machine: Machine) -> None:
    """Pausing, resuming and editing at an instant before what was served neither repeats nor forgets anything."""
    task_id = await machine.task()
    await machine.wait(3 * HOUR)
    machine.clock.move(-2 * HOUR)
    await machine.scheduler.pause_task(task_id)
    await machine.scheduler.resume_task(task_id)
    await machine.scheduler.update_task(task_id, name="Renamed")
    await machine.wait(3 * HOUR)
    assert machine.slots == hours(9, 10, 11, 12)
    assert machine.counts() == {"executed": 4}


@pytest.mark.parametrize(
    ("zone", "morning", "local"),
    [
        ("Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), "02:30"),
        ("Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), "02:30"),
        ("America/New_York", datetime(2026, 10, 31, 12, tzinfo=UTC), "01:30"),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 0, tzinfo=UTC), "01:45"),
    ],
)
async def test_a_change_of_daylight_time_runs_a_daily_task_once_each_day(
    machine: Machine, zone: str, morning: datetime, local: str
) -> None:
    """Also where the local time does not exist that day, or comes twice."""
    machine.clock.instant = morning
    start = machine.clock.now()
    task_id = await machine.task(schedule_type=ScheduleType.DAILY, schedule_time=local, timezone=zone)
    for _ in range(72):
        await machine.jump(HOUR)
    schedule = (await machine.scheduler.get_task_status(task_id)).definition.schedule
    assert machine.slots == between(schedule, start, machine.clock.now())
    assert len(machine.slots) == 3
    machine.counts()


async def test_what_is_due_soon_is_in_memory_before_it_is_due(machine: Machine) -> None:
    """A burst finds its tasks loaded: their histories were read in the seconds before."""
    task_id = UUID(await machine.task())
    writer: Any = machine.scheduler.stores.writer
    writer._streams.clear()
    await machine.wait(timedelta(minutes=55))
    assert task_id.int not in writer._streams._cache
    while machine.clock.now() < EARLY + timedelta(minutes=59, seconds=50):
        await machine.timer.advance(timedelta(seconds=5))
        await machine.timer.done()
    assert task_id.int in writer._streams._cache
    assert machine.slots == []


async def test_a_stop_lets_the_poll_that_is_under_way_come_to_its_end(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was rung needs the stores: they are not closed under it."""
    begun, release = threading.Event(), threading.Event()

    def slow() -> object:
        begun.set()
        release.wait(20)
        return "something else"

    monkeypatch.setattr(machine.scheduler.stores.log, "last_foreign_change", slow)
    await machine.timer.advance(timedelta(seconds=1))
    assert await asyncio.to_thread(begun.wait, 20)
    stopping = asyncio.create_task(machine.scheduler.stop())
    await asyncio.wait([stopping], timeout=0.3)
    assert not stopping.done()
    release.set()
    await stopping
