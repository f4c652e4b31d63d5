"""What is due behind the claims that are being decided is looked up meanwhile: once each, and no less than is due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from application import dispatcher as dispatching
from application.ports import NOTHING
from application.rows import TaskRow
from daybook import TaskScheduler
from domain.errors import StoreUnavailable
from tests.application.test_scheduler import scheduler_on, task
from tests.doubles import EARLY, HandClock

DUE = EARLY + timedelta(hours=1)
TASKS = 10


@pytest.fixture
async def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TaskScheduler]:
    """One that claims three tasks at a time, and is not started: ten are due."""
    monkeypatch.setattr(dispatching, "CLAIM_BATCH", 3)
    clock = HandClock(EARLY)
    scheduler = scheduler_on(tmp_path, clock)
    await scheduler.open()
    for number in range(TASKS):
        await scheduler.schedule_task(task(name=f"Task {number}"))
    clock.instant = DUE
    yield scheduler
    await scheduler.stop()


def rows(scheduler: TaskScheduler) -> list[TaskRow]:
    """The tasks in the order of their names."""
    ids = [view.task_id for view in sorted(scheduler.queries.tasks(), key=lambda view: view.name)]
    found = [scheduler.stores.read_model.get(TaskRow, task_id) for task_id in ids]
    return [row for row in found if row is not None]


async def executed(scheduler: TaskScheduler, count: int) -> list[int]:
    """How often each task ran, as soon as there were so many runs, and nothing more is under way."""
    async with asyncio.timeout(30):
        while sum(row.executed for row in rows(scheduler)) < count or scheduler.dispatcher.active_runs:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # nobody tells of rows
    return [row.executed for row in rows(scheduler)]


async def test_each_task_runs_once(scheduler: TaskScheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """And most of them were looked up while others were being claimed."""
    found: list[list[str]] = []
    twice: list[str] = []
    look_ahead = scheduler.dispatcher._look_ahead

    def looked(asked: Any) -> None:
        look_ahead(asked)
        if (ahead := scheduler.dispatcher._ahead) is not None:
            found.append([task_id for task_id, _, _ in ahead.due])
            twice.extend(set(found[-1]) & set(asked))

    monkeypatch.setattr(scheduler.dispatcher, "_look_ahead", looked)
    await scheduler.start()
    assert await executed(scheduler, TASKS) == [1] * TASKS
    assert (len(found[0]), twice) == (3, [])


async def test_what_is_paused_before_it_is_claimed_does_not_run(
    scheduler: TaskScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was due when it was looked up; a claim is decided from the log."""
    paused: list[asyncio.Task[None]] = []
    look_ahead = scheduler.dispatcher._look_ahead

    def looked(asked: Any) -> None:
        look_ahead(asked)
        if not paused and scheduler.dispatcher._ahead is not None:
            task_id = scheduler.dispatcher._ahead.due[0][0]
            paused.append(asyncio.create_task(scheduler.commands.pause(task_id)))

    monkeypatch.setattr(scheduler.dispatcher, "_look_ahead", looked)
    await scheduler.start()
    ran = await executed(scheduler, TASKS - 1)
    await asyncio.gather(*paused)
    statuses = [row.status for row in rows(scheduler)]
    assert (len(paused), sorted(ran)) == (1, [0] + [1] * (TASKS - 1))
    assert [status == "paused" for status in statuses] == [count == 0 for count in ran]


async def test_what_was_looked_up_does_not_hold_for_long(
    scheduler: TaskScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where all of it is of guilds that have as many runs as they may: then it is looked up anew."""
    assert len(rows(scheduler)) == TASKS  # and so they have followed
    dispatcher, now = scheduler.dispatcher, DUE
    ahead = [("some task", "9", 0)]
    monkeypatch.setattr(dispatcher, "_exclusions", lambda *given: NOTHING)
    monkeypatch.setattr(dispatching, "AHEAD_SECONDS", 1_000.0)
    dispatcher._ahead = dispatching._Ahead(monotonic(), 7, ahead)
    assert [dispatcher._due(now, 3), dispatcher._ahead] == [(7, ahead), None]
    dispatcher._ahead = dispatching._Ahead(monotonic() - dispatching.AHEAD_SECONDS, 7, ahead)
    assert len(dispatcher._due(now, 3)[1]) == 3
    dispatcher._ahead = dispatching._Ahead(monotonic(), 7, ahead)
    dispatcher.runner.guilds["9"] = dispatcher.limits.runs_per_guild
    seen, due = dispatcher._due(now, 3)
    assert (seen, {guild_id for _, guild_id, _ in due}) == (dispatcher._shown, {"1"})
    dispatcher.runner.guilds.clear()


async def test_trouble_while_looking_ahead_is_left_to_the_next_look(
    scheduler: TaskScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost by it, and no claim is the worse for it."""
    look_ahead, due, asked = scheduler.dispatcher._look_ahead, scheduler.dispatcher._rows.due, list[int]()

    def unavailable(*given: Any) -> Any:
        raise StoreUnavailable("the disk is away")

    def troubled(ids: Any) -> None:
        asked.append(len(ids))
        monkeypatch.setattr(scheduler.dispatcher._rows, "due", unavailable)
        look_ahead(ids)
        monkeypatch.setattr(scheduler.dispatcher._rows, "due", due)

    monkeypatch.setattr(scheduler.dispatcher, "_look_ahead", troubled)
    await scheduler.start()
    assert await executed(scheduler, TASKS) == [1] * TASKS
    assert asked[0] == 3
