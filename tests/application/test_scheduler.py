"""Commands of people through the real stores: who may give them, what they leave, what a restart remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.limits import Limits
from application.scheduler import Cleanup
from daybook import TaskExecutor, TaskPersistence, TaskScheduler
from domain.definition import TaskType
from domain.errors import DaybookError, Forbidden, InvalidInput, NotFound, Refused, TaskNotFound
from domain.guild import GuildSettings
from domain.principal import Permission, Principal
from domain.task import ScheduledTask
from tests.doubles import EARLY, HandClock, HandTimer

MANAGER = Principal(reference="person:1", guild_id="1", permissions=frozenset(Permission))
VIEWER = Principal(reference="person:2", guild_id="1")
STRANGER = Principal(reference="person:3", guild_id="2", permissions=frozenset(Permission))


def scheduler_on(folder: Path, clock: HandClock, node: str = "n1") -> TaskScheduler:
    """A scheduler on this folder, whose handler does nothing."""
    executor = TaskExecutor()

    async def noop(run: Any) -> None:
        return

    executor.register_operation("noop", noop)
    persistence = TaskPersistence(folder, environment={})
    return TaskScheduler(executor, persistence, clock=clock, timer=HandTimer(clock), node=node)


async def looked(scheduler: TaskScheduler) -> None:
    """Wait until everything that is due was claimed."""
    scheduler.dispatcher.ring()
    pump = scheduler.dispatcher._pump
    assert pump is not None
    await pump


@pytest.fixture
def clock() -> HandClock:
    """A Monday at eight."""
    return HandClock(EARLY)


@pytest.fixture
async def scheduler(tmp_path: Path, clock: HandClock) -> AsyncIterator[TaskScheduler]:
    """An open scheduler that does not claim."""
    scheduler = scheduler_on(tmp_path, clock)
    await scheduler.open()
    yield scheduler
    await scheduler.stop()


def task(**fields: Any) -> ScheduledTask:
    """An hourly custom task of guild 1."""
    known: dict[str, Any] = {"name": "a", "guild_id": "1", "task_type": TaskType.CUSTOM, "operation": "noop"}
    return ScheduledTask(now=EARLY, **{**known, "schedule_type": "hourly", **fields})


def commands(scheduler: TaskScheduler, task_id: str, principal: Principal) -> list[Any]:
    """Every command on one task, as something to await."""
    do = scheduler.commands
    return [
        lambda: do.revise(task_id, {"name": "b"}, principal=principal),
        lambda: do.pause(task_id, principal=principal),
        lambda: do.resume(task_id, principal=principal),
        lambda: do.skip_next(task_id, principal=principal),
        lambda: do.request_run(task_id, principal=principal),
        lambda: do.run_now(task_id, principal=principal),
        lambda: do.cancel(task_id, principal=principal),
    ]


async def test_another_guilds_task_is_not_there(scheduler: TaskScheduler) -> None:
    """Defect 35: delete had no guild check. Every command says "no such task", and writes nothing."""
    task_id = await scheduler.schedule_task(task())
    position = scheduler.stores.log.last_position()
    for command in commands(scheduler, task_id, STRANGER):
        with pytest.raises(TaskNotFound):
            await command()
    assert scheduler.stores.log.last_position() == position


async def test_one_who_may_only_look_is_told_so(scheduler: TaskScheduler) -> None:
    """The task is visible, so "not found" would be a lie."""
    task_id = await scheduler.schedule_task(task())
    position = scheduler.stores.log.last_position()
    for command in commands(scheduler, task_id, VIEWER):
        with pytest.raises(Forbidden):
            await command()
    with pytest.raises(Forbidden):
        await scheduler.schedule_task(task(), principal=VIEWER)
    with pytest.raises(NotFound):
        await scheduler.schedule_task(task(), principal=STRANGER)
    assert scheduler.stores.log.last_position() == position


@pytest.mark.parametrize("task_id", ["", "nope", "../x", "0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b"])
async def test_an_unknown_id_is_not_found_by_any_command(scheduler: TaskScheduler, task_id: str) -> None:
    """Defect 34: pause and resume called a method that did not exist."""
    for command in commands(scheduler, task_id, MANAGER):
        with pytest.raises(TaskNotFound):
            await command()


async def test_who_did_it_stands_in_the_log(scheduler: TaskScheduler) -> None:
    """By reference, with the reason."""
    task_id = await scheduler.schedule_task(task(), principal=MANAGER)
    await scheduler.commands.pause(task_id, principal=MANAGER, reason="holiday")
    created, paused = (r.event for r in scheduler.queries.history(task_id))
    assert created.by == "person:1"  # type: ignore[union-attr]
    assert (paused.by, paused.reason) == ("person:1", "holiday")  # type: ignore[union-attr]


async def test_everything_survives_a_restart(tmp_path: Path, clock: HandClock) -> None:
    """Defects 1, 2, 4, 5: tasks lost on restart, edits saved as inactive, pauses and fields not persisted."""
    first = scheduler_on(tmp_path, clock)
    ids = [await first.schedule_task(task(name=n, max_failures=7, parameters={"n": n})) for n in ("a", "b", "c")]
    await first.commands.pause(ids[0])
    await first.commands.revise(ids[1], {"name": "edited"})
    await first.commands.cancel(ids[2])
    before = [scheduler_view.to_dict() for scheduler_view in first.queries.tasks(archived=True)]
    await first.stop()
    second = scheduler_on(tmp_path, clock, "n2")
    await second.open()
    assert [view.to_dict() for view in second.queries.tasks(archived=True)] == before
    assert [view.status.value for view in map(second.queries.task, ids)] == ["paused", "active", "cancelled"]
    await second.stop()


async def test_a_refused_command_changes_nothing(scheduler: TaskScheduler, clock: HandClock) -> None:
    """Neither the log nor the rows."""
    task_id = await scheduler.schedule_task(task())
    before, position = scheduler.queries.task(task_id), scheduler.stores.log.last_position()
    do = scheduler.commands
    for command in (
        lambda: do.resume(task_id),
        lambda: do.pause(task_id, until=clock.now()),
        lambda: do.skip_next(task_id, 0),
        lambda: do.revise(task_id, {"timezone": "Mars/X"}),
        lambda: do.revise(task_id, {"schedule_type": "once", "next_run": clock.now() - timedelta(days=1)}),
        lambda: do.revise(task_id, {"guild_id": "2"}),
        lambda: do.revise(task_id, {"operation": None, "task_type": "summary"}),
        lambda: do.revise(task_id, {"destinations": [{"type": "email", "target": "a@example.org"}]}),
    ):
        with pytest.raises((Refused, InvalidInput)):
            await command()
    assert scheduler.stores.log.last_position() == position
    assert scheduler.queries.task(task_id) == before


async def test_settings_of_a_guild_give_its_tasks_their_zone(scheduler: TaskScheduler) -> None:
    """A task that names no zone is meant in its guild's."""
    await scheduler.commands.change_settings("1", GuildSettings(timezone="America/Toronto"), principal=MANAGER)
    task_id = await scheduler.schedule_task(task(schedule_type="daily"), principal=MANAGER)
    assert scheduler.queries.task(task_id).timezone == "America/Toronto"
    for principal, error in ((VIEWER, Forbidden), (STRANGER, NotFound)):
        with pytest.raises(error):
            await scheduler.commands.change_settings("1", GuildSettings(), principal=principal)
    with pytest.raises(InvalidInput):
        await scheduler.commands.change_settings("1", GuildSettings(timezone="Mars/X"), principal=MANAGER)


