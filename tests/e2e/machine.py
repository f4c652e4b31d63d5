"""A service on a machine whose clock the tests set."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from daybook import CustomRun, ScheduledTask, ScheduleType, TaskExecutor, TaskPersistence, TaskScheduler, TaskType
from domain.errors import StoreError
from tests.doubles import EARLY, HandClock, HandTimer
from tests.e2e.evidence import all_events, check_accounting, check_rebuild, task_streams

__all__ = ["HOUR", "Machine", "hours", "until"]

HOUR = timedelta(hours=1)


class Machine:
    """A service on a machine whose clock the test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.persistence: TaskPersistence | None = None
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
            self.executor,
            self.persistence or TaskPersistence(self.folder, environment={}),
            clock=self.clock,
            timer=self.timer,
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

    async def run_under_way(self) -> str:
        """The first run of an hourly task is being done, and ends when ``release`` is set; returns the task's id."""
        task_id = await self.task()
        self.release = asyncio.Event()
        await self.jump(HOUR)
        await until(lambda: len(self.slots) == 1)
        return task_id

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
        """Until all that is due has been done, and everybody was told of it who is told of changes."""

        async def settle() -> None:
            while True:
                with suppress(StoreError):  # a process that died tells nobody
                    await self.scheduler.stores.writer.catch_up()
                await asyncio.sleep(0)
                if not self.is_busy() and not self.scheduler.queries.overdue(self.clock.now()):
                    return
                await asyncio.sleep(0.001)

        if self.release is None:
            await asyncio.wait_for(settle(), 30)

    def is_busy(self) -> bool:
        """Whether it claims or does anything just now."""
        dispatcher: Any = self.scheduler.dispatcher
        return bool(dispatcher.active_runs or (dispatcher._pump is not None and not dispatcher._pump.done()))

    def counts(self) -> Counter[str]:
        """How the slots of all tasks are accounted for; checks that they are."""
        total: Counter[str] = Counter()
        for stream in task_streams(all_events(self.scheduler.stores.log)).values():
            total += check_accounting(stream)
        check_rebuild(self.scheduler.stores.log, self.scheduler.stores.read_model, self.folder)
        return total


def hours(*numbers: int) -> list[datetime]:
    """These hours of the day on which the tests begin."""
    return [EARLY.replace(hour=number) for number in numbers]


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""

    async def look() -> None:
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    await asyncio.wait_for(look(), 30)
