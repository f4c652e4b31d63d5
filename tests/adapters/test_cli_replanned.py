"""New calendar rules move the future only, and the daybook says which tasks moved, from when to when."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import domain.task
from daybook import TaskExecutor, TaskPersistence, TaskScheduler
from domain.schedule import Schedule, next_after
from domain.task import ScheduledTask
from tests.adapters.cli_runner import Daybook
from tests.doubles import EARLY, HandClock, HandTimer

RULES = "domain.task.rules_fingerprint", "application.node_record.rules_fingerprint"


def scheduler_on(folder: Path) -> TaskScheduler:
    """A service whose clock stands still before any slot."""
    clock = HandClock(EARLY)
    return TaskScheduler(TaskExecutor(), TaskPersistence(folder, environment={}), clock=clock, timer=HandTimer(clock))


def task(name: str, **fields: Any) -> ScheduledTask:
    """A custom task at nine."""
    return ScheduledTask(name=name, guild_id="1", task_type="custom", operation="o", schedule_time="09:00", **fields)


def as_it_was(schedule: Schedule, instant: datetime) -> datetime | None:
    """The next slot by rules under which Toronto was an hour later."""
    slot = next_after(schedule, instant)
    return slot + timedelta(hours=1) if slot is not None and schedule.timezone == "America/Toronto" else slot


async def scheduled(folder: Path) -> list[str]:
    """Two tasks, made by a service that then stops."""
    service = scheduler_on(folder)
    await service.start()
    zones = {"moved": "America/Toronto", "kept": "Europe/Berlin"}
    ids = [await service.schedule_task(task(name, timezone=zone)) for name, zone in zones.items()]
    await service.stop()
    return ids


async def restarted(folder: Path, task_id: str) -> datetime:
    """The next slot of a task after a start of the service."""
    service = scheduler_on(folder)
    await service.start()
    following = (await service.get_task_status(task_id)).next_run_time
    await service.stop()
    assert following is not None
    return following


async def test_a_task_that_is_over_under_new_rules_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks are planned again page by page; one that ends meanwhile must not push another out of sight."""
    monkeypatch.setattr("application.recovery.PAGE", 1)
    with monkeypatch.context() as before:
        for name in RULES:
            before.setattr(name, lambda: "older rules")
        before.setattr(domain.task, "next_after", as_it_was)
        service = scheduler_on(tmp_path)
        await service.start()
        once = ScheduledTask(
            name="a", guild_id="1", task_type="custom", operation="o", schedule_type="once", timezone="America/Toronto",
            next_run=EARLY + timedelta(minutes=30),
        )  # fmt: skip
        over = await service.schedule_task(once)
        moved = await service.schedule_task(task("b", timezone="America/Toronto"))
        await service.stop()
    clock = HandClock(EARLY + timedelta(hours=1))  # the slot of the first is past, and was decided for later
    service = TaskScheduler(
        TaskExecutor(), TaskPersistence(tmp_path, environment={}), clock=clock, timer=HandTimer(clock)
    )
    await service.start()
    topics = {task_id: [r.event.topic for r in service.queries.history(task_id)] for task_id in (over, moved)}
    await service.stop()
    assert topics[over] == ["task.created", "task.replanned", "task.completed"]
    assert topics[moved] == ["task.created", "task.replanned"]


def test_the_history_of_a_task_says_what_new_rules_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upgrade after which Toronto is an hour earlier replans its task, once, and leaves the other alone."""
    folder = tmp_path / "data"
    with monkeypatch.context() as before:
        for name in RULES:
            before.setattr(name, lambda: "older rules")
        before.setattr(domain.task, "next_after", as_it_was)
        moved, kept = asyncio.run(scheduled(folder))
    now = [asyncio.run(restarted(folder, moved)) for _ in range(2)]

    assert now == [next_after(task("t", timezone="America/Toronto").definition.schedule, EARLY)] * 2
    events = Daybook(folder)("history", moved, "--json").json
    assert [event["topic"] for event in events] == ["task.created", "task.replanned"]
    assert events[1]["previous"] == (now[0] + timedelta(hours=1)).isoformat()
    assert events[1]["next_slot"] == now[0].isoformat()
    assert [event["topic"] for event in Daybook(folder)("history", kept, "--json").json] == ["task.created"]
    shown = Daybook(folder)("history", moved).out.splitlines()[-1]
    assert "replanned" in shown
    assert "previous 2026-" in shown
    assert "next slot 2026-" in shown
