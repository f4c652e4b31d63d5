"""Daybook, as a host in Python runs it: TaskScheduler on the folder's SQLite stores, with the real timer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contestant import Job, Place, Ran

if TYPE_CHECKING:
    from daybook import CustomRun, TaskScheduler

__all__ = ["Daybook", "DaybookInBot"]

PAST_RUNS = 5
MANY_TASKS = 100_000
"""So many tasks have a past; what is measured among more or fewer has none."""
SOME_TASKS = 500
"""Whose slots are counted where not all are."""

_TOGETHER = 2_000


class Daybook:
    """A contestant.Contestant. Imports are where they are used: the start of a process is measured, too."""

    def __init__(self, place: Place, ran: Ran) -> None:
        self._place, self._ran = place, ran
        self._service: TaskScheduler | None = None
        self._since = 0
        self._before: Path | None = None

    @property
    def service(self) -> TaskScheduler:
        """The scheduler on the folder; made when it is first asked for, in a process set up as the command's is."""
        if self._service is None:
            from daybook import TaskExecutor, TaskPersistence, TaskScheduler
            from infrastructure.process import collect_garbage_less_often

            collect_garbage_less_often()
            executor, ran = TaskExecutor(), self._ran

            async def nothing(run: CustomRun) -> None:
                ran(run.parameters["number"])

            executor.register_operation("nothing", nothing)
            self._service = TaskScheduler(executor, TaskPersistence(self._place.folder, environment={}))
        return self._service

    async def fill(self, stored: int) -> None:
        """Copy a store that was made before."""
        from infrastructure.layout import READ_MODEL_FILE
        from tests.benchmarks.stores import copied_store

        runs = PAST_RUNS if stored <= MANY_TASKS else 0
        self._before = copied_store(self._place.cache, stored, runs, self._place.folder) / READ_MODEL_FILE

    async def plan(self, jobs: Sequence[Job]) -> None:
        """Edit the tasks, which is one Revised event each, and forget what that left in memory."""
        await self.service.open()
        for start in range(0, len(jobs), _TOGETHER):
            moves = [_move(job) for job in jobs[start : start + _TOGETHER]]
            for outcome in await self.service.stores.writer.execute_many(moves):
                if isinstance(outcome, BaseException):
                    raise outcome
        self._since = self.service.stores.log.last_position()
        await self.service.stop()
        self._service = None

    async def start(self) -> None:
        """Open and start."""
        await self.service.start()

    async def add(self, job: Job) -> None:
        """``schedule_task``."""
        from domain.task import ScheduledTask
        from tests.benchmarks.stores import definition, task_id

        plan = definition(job.number, job.due, timedelta(seconds=job.every))
        task = ScheduledTask.define(plan, id=task_id(job.number), now=datetime.now(UTC))
        await self.service.schedule_task(task)

    async def pause(self, number: int) -> None:
        """``pause_task``."""
        await self.service.pause_task(_id(number))

    async def resume(self, number: int) -> None:
        """``resume_task``."""
        await self.service.resume_task(_id(number))

    def outstanding(self, jobs: Sequence[Job]) -> int:
        """Runs that are not closed; behind the last one, whether rows are still to follow what was written of it."""
        stores, active = self.service.stores, self.service.dispatcher.active_runs
        return active or int(stores.read_model.lagging().position() < stores.writer.position)

    async def stop(self) -> None:
        """Stop the service."""
        await self.service.stop()

    async def verified(self, runs: int) -> Mapping[str, float]:
        """Slots are accounted for, rows say what the events say, rebuilt rows equal the live ones; and the floor."""
        from tests.benchmarks.floor import raw_writes
        from tests.benchmarks.stores import opened
        from tests.benchmarks.verification import check_rebuilt, check_replayed, check_touched

        stores = opened(self._place.folder)
        try:
            check_touched(stores, self._since, runs, most=None if self._place.thorough else SOME_TASKS)
            if self._place.thorough and self._before is not None:
                check_replayed(stores, self._before)
            elif self._place.thorough:
                check_rebuilt(stores)
        finally:
            stores.close()
        return {"raw_seconds": raw_writes(self._place.folder, self._since)} if runs else {}


def _id(number: int) -> str:
    from tests.benchmarks.stores import task_id

    return str(task_id(number))


def _move(job: Job) -> Any:
    """The edit that makes a stored task due when the job is."""
    from application.ports import Command
    from tests.benchmarks.stores import definition, task_id

    now, wanted = datetime.now(UTC), definition(job.number, job.due, timedelta(seconds=job.every))
    return Command(task_id(job.number), lambda task: task.revise(wanted, now=now, by="system"))


class DaybookInBot(Daybook):
    """The same as an extension of a Discord bot that has not logged in: with all its commands, and HTTP."""

    async def start(self) -> None:
        """Load the extension, which starts the service."""
        import discord
        from discord.ext import commands

        from daybook import configure

        self._bot = commands.Bot(commands.when_mentioned, intents=discord.Intents(guilds=True))
        configure(self._bot, scheduler=self.service)
        await self._bot.load_extension("daybook")

    async def stop(self) -> None:
        """Close the bot, and with it the service."""
        await self._bot.close()
        await self.service.stop()
