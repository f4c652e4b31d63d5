"""Custom tasks whose operation no process knows, on the command line: warned of, found by doctor, not asked to run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daybook import ScheduledTask, TaskExecutor, TaskPersistence, TaskScheduler, TaskType
from tests.adapters.cli_runner import Daybook
from tests.doubles import HandClock

CUSTOM = ("--does", "custom", "--guild", "5", "--operation")


@pytest.fixture
def cli(tmp_path: Path) -> Daybook:
    """The command line on an empty folder."""
    return Daybook(tmp_path / "data")


async def nothing(run: Any) -> None:
    """A handler that does nothing."""


def service(cli: Daybook, *operations: str) -> TaskScheduler:
    """A service on the same folder that knows these operations, three hours ago."""
    clock = HandClock(datetime.now(UTC) - timedelta(hours=3))
    executor = TaskExecutor()
    for operation in operations:
        executor.register_operation(operation, nothing)
    persistence = TaskPersistence(cli.folder, environment={})
    return TaskScheduler(executor, persistence, clock=clock)


async def scheduled(scheduler: TaskScheduler, operation: str) -> str:
    """An hourly task of it, the first slots of which are past."""
    now = scheduler.clock.now()
    task = ScheduledTask(
        name=operation, guild_id="5", task_type=TaskType.CUSTOM, operation=operation, schedule_type="hourly", now=now
    )
    return await scheduler.schedule_task(task)


def test_a_task_of_an_operation_that_nobody_knows_is_scheduled_with_a_warning(cli: Daybook) -> None:
    """Another process that knows it may be started yet. What Daybook itself knows is known."""
    added = cli("tasks", "add", "Report", *CUSTOM, "report", "--every", "2h", "--json")
    assert added.code == 0
    assert "warning: no process knows the operation report (no process is up): the task stays due" in added.err
    assert added.json["name"] == "Report"
    assert "warning: no process knows" in cli("tasks", "edit", "Report", "--every", "3h").err
    assert "warning: no process knows" not in cli("tasks", "cancel", "Report").err
    assert "warning: no process knows" not in cli("tasks", "add", "Heads", *CUSTOM, "publish-head").err
    assert "warning: no process knows" not in cli("tasks", "add", "Plain", "--channel", "general").err


async def test_what_the_running_service_knows_is_known(cli: Daybook) -> None:
    """It is named where it does not know an operation."""
    scheduler = service(cli, "report")
    await scheduler.start()
    known = await asyncio.to_thread(cli, "tasks", "add", "Report", *CUSTOM, "report", "--every", "2h")
    assert "warning: no process knows" not in known.err
    unknown = await asyncio.to_thread(cli, "tasks", "add", "Cake", *CUSTOM, "cake", "--every", "2h")
    assert f"the operation cake ({scheduler.node} is up and knows publish-head, report)" in unknown.err
    await scheduler.stop()


async def test_a_run_that_no_process_could_do_is_refused_at_once(cli: Daybook) -> None:
    """Neither the service nor this process: nothing is written, and nobody waits for it."""
    scheduler = service(cli, "report")
    await scheduler.start()
    await scheduled(scheduler, "cake")
    before = cli.events()
    refused = await asyncio.to_thread(cli, "tasks", "run", "cake")
    assert refused.code == 1
    assert "no process knows its operation cake" in refused.err
    assert cli.events() == before
    await scheduler.stop()
    before = cli.events()
    alone = await asyncio.to_thread(cli, "tasks", "run", "cake")
    assert alone.code == 1
    assert "no handler is registered for operation 'cake'" in alone.err
    assert cli.events() == before


async def test_doctor_names_the_task_its_operation_and_what_to_do(cli: Daybook) -> None:
    """Whether a service is running or not."""
    scheduler = service(cli, "report")
    await scheduler.start()
    await scheduled(scheduler, "cake")
    for state in ("wrong", "warning"):
        told = (await asyncio.to_thread(cli, "doctor", "--json")).json
        [due] = [one for one in told if one["check"] == "due"]
        assert due["state"] == state
        assert "no process knows the operation of cake (cake)" in due["finding"]
        assert "start the program that registers it (register_operation), or cancel the task" in due["finding"]
        assert "see its log" not in due["finding"]
        await scheduler.stop()
    assert "no process is up; the last one knew publish-head, report" in due["finding"]
    assert due["finding"].endswith("; no service is running")


async def test_what_the_last_process_knew_is_known_where_none_is_up(cli: Daybook) -> None:
    """It is started again like any service: its tasks wait for that alone."""
    scheduler = service(cli, "report")
    await scheduler.start()
    await scheduled(scheduler, "report")
    await scheduler.stop()
    told = (await asyncio.to_thread(cli, "doctor", "--json")).json
    [due] = [one for one in told if one["check"] == "due"]
    assert (due["state"], "no process knows" in due["finding"]) == ("warning", False)
    assert due["finding"].endswith("; no service is running")
    added = await asyncio.to_thread(cli, "tasks", "add", "Report", *CUSTOM, "report", "--every", "2h")
    assert "warning: no process knows" not in added.err
