"""Clocks that jump and machines that sleep: nothing runs twice, and no slot disappears without a word."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daybook import (
    CatchUp,
    CustomRun,
    OverlapPolicy,
    ScheduledTask,
    ScheduleType,
    TaskExecutor,
    TaskPersistence,
    TaskScheduler,
    TaskType,
)
from domain.schedule import between
from tests.doubles import EARLY, HandClock, HandTimer
from tests.e2e.evidence import all_events, check_accounting, check_rebuild, task_streams

HOUR = timedelta(hours=1)


class Machine:
    """A service on a machine whose clock the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = HandClock(EARLY)
        self.slots: list[datetime | None] = []
        self.release: asyncio.Event | None = None
        self.executor = TaskExecutor()
        self.executor.register_operation("note", self._note)

    async def _note(self, run: CustomRun) -> None:
        self.slots.append(run.slot)
        if self.release is not None:
            await self.release.wait()

    async def boot(self) -> None:
        self.timer = HandTimer(self.clock)
        self.scheduler = TaskScheduler(
            self.executor, TaskPersistence(self.folder, environment={}), clock=self.clock, timer=self.timer
        )
        await self.scheduler.start()
        await self.settled()

    async def task(self, **changes: Any) -> str:
        fields: dict[str, Any] = {
            "name": "Hourly",
            "guild_id": "42",
            "task_type": TaskType.CUSTOM,
            "operation": "note",
            "schedule_type": ScheduleType.HOURLY,
        }
        return await self.scheduler.schedule_task(ScheduledTask(now=self.clock.now(), **(fields | changes)))

    async def wait(self, length: timedelta) -> None:
        """Time passes as it should."""
        end = self.clock.now() + length
        while self.clock.now() < end:
            await self.timer.advance(min(timedelta(minutes=5), end - self.clock.now()))
            await self.settled()

    async def jump(self, by: timedelta) -> None:
        """The clock is set, or the machine slept; then the timer checks, as it does every 30 s."""
        self.clock.move(by)
        await self.timer.check()
        await self.settled()

    async def settled(self) -> None:
        """Until all that is due has been done."""

        async def settle() -> None:
            scheduler = self.scheduler
            while scheduler.dispatcher.active_runs or scheduler.queries.overdue(self.clock.now()):  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        if self.release is None:
            await asyncio.wait_for(settle(), 30)

    def counts(self) -> Counter[str]:
        """How the slots of all tasks are accounted for; checks that they are."""
        total: Counter[str] = Counter()
        for stream in task_streams(all_events(self.scheduler.stores.log)).values():
            total += check_accounting(stream)
        check_rebuild(self.scheduler.stores.log, self.scheduler.stores.read_model, self.folder)
        return total


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path)
    await made.boot()
    yield made
    await made.scheduler.stop()


def hours(*numbers: int) -> list[datetime]:
    """These hours of the day on which the tests begin."""
    return [EARLY.replace(hour=number) for number in numbers]


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
    await _until(lambda: machine.scheduler.dispatcher.active_runs == 1)
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


async def _until(true: Callable[[], bool]) -> None:
    async def look() -> None:
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    waiting: Awaitable[None] = look()
    await asyncio.wait_for(waiting, 30)