@pytest.mark.parametrize("days", [-1, 36_501, float("nan"), True])
def test_an_unreasonable_retention_is_refused(days: float) -> None:
    """Defect 33: cleanup did nothing and returned success. Nor does it do something that was not meant."""
    with pytest.raises(InvalidInput):
        Cleanup("1", days)


async def test_a_guild_cleans_up_only_itself(scheduler: TaskScheduler) -> None:
    """All guilds at once are the operator's."""
    for cleanup, principal in ((Cleanup(None), MANAGER), (Cleanup("1"), VIEWER), (Cleanup("1"), STRANGER)):
        with pytest.raises(DaybookError):
            await scheduler.commands.clean_up(cleanup, principal=principal)
    everywhere = task(task_type="cleanup", operation=None, parameters={"all_guilds": True})
    with pytest.raises(Forbidden):
        await scheduler.schedule_task(everywhere, principal=MANAGER)
    with pytest.raises(InvalidInput):
        await scheduler.schedule_task(task(task_type="cleanup", operation=None, parameters={"retention": 3}))


async def test_a_slot_missed_while_down_runs_at_the_start(tmp_path: Path, clock: HandClock) -> None:
    """Defect 8 and case 11, through the whole service: it was down from 08:59:50 to 09:00:30."""
    first = scheduler_on(tmp_path, clock)
    await first.start()
    task_id = await first.schedule_task(task())
    clock.instant = EARLY + timedelta(minutes=59, seconds=50)
    await first.stop()
    clock.move(timedelta(seconds=40))
    second = scheduler_on(tmp_path, clock, "n2")
    await second.start()
    await looked(second)
    await second.stop()
    third = scheduler_on(tmp_path, clock, "n3")
    await third.open()
    [run] = third.queries.runs(task_id=task_id)
    assert (run.slot, run.lateness_seconds) == (EARLY + timedelta(hours=1), 30)
    assert third.queries.skips(task_id) == []
    await third.stop()


