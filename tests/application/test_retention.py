"""How long things are kept: by guild and kind, or as the operator says; and the same when rows are rebuilt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application.cleanup import Cleanup
from application.limits import Limits
from application.ports import ContentCounts
from daybook import TaskExecutor, TaskPersistence, TaskScheduler
from domain.definition import TaskType
from domain.errors import InvalidInput
from domain.guild import ContentDeleted, GuildSettings, guild_stream
from domain.retention import Retention
from domain.summary import Summary
from domain.task import ScheduledTask
from infrastructure.read_model import SqliteReadModel
from tests.doubles import EARLY, HandClock, HandTimer
from tests.e2e.machine import HOUR, Machine

DAY = timedelta(days=1)
KINDS = ("summaries", "run_details", "cached")


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """A running service."""
    machine = Machine(tmp_path)
    await machine.boot()
    yield machine
    await machine.scheduler.stop()


def keep(machine: Machine, guild: str, days_ago: float) -> str:
    """One of each kind, kept so many days ago; returns the run."""
    at = machine.clock.now() - timedelta(days=days_ago)
    run, content = f"{guild}-{days_ago:g}", machine.scheduler.stores.content
    content.save_summary(run, Summary(id=run, guild_id=guild, summary_text="x", start_time=at, end_time=at), at)
    content.save_run_detail(run, guild, {}, at)
    content.cache_put(run, guild, {}, at)
    return run


def left(machine: Machine, run: str) -> set[str]:
    """The kinds that are still there of a run."""
    content = machine.scheduler.stores.content
    there = (content.summary_of_run(run), content.run_detail(run), content.cache_get(run))
    return {kind for kind, found in zip(KINDS, there, strict=True) if found is not None}


async def cleanup_task(machine: Machine, guild: str, **parameters: Any) -> str:
    """A task that cleans up at nine every day."""
    return await machine.scheduler.schedule_task(
        ScheduledTask(
            name="Cleanup",
            guild_id=guild,
            task_type=TaskType.CLEANUP,
            schedule_type="daily",
            schedule_time="09:00",
            parameters={"by_guild": True, **parameters},
            now=machine.clock.now(),
        )
    )


async def test_each_kind_is_kept_as_long_as_the_guild_says(machine: Machine) -> None:
    """A scheduled cleanup deletes by kind, leaves other guilds alone, and says in its result how much it deleted."""
    kept = Retention(summaries_days=10, run_details_days=2, cached_days=2)
    await machine.scheduler.commands.change_settings("42", GuildSettings(retention=kept))
    runs = {days: keep(machine, "42", days) for days in (1, 5, 20)}
    other = keep(machine, "7", 400)
    task_id = await cleanup_task(machine, "42")
    await machine.wait(HOUR + timedelta(minutes=5))
    assert left(machine, runs[1]) == set(KINDS)
    assert left(machine, runs[5]) == {"summaries"}
    assert left(machine, runs[20]) == set()
    assert left(machine, other) == set(KINDS)
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    assert run.note == "deleted 1 summaries, 2 run details, 2 cached"
    written = [e for _, e in machine.scheduler.stores.log.stream(guild_stream("42")) if isinstance(e, ContentDeleted)]
    nine = EARLY + HOUR
    assert [(e.cutoff, e.summaries, e.run_details, e.cached, e.deletes_runs) for e in written] == [
        (nine - 2 * DAY, 0, 2, 2, True),
        (nine - 10 * DAY, 1, 0, 0, False),
    ]


async def test_the_operator_decides_where_a_guild_says_nothing(tmp_path: Path) -> None:
    """What a guild says counts; for the rest the service's; where nobody says anything all is kept."""
    clock = HandClock(EARLY)
    limits = Limits(retention=Retention(summaries_days=3))
    scheduler = TaskScheduler(
        TaskExecutor(), TaskPersistence(tmp_path, environment={}), limits=limits, clock=clock, timer=HandTimer(clock)
    )
    await scheduler.open()
    await scheduler.commands.change_settings("1", GuildSettings(retention=Retention(cached_days=1)))
    assert scheduler.commands.cleaner.retention("1") == Retention(summaries_days=3, cached_days=1)
    assert scheduler.commands.cleaner.retention("2") == Retention(summaries_days=3)
    assert await scheduler.commands.clean_up(Cleanup("3", by_guild=True)) == ContentCounts()
    await scheduler.stop()


async def test_one_cleanup_of_all_guilds_keeps_to_each_of_them(machine: Machine) -> None:
    """The operator's task asks every guild's settings."""
    for guild, days in (("42", 2), ("7", 30)):
        kept = Retention(summaries_days=days)
        await machine.scheduler.commands.change_settings(guild, GuildSettings(retention=kept))
        keep(machine, guild, 10)
    await cleanup_task(machine, "42", all_guilds=True)
    await machine.wait(HOUR + timedelta(minutes=5))
    assert left(machine, "42-10") == {"run_details", "cached"}
    assert left(machine, "7-10") == set(KINDS)


async def test_rebuilding_repeats_what_retention_deleted(machine: Machine, tmp_path: Path) -> None:
    """Rows of runs that were deleted stay so when all rows are made anew from the log, and the counts stay."""
    await machine.scheduler.commands.change_settings("42", GuildSettings(retention=Retention(run_details_days=1)))
    await machine.task()
    await machine.wait(5 * HOUR)
    before = machine.scheduler.queries.guild("42").executed
    await cleanup_task(machine, "42")
    machine.clock.move(2 * DAY)
    await machine.timer.check()
    await machine.settled()
    await machine.wait(timedelta(hours=20, minutes=5))
    runs = machine.scheduler.queries.runs(guild_id="42")
    assert min(run.slot for run in runs if run.slot is not None) > EARLY + 2 * DAY
    assert machine.scheduler.queries.guild("42").executed > before
    fresh = SqliteReadModel(tmp_path / "fresh.db")
    fresh.catch_up(machine.scheduler.stores.log)
    assert fresh.dump() == machine.scheduler.stores.read_model.dump()
    fresh.close()


@pytest.mark.parametrize("days", [-1, 36_501, float("nan"), float("inf")])
async def test_a_retention_that_makes_no_sense_is_refused(machine: Machine, days: float) -> None:
    """Nothing is deleted by a number that nobody meant."""
    with pytest.raises(InvalidInput, match="summaries_days"):
        await machine.scheduler.commands.change_settings("42", GuildSettings(retention=Retention(summaries_days=days)))


async def test_a_cleanup_says_one_thing_only(machine: Machine) -> None:
    """The guild's times and one of its own at once are refused when the task is made."""
    with pytest.raises(InvalidInput, match="contradicts by_guild"):
        await cleanup_task(machine, "42", retention_days=3)


def test_nobody_has_said_anything_by_default() -> None:
    """All is kept until somebody says otherwise."""
    assert Retention().by_days() == {}
