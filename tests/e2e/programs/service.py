"""A service to be killed: many short custom runs, summaries into files, and commands that it acknowledges on stdout.

Its clock runs ``factor`` times as fast as the wall, so that an interval of a minute is a slot every few milliseconds.
Each line on stdout is one JSON object: {"ready": node}, or {"ack": what, "key": ...} for an acknowledged command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from adapters.apscheduler_timer import ApschedulerTimer
from adapters.archive import ArchiveProcessor, sample_path
from daybook import (
    CatchUp,
    CustomRun,
    Destination,
    DestinationType,
    Message,
    OverlapPolicy,
    ScheduledTask,
    ScheduleType,
    Summary,
    SummaryOptions,
    TaskExecutor,
    TaskPersistence,
    TaskScheduler,
    TaskType,
)
from domain.errors import Refused
from domain.summary import Point
from infrastructure.rows_apart import Burst

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
GUILDS = ("42", "43", "44")
KINDS = ("once", "request", "rename", "pause", "resume", "resume", "resume", "skip")


class FastClock:
    """Wall time since ``origin`` (seconds since 1970), ``factor`` times as fast, from BEGINNING on."""

    def __init__(self, origin: float, factor: float) -> None:
        self._origin, self._factor = origin, factor

    def now(self) -> datetime:
        """The fast instant."""
        return BEGINNING + timedelta(seconds=(time.time() - self._origin) * self._factor)

    def wall(self, instant: datetime) -> datetime:
        """When the wall clock shows what the fast one calls ``instant``."""
        return datetime.fromtimestamp(self._origin + (instant - BEGINNING).total_seconds() / self._factor, UTC)


class FastTimer(ApschedulerTimer):
    """The real timer, armed at the wall's instants."""

    def __init__(self, clock: FastClock) -> None:
        super().__init__()
        self._clock = clock

    def wake_at(self, instant: datetime | None, callback: Callable[[], Awaitable[None]]) -> None:
        """Ring when the fast clock shows ``instant``."""
        super().wake_at(None if instant is None else self._clock.wall(instant), callback)


class Quoting:
    """An engine that is ready at once: it quotes the first messages."""

    async def summarize_messages(
        self, messages: Sequence[Message], options: Any, context: Any, channel_id: str = "", guild_id: str = ""
    ) -> Summary:
        """A summary of some kilobytes."""
        points = tuple(Point(text=message.content or "-", author=message.author_name) for message in messages[:40])
        return Summary(
            id=uuid4().hex,
            summary_text=f"{len(messages)} messages",
            key_points=points,
            message_count=len(messages),
            start_time=messages[0].timestamp,
            end_time=messages[-1].timestamp,
        )


def say(**words: Any) -> None:
    """One line, in one write."""
    os.write(1, (json.dumps(words) + "\n").encode())


def recorder(path: Path) -> Callable[[CustomRun], Awaitable[None]]:
    """A handler that writes down each attempt before it does anything, and fails or dawdles by the run's id."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    async def record(run: CustomRun) -> None:
        slot = run.slot.isoformat() if run.slot is not None else "-"
        os.write(descriptor, f"{run.run_id} {run.attempt} {slot}\n".encode())
        os.fsync(descriptor)
        number = int(run.run_id, 16)
        await asyncio.sleep(number % 7 / 1000)
        if number % 11 == 0 and run.attempt == 1:
            raise RuntimeError("the first attempt of this run fails")

    return record


def first_tasks() -> list[ScheduledTask]:
    """Custom tasks under every overlap and catch-up policy, and two summaries of the sample."""
    policies = [(overlap, catch_up) for overlap in OverlapPolicy for catch_up in CatchUp]
    tasks = [
        ScheduledTask(
            name=f"{overlap} {catch_up}",
            guild_id=GUILDS[n % 3],
            task_type=TaskType.CUSTOM,
            operation="record",
            schedule_type=ScheduleType.INTERVAL,
            interval=timedelta(minutes=1 + n % 3),
            created_at=BEGINNING,
            overlap=overlap,
            catch_up=catch_up,
            catch_up_window_seconds=600,
            max_failures=100,
            retry_delay_minutes=0.5,
        )
        for n, (overlap, catch_up) in enumerate(policies)
    ]
    for format in ("json", "markdown"):
        tasks.append(
            ScheduledTask(
                name=f"Digest as {format}",
                guild_id=GUILDS[0],
                channel_id="general",
                schedule_type=ScheduleType.INTERVAL,
                interval=timedelta(minutes=3),
                created_at=BEGINNING,
                time_range_hours=40,
                destinations=[Destination(type=DestinationType.FILE, target=format, format=format)],
                summary_options=SummaryOptions(min_messages=1),
                max_failures=100,
                retry_delay_minutes=0.5,
            )
        )
    return tasks


async def command(scheduler: TaskScheduler, chance: random.Random, task_ids: list[str], key: str) -> None:
    """One command of a random kind, acknowledged on stdout once it returned."""
    task_id, kind = chance.choice(task_ids), chance.choice(KINDS)
    with contextlib.suppress(Refused):
        match kind:
            case "once":
                at = scheduler.clock.now() + timedelta(minutes=chance.uniform(1, 30))
                task = ScheduledTask(
                    name=key,
                    guild_id=chance.choice(GUILDS),
                    task_type=TaskType.CUSTOM,
                    operation="record",
                    schedule_type=ScheduleType.ONCE,
                    next_run=at,
                    max_failures=100,
                    retry_delay_minutes=0.5,
                )
                await scheduler.schedule_task(task)
            case "request":
                await scheduler.commands.request_run(task_id, request=key)
            case "rename":
                await scheduler.update_task(task_id, name=key)
            case "pause":
                await scheduler.pause_task(task_id, reason=key)
            case "resume":
                await scheduler.resume_task(task_id, reason=key)
            case "skip":
                await scheduler.commands.skip_next(task_id, 2, reason=key)
        say(ack=kind, key=key)


async def serve(folder: Path, origin: float, factor: float, seed: int) -> None:
    """Run until SIGTERM; ``seed`` 0 gives no commands, and lets every paused task go on."""
    clock, chance = FastClock(origin, factor), random.Random(seed)
    if seed % 2:
        Burst.HIGH = 1.0  # rows are made by another process as soon as there are any
    archive = ArchiveProcessor(sample_path())
    latest = archive.latest()
    assert latest is not None
    executor = TaskExecutor(Quoting(), archive.shifted(BEGINNING - latest))
    executor.register_operation("record", recorder(folder / "attempts.txt"))
    scheduler = TaskScheduler(
        executor, TaskPersistence(folder, environment={}), clock=clock, timer=FastTimer(clock), node=f"n{seed}"
    )
    stopping = asyncio.Event()
    for end in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(end, stopping.set)
    await scheduler.start()
    tasks = await scheduler.get_scheduled_tasks()
    if not tasks:
        for task in first_tasks():
            key = task.name
            await scheduler.schedule_task(task)
            say(ack="once", key=key)
        tasks = await scheduler.get_scheduled_tasks()
    say(ready=scheduler.node)
    task_ids = [
        task.task_id
        for task in tasks
        if task.definition.schedule.type is ScheduleType.INTERVAL and task.definition.task_type is TaskType.CUSTOM
    ]
    number = 0
    while seed and not stopping.is_set():
        number += 1
        await command(scheduler, chance, task_ids, f"{scheduler.node}.{number}")
        await asyncio.sleep(chance.uniform(0, 0.02))
    await stopping.wait()
    await scheduler.stop()
    say(stopped=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