async def test_a_finished_once_does_not_fire_again(tmp_path: Path, clock: HandClock) -> None:
    """Defect 3: a ONCE task fired again at every restart."""
    first = scheduler_on(tmp_path, clock)
    await first.start()
    task_id = await first.schedule_task(task(schedule_type="once", next_run=EARLY + timedelta(minutes=5)))
    clock.move(timedelta(minutes=6))
    await looked(first)
    await first.stop()
    for node in ("n2", "n3", "n4"):
        again = scheduler_on(tmp_path, clock, node)
        await again.start()
        await looked(again)
        await again.stop()
        clock.move(timedelta(days=1))
    last = scheduler_on(tmp_path, clock, "n9")
    await last.open()
    assert len(last.queries.runs(task_id=task_id)) == 1
    assert last.queries.task(task_id).status.value == "completed"
    await last.stop()


async def test_the_same_request_asks_once(scheduler: TaskScheduler) -> None:
    """A button pressed twice, or a caller whose answer was lost, gets the same run and starts nothing."""
    task_id = await scheduler.schedule_task(task())
    asked = [scheduler.commands.request_run(task_id, request="again") for _ in range(3)]
    [run] = set(await asyncio.gather(*asked))
    assert await scheduler.commands.request_run(task_id, request="again") == run
    assert len(scheduler.queries.runs(task_id=task_id)) == 1
    assert [type(event).__name__ for _, event in scheduler.stores.log.stream(UUID(task_id))].count("Requested") == 1


async def test_the_next_claims_are_written_with_how_the_last_runs_ended(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place is free as soon as its work has ended, and no sooner: one run at a time, and each commit serves two."""
    at_work, most = 0, 0

    async def count(run: Any) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1

    scheduler = scheduler_on(tmp_path, clock)
    await scheduler.open()
    scheduler.executor.register_operation("noop", count)
    scheduler.dispatcher.limits = Limits(runs=1)
    for number in range(5):
        await scheduler.schedule_task(task(name=f"Task {number}"))
    clock.instant = EARLY + timedelta(hours=1)
    commits: list[list[str]] = []
    append = scheduler.stores.log.append

    def noted(appends: Any) -> Any:
        commits.append([type(event).__name__ for one in appends for event in one.events])
        return append(appends)

    monkeypatch.setattr(scheduler.stores.log, "append", noted)
    await scheduler.start()
    while sum(commit.count("Executed") for commit in commits) < 5:  # noqa: ASYNC110  # nobody tells of a commit
        await asyncio.sleep(0.001)
    await scheduler.stop()
    assert most == 1
    runs = [sorted(commit) for commit in commits if {"Started", "Executed"} & set(commit)]
    assert runs == [["Started"], *[["Executed", "Started"]] * 4, ["Executed"]]
