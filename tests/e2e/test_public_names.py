"""Every public call of the stable API, as its users write it: over a SQLite folder and over PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from application.preview import next_slots, preview
from daybook import (
    CleanupTask,
    CustomRun,
    DatabaseTaskPersistence,
    DaybookError,
    Destination,
    DestinationType,
    Permission,
    Principal,
    ScheduledTask,
    ScheduleType,
    SummaryLength,
    SummaryOptions,
    SummaryTask,
    TaskExecutor,
    TaskMetadata,
    TaskPersistence,
    TaskScheduler,
    TaskType,
)
from domain.errors import (
    Forbidden,
    InvalidDestination,
    InvalidImport,
    InvalidInput,
    InvalidSchedule,
    NotFound,
    RunNotFound,
    StoreError,
    StoreInUse,
    TaskEnded,
    TaskNotFound,
)
from domain.schedule import next_after, previous_before
from tests.doubles import HostBot, HostEngine, HostMessages, Quiet
from tests.e2e.conftest import GUILD

CHANNEL = "1184200000000001024"
MANAGER = Principal(reference="person:1", guild_id="7", permissions=frozenset(Permission))
VIEWER = Principal(reference="person:2", guild_id=GUILD, permissions=frozenset({Permission.VIEW}))


def a_task(**changes: Any) -> ScheduledTask:
    """The task of the documentation."""
    fields: dict[str, Any] = {
        "name": "Morning digest",
        "channel_id": "1",
        "guild_id": GUILD,
        "schedule_type": ScheduleType.DAILY,
        "schedule_time": "09:00",
        "destinations": [
            Destination(type=DestinationType.DISCORD_CHANNEL, target=CHANNEL, format="embed", enabled=True)
        ],
        "summary_options": SummaryOptions(summary_length=SummaryLength.DETAILED, min_messages=10, include_bots=False),
        "max_failures": 3,
        "retry_delay_minutes": 5,
    }
    return ScheduledTask(**(fields | changes))


def a_custom_task(operation: str = "report", **changes: Any) -> ScheduledTask:
    """A task that runs a registered handler."""
    fields: dict[str, Any] = {
        "name": "Report",
        "guild_id": GUILD,
        "task_type": TaskType.CUSTOM,
        "operation": operation,
        "parameters": {"rows": 3},
        "schedule_type": ScheduleType.DAILY,
        "schedule_time": "09:00",
    }
    return ScheduledTask(**(fields | changes))


# --- constructing and scheduling ------------------------------------------------------------------------------------


def test_constructing_a_task_records_its_creation_and_plans_it() -> None:
    """A constructed task has its Created event pending, is active, and knows its next run."""
    task = a_task()
    assert [type(event).__name__ for event in task.pending_events] == ["Created"]
    assert task.is_active
    assert task.next_run is not None
    assert task.next_run > datetime.now(UTC)
    assert (task.next_run.hour, task.next_run.minute) == (9, 0)


async def test_a_scheduled_task_is_there_with_all_that_was_said(scheduler: TaskScheduler) -> None:
    """schedule_task returns a string, and the task is listed and described by it."""
    task = a_task()
    task_id = await scheduler.schedule_task(task)
    assert isinstance(task_id, str)
    assert task_id == str(task.id)
    [view] = await scheduler.get_scheduled_tasks(guild_id=GUILD)
    status = await scheduler.get_task_status(task_id)
    assert view == status
    assert status["name"] == "Morning digest"
    assert status["next_run_time"] == task.next_run
    assert status["metadata"]["success_rate"] == 0
    assert status["status"] == "active"
    assert status["is_active"] is True
    assert view.definition == task.definition
    assert await scheduler.get_scheduled_tasks(guild_id="2") == []


async def test_a_status_reads_like_the_mapping_that_it_was(scheduler: TaskScheduler) -> None:
    """Existing code reads these keys; a program can write the whole as JSON."""
    status = await scheduler.get_task_status(await scheduler.schedule_task(a_task()))
    assert {"task_id", "name", "guild_id", "status", "is_active", "next_run_time", "metadata"} <= set(status)
    assert status.get("nothing") is None
    with pytest.raises(KeyError):
        status["nothing"]
    assert json.loads(json.dumps(status.to_dict()))["guild_id"] == GUILD
    with pytest.raises(AttributeError):
        status.name = "frozen"  # type: ignore[misc]


async def test_a_task_cannot_be_scheduled_twice(scheduler: TaskScheduler) -> None:
    """The second call is refused, and one task is there."""
    task = a_task()
    await scheduler.schedule_task(task)
    with pytest.raises(DaybookError, match="scheduled already"):
        await scheduler.schedule_task(task)
    assert len(await scheduler.get_scheduled_tasks()) == 1


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"timezone": "Mars/Olympus"}, InvalidInput, "Mars/Olympus"),
        ({"schedule_time": "25:00"}, InvalidSchedule, "25:00"),
        ({"schedule_type": ScheduleType.WEEKLY, "schedule_days": [7]}, InvalidSchedule, "0 .Monday. to 6"),
        ({"name": ""}, InvalidInput, "empty"),
        ({"name": "x" * 500}, InvalidInput, "500 characters"),
        ({"schedule_type": ScheduleType.CUSTOM, "cron_expression": "0 0 30 2 *"}, InvalidSchedule, "cron"),
        ({"schedule_type": "sometimes"}, InvalidSchedule, "sometimes"),
        ({"nam": "typo"}, InvalidInput, "not a field of a task"),
        ({"retry_delay_minutes": -1}, InvalidInput, "out of range"),
    ],
)
def test_a_task_that_cannot_be_meant_is_refused_when_it_is_made(
    changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    """The message says what was wrong."""
    with pytest.raises(error, match=words):
        a_task(**changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"destinations": []}, InvalidDestination),
        ({"destinations": [Destination(type=DestinationType.EMAIL, target="a@b.example")]}, InvalidDestination),
        ({"channel_id": ""}, InvalidInput),
        ({"guild_id": ""}, InvalidInput),
        ({"schedule_type": ScheduleType.ONCE, "next_run": datetime(2020, 1, 1, tzinfo=UTC)}, InvalidSchedule),
    ],
)
async def test_a_task_that_says_too_little_or_cannot_run_here_is_not_scheduled(
    scheduler: TaskScheduler, changes: dict[str, Any], error: type[Exception]
) -> None:
    """Nothing is written for a refused task."""
    with pytest.raises(error):
        await scheduler.schedule_task(a_task(**changes))
    assert await scheduler.get_scheduled_tasks() == []


async def test_naive_instants_are_wall_clock_time_in_the_zone_of_the_task(scheduler: TaskScheduler) -> None:
    """created_at and next_run as existing code writes them; in the scheduler's zone if the task names none."""
    zone = ZoneInfo("America/Toronto")
    wall = datetime.now(zone).replace(tzinfo=None, microsecond=0) + timedelta(days=2)
    once = a_task(schedule_type=ScheduleType.ONCE, next_run=wall, timezone="America/Toronto")
    assert once.next_run == wall.replace(tzinfo=zone)
    task_id = await scheduler.schedule_task(once)
    assert (await scheduler.get_task_status(task_id)).next_run_time == wall.replace(tzinfo=zone).astimezone(UTC)
    anchor = datetime(2026, 1, 31, 23, 30)  # noqa: DTZ001
    monthly = a_task(name="Monthly", schedule_type=ScheduleType.MONTHLY, created_at=anchor, timezone="Asia/Tokyo")
    assert monthly.definition.schedule.anchor == datetime(2026, 1, 31, 23, 30, tzinfo=ZoneInfo("Asia/Tokyo"))


async def test_a_naive_instant_is_refused_by_name_at_every_call_that_takes_one(scheduler: TaskScheduler) -> None:
    """Nobody can say which instant it is; the error is of our own tree and names the argument."""
    task = a_task()
    task_id = await scheduler.schedule_task(task)
    naive, aware = datetime(2026, 1, 31, 9, 0), datetime(2026, 1, 31, 9, 0, tzinfo=UTC)  # noqa: DTZ001
    schedule = task.definition.schedule
    with pytest.raises(InvalidInput, match=r"until: .*naive"):
        await scheduler.pause_task(task_id, until=naive)
    with pytest.raises(InvalidInput, match=r"start: .*naive"):
        await scheduler.commands.backfill(task_id, naive, aware)
    with pytest.raises(InvalidInput, match=r"end: .*naive"):
        await scheduler.commands.backfill(task_id, aware, naive)
    with pytest.raises(InvalidInput, match=r"now: .*naive"):
        scheduler.queries.overdue(naive)
    for look in (
        lambda: preview(schedule, after=naive),
        lambda: preview(schedule, after=aware, until=naive),
        lambda: next_slots(schedule, after=aware, until=naive),
        lambda: next_after(schedule, naive),
        lambda: previous_before(schedule, naive),
    ):
        with pytest.raises(InvalidInput, match="naive"):
            look()
    assert (await scheduler.get_task_status(task_id)).is_active


async def test_a_task_without_a_zone_gets_that_of_the_scheduler(
    executor: TaskExecutor, persistence: TaskPersistence
) -> None:
    """09:00 is nine o'clock where the scheduler is, not in UTC."""
    scheduler = TaskScheduler(task_executor=executor, persistence=persistence, timezone="America/Toronto")
    try:
        view = await scheduler.get_task_status(await scheduler.schedule_task(a_task()))
        assert view.next_run_time is not None
        assert view.next_run_time.astimezone(ZoneInfo("America/Toronto")).hour == 9
        assert view.timezone == "America/Toronto"
    finally:
        await scheduler.stop()


# --- changing -------------------------------------------------------------------------------------------------------


async def test_pause_resume_and_cancel_last(executor: TaskExecutor, place: Callable[[], TaskPersistence]) -> None:
    """Each state is there again after a restart: nothing of it lived in memory only."""

    async def restarted() -> TaskScheduler:
        scheduler = TaskScheduler(task_executor=executor, persistence=place())
        await scheduler.start()
        return scheduler

    scheduler = await restarted()
    task_id = await scheduler.schedule_task(a_task())
    await scheduler.pause_task(task_id, reason="holidays")
    await scheduler.stop()
    scheduler = await restarted()
    status = await scheduler.get_task_status(task_id)
    assert (status["status"], status.status_reason, status["next_run_time"]) == ("paused", "holidays", None)
    with pytest.raises(DaybookError, match="paused already"):
        await scheduler.pause_task(task_id)
    await scheduler.resume_task(task_id)
    await scheduler.stop()
    scheduler = await restarted()
    assert (await scheduler.get_task_status(task_id)).is_active
    await scheduler.cancel_task(task_id)
    assert await scheduler.get_scheduled_tasks() == []
    with pytest.raises(TaskEnded):
        await scheduler.resume_task(task_id)
    await scheduler.stop()


async def test_an_edit_keeps_the_task_active_and_moves_its_next_run(scheduler: TaskScheduler) -> None:
    """update_task takes the fields that the constructor takes."""
    task_id = await scheduler.schedule_task(a_task())
    await scheduler.update_task(task_id, schedule_time="21:30", name="Evening digest")
    view = await scheduler.get_task_status(task_id)
    assert view.is_active
    assert view.name == "Evening digest"
    assert view.next_run_time is not None
    assert (view.next_run_time.hour, view.next_run_time.minute) == (21, 30)


async def test_unknown_ids_are_not_found_whatever_they_look_like(scheduler: TaskScheduler) -> None:
    """An id that cannot be one is not found, like one that is not there."""
    for task_id in ("", "../escaped", "7" * 500, "00000000-0000-0000-0000-000000000000"):
        for call in (scheduler.get_task_status, scheduler.pause_task, scheduler.resume_task, scheduler.cancel_task):
            with pytest.raises(TaskNotFound):
                await call(task_id)
        with pytest.raises(KeyError):
            scheduler.task_metadata[task_id]


# --- running --------------------------------------------------------------------------------------------------------


async def test_a_summary_is_made_and_sent_and_counted(
    scheduler: TaskScheduler, executor: TaskExecutor, bot: HostBot, messages: HostMessages
) -> None:
    """execute_summary_task runs a scheduled task and says what came of it."""
    task = a_task()
    task_id = await scheduler.schedule_task(task)
    result = await executor.execute_summary_task(task)
    assert result.success
    assert result.summary_result is not None
    assert result.summary_result.id == "summary-1"
    assert result.execution_time_seconds > 0
    [delivery] = result.delivery_results
    assert (delivery.type, delivery.status, delivery.receipt) == (DestinationType.DISCORD_CHANNEL, "delivered", "1001")
    [(channel, sent)] = bot.sent
    assert channel == int(CHANNEL)
    assert "12 messages in 1" in str(sent["embed"].to_dict())
    [(_, start, end)] = messages.asked
    assert end - start >= timedelta(hours=1)
    status = await scheduler.get_task_status(task_id)
    assert status["metadata"]["success_rate"] == 100
    [run] = scheduler.queries.runs(task_id=task_id)
    assert (run.state, run.summary_id, run.messages) == ("executed", "summary-1", 12)
    again = await executor.execute_summary_task(SummaryTask(task))
    assert again.run_id != result.run_id
    assert len(bot.sent) == 2


async def test_a_failed_delivery_is_no_success(scheduler: TaskScheduler, executor: TaskExecutor, bot: HostBot) -> None:
    """What did not arrive is said, with the reason."""
    task = a_task()
    await scheduler.schedule_task(task)
    bot.error = ConnectionRefusedError("down")
    result = await executor.execute_summary_task(task)
    assert not result.success
    assert [d.status for d in result.delivery_results] == ["failed"]
    assert "discord_channel" in str(result.error_message)


async def test_a_quiet_channel_is_neither_success_nor_failure(
    scheduler: TaskScheduler, executor: TaskExecutor, messages: HostMessages, bot: HostBot
) -> None:
    """Too few messages, by count or by a host's own error: skipped, and no statistics move."""
    task = a_task()
    task_id = await scheduler.schedule_task(task)
    messages.count = 9
    few = await executor.execute_summary_task(task)
    messages.error = Quiet(2, 10)
    own = await executor.execute_summary_task(task)
    for result in (few, own):
        assert result.skipped
        assert not result.success
    metadata = scheduler.task_metadata[task_id]
    assert (metadata.execution_count, metadata.failure_count, metadata.skipped_runs) == (0, 0, 2)
    assert bot.sent == []


async def test_statistics_count_what_was_closed(
    scheduler: TaskScheduler, executor: TaskExecutor, engine: HostEngine
) -> None:
    """One success and one failure is half; durations are those of what succeeded."""
    task = a_task(max_failures=1)
    task_id = await scheduler.schedule_task(task)
    await executor.execute_summary_task(task)
    engine.errors = [RuntimeError("the model is away")]
    failed = await executor.execute_summary_task(task)
    assert "the model is away" in str(failed.error_message)
    metadata = scheduler.task_metadata[task_id]
    assert isinstance(metadata, TaskMetadata)
    assert (metadata.execution_count, metadata.failure_count, metadata.get_success_rate()) == (2, 1, 50)
    [ok] = scheduler.queries.runs(task_id=task_id, states=["executed"])
    assert metadata.average_duration_seconds == pytest.approx(ok.duration_seconds)
    assert list(scheduler.task_metadata) == [task_id]
    assert len(scheduler.task_metadata) == 1


async def test_a_custom_operation_gets_its_run(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    """A handler is given the task, the parameters, the slot and the attempt."""
    runs: list[CustomRun] = []

    async def report(run: CustomRun) -> None:
        runs.append(run)

    executor.register_operation("report", report)
    task = a_custom_task()
    task_id = await scheduler.schedule_task(task)
    assert (await scheduler.run_task_now(task_id)).success
    [run] = runs
    assert (run.task, run.parameters, run.slot, run.attempt) == (task.definition, {"rows": 3}, None, 1)


async def test_a_slot_runs_by_itself_when_it_comes(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    """The real timer: a slot half a second away runs once, as that slot, and a ONCE task is completed by it."""
    ran: asyncio.Queue[CustomRun] = asyncio.Queue()
    executor.register_operation("report", ran.put)
    slot = datetime.now(UTC) + timedelta(seconds=0.5)
    task_id = await scheduler.schedule_task(a_custom_task(schedule_type=ScheduleType.ONCE, next_run=slot))
    run = await asyncio.wait_for(ran.get(), 30)
    assert (run.slot, run.attempt, run.task_id) == (slot, 1, task_id)
    await scheduler.stop()
    await scheduler.start()
    assert (await scheduler.get_task_status(task_id))["status"] == "completed"
    assert ran.empty()


async def test_a_cleanup_really_deletes_and_says_how_many(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    """Old content of one guild goes, the log stays."""
    task = a_task()
    task_id = await scheduler.schedule_task(task)
    result = await executor.execute_summary_task(task)
    assert result.run_id is not None
    position = scheduler.stores.log.last_position()
    other = await executor.execute_cleanup_task(CleanupTask(task_id="c", guild_id="7", retention_days=0))
    assert other.items_deleted == 0
    kept = await executor.execute_cleanup_task(CleanupTask(task_id="c", guild_id=None, retention_days=90))
    assert kept.items_deleted == 0
    assert scheduler.queries.summary(result.run_id) is not None
    gone = await executor.execute_cleanup_task(
        CleanupTask(task_id="c", guild_id=GUILD, retention_days=0, delete_logs=True, delete_cached_data=True)
    )
    assert gone.success
    assert gone.items_deleted == 2  # the summary and the details of its run
    with pytest.raises(RunNotFound):
        scheduler.queries.summary(result.run_id)
    assert scheduler.stores.log.last_position() > position
    assert (await scheduler.get_task_status(task_id))["metadata"]["execution_count"] == 1


async def test_an_executor_that_is_bound_to_nothing_says_so() -> None:
    """It needs a scheduler before it can run what is scheduled."""
    with pytest.raises(StoreError, match="bound to no scheduler"):
        await TaskExecutor().execute_summary_task(a_task())


async def test_a_task_that_was_never_scheduled_is_not_found(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    """execute_summary_task is for scheduled tasks."""
    with pytest.raises(TaskNotFound):
        await executor.execute_summary_task(a_task())


# --- life -----------------------------------------------------------------------------------------------------------


async def test_stats_can_be_asked_at_any_time(executor: TaskExecutor, persistence: TaskPersistence) -> None:
    """get_scheduler_stats is synchronous and answers before the start, while running and after the stop."""
    scheduler = TaskScheduler(task_executor=executor, persistence=persistence, timezone="UTC")
    before = scheduler.get_scheduler_stats()
    assert (before["running"], before["active_tasks"], before["next_run_times"]) == (False, 0, [])
    with pytest.raises(StoreError, match="not open"):
        scheduler.task_metadata["x"]
    await scheduler.start()
    task = a_task()
    first = await scheduler.schedule_task(task)
    second = await scheduler.schedule_task(a_task(name="Paused"))
    await scheduler.pause_task(second)
    stats = scheduler.get_scheduler_stats()
    assert (stats["running"], stats["active_tasks"], stats["paused_tasks"]) == (True, 1, 1)
    assert stats["next_run_times"] == [{"task_id": first, "name": task.name, "next_run": task.next_run}]
    await scheduler.stop()
    assert scheduler.get_scheduler_stats()["running"] is False


async def test_stopping_twice_and_at_once_is_one_stop(scheduler: TaskScheduler) -> None:
    """stop is idempotent, also when two callers ask together."""
    await asyncio.gather(scheduler.stop(), scheduler.stop())
    await scheduler.stop()
    assert not scheduler.running


async def test_starting_after_a_stop_goes_on_exactly(
    executor: TaskExecutor, place: Callable[[], TaskPersistence]
) -> None:
    """A new scheduler on the same store has the same tasks, next runs, statistics and history."""
    first = TaskScheduler(task_executor=executor, persistence=place())
    await first.start()
    task = a_task()
    task_id = await first.schedule_task(task)
    await executor.execute_summary_task(task)
    before, runs = await first.get_task_status(task_id), first.queries.runs()
    history = first.queries.history(task_id)
    await first.stop()
    second = TaskScheduler(task_executor=executor, persistence=place())
    await second.start()
    assert await second.get_task_status(task_id) == before
    assert second.queries.runs() == runs
    assert second.queries.history(task_id) == history
    assert [node.lost for node in second.queries.nodes()] == [False, False]
    await second.stop()


async def test_two_schedulers_cannot_share_a_folder(
    executor: TaskExecutor, place: Callable[[], TaskPersistence], scheduler: TaskScheduler
) -> None:
    """The second is refused, and told who holds it; the first goes on."""
    second = TaskScheduler(task_executor=TaskExecutor(), persistence=place())
    with pytest.raises(StoreInUse, match=scheduler.node):
        await second.start()
    assert not second.running
    await second.stop()
    await scheduler.schedule_task(a_task())


async def test_a_handler_may_ask_the_scheduler_while_it_stops(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    """The drain lets runs end, so what they ask and command meanwhile must be answered."""
    begun, release = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    async def curious(run: CustomRun) -> None:
        begun.set()
        await release.wait()
        seen.append((await scheduler.get_task_status(run.task_id)).name)
        await scheduler.update_task(run.task_id, name="Renamed by its own run")

    executor.register_operation("report", curious)
    task_id = await scheduler.schedule_task(a_custom_task())
    running = asyncio.create_task(scheduler.run_task_now(task_id))
    await begun.wait()
    stopping = asyncio.create_task(scheduler.stop())
    await asyncio.sleep(0)
    release.set()
    assert (await asyncio.wait_for(running, 20)).success
    await stopping
    assert seen == ["Report"]
    assert not scheduler.running


async def test_the_same_executor_serves_another_scheduler(
    executor: TaskExecutor, scheduler: TaskScheduler, tmp_path: Path
) -> None:
    """An executor bound anew writes into the new scheduler's folder, and forgets the old one's clock."""
    await scheduler.stop()
    folder = tmp_path / "other"
    second = TaskScheduler(task_executor=executor, persistence=TaskPersistence(folder, environment={}))
    task = a_task(destinations=[Destination(type=DestinationType.FILE, format="markdown")])
    await second.schedule_task(task)
    assert (await executor.execute_summary_task(task)).success
    await second.stop()
    assert len(list((folder / "summaries").rglob("*.md"))) == 1


async def test_the_password_of_a_database_is_not_shown() -> None:
    """A repr ends up in logs."""
    assert "secret" not in repr(DatabaseTaskPersistence(database_url="postgresql://u:secret@localhost/x"))


# --- export and import ----------------------------------------------------------------------------------------------


async def test_an_export_brings_everything_back_into_an_empty_store(
    executor: TaskExecutor, scheduler: TaskScheduler, persistence: TaskPersistence, tmp_path: Path
) -> None:
    """Definitions, ids and whether they run survive the way through a file."""
    active = await scheduler.schedule_task(a_task(timezone="Europe/Berlin"))
    paused = await scheduler.schedule_task(a_task(name="Weekly", schedule_type=ScheduleType.WEEKLY, schedule_days=[0]))
    await scheduler.pause_task(paused)
    gone = await scheduler.schedule_task(a_task(name="Cancelled"))
    await scheduler.cancel_task(gone)
    backup = tmp_path / "backup.json"
    await persistence.export_tasks(backup)
    assert json.loads(backup.read_text())["task_count"] == 2
    empty = TaskPersistence(tmp_path / "empty", environment={})
    second = TaskScheduler(task_executor=executor, persistence=empty)
    assert await empty.import_tasks(backup) == 2
    for task_id in (active, paused):
        before, after = await scheduler.get_task_status(task_id), await second.get_task_status(task_id)
        assert (after.definition, after.status, after.next_run_time) == (
            before.definition, before.status, before.next_run_time
        )  # fmt: skip
    assert await empty.import_tasks(backup) == 2
    assert len(await second.get_scheduled_tasks()) == 2
    await second.stop()


async def test_an_export_of_the_predecessor_is_understood(
    scheduler: TaskScheduler, persistence: TaskPersistence, tmp_path: Path
) -> None:
    """Its field names, its naive times and its renamed option."""
    old = {
        "export_date": "2026-01-05T10:00:00",
        "task_count": 1,
        "tasks": [
            {
                "id": "../escaped",
                "name": "Old digest",
                "channel_id": "1",
                "guild_id": GUILD,
                "task_type": "summary",
                "schedule_type": "weekly",
                "schedule_time": "18:00",
                "schedule_days": [0, 4],
                "cron_expression": None,
                "destinations": [{"type": "discord_channel", "target": CHANNEL, "format": "embed", "enabled": True}],
                "summary_options": {"summary_length": "brief", "claude_model": "some-model", "min_messages": 5},
                "is_active": False,
                "created_at": "2025-12-01T09:00:00",
                "created_by": "123",
                "last_run": None,
                "next_run": "2026-01-06T18:00:00",
                "run_count": 3,
                "failure_count": 0,
                "max_failures": 3,
                "retry_delay_minutes": 5,
                "timezone": "America/Toronto",
            }
        ],
    }
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    assert await persistence.import_tasks(path) == 1
    [view] = await scheduler.get_scheduled_tasks()
    assert view.status == "paused"
    schedule = view.definition.schedule
    assert (schedule.time, schedule.days, schedule.timezone) == ("18:00", (0, 4), "America/Toronto")
    assert view.definition.summary_options.summarization_model == "some-model"
    assert not any("escaped" in name for _, _, names in os.walk(tmp_path.parent) for name in names)


async def test_a_broken_import_changes_nothing_and_names_the_place(
    scheduler: TaskScheduler, persistence: TaskPersistence, tmp_path: Path
) -> None:
    """All or nothing: the good task before the broken one is not imported either."""
    await scheduler.schedule_task(a_task())
    path = tmp_path / "backup.json"
    await persistence.export_tasks(path)
    document = json.loads(path.read_text())
    good = document["tasks"][0]
    bad = {**good, "id": "1", "schedule": {**good["schedule"], "timezone": "Mars/Olympus"}}
    document["tasks"] = [{**good, "id": None, "name": "Another"}, bad]
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidImport, match=r"tasks\[1\]"):
        await persistence.import_tasks(path)
    path.write_text('{"tasks": [')
    with pytest.raises(InvalidImport, match="line 1"):
        await persistence.import_tasks(path)
    assert [view.name for view in await scheduler.get_scheduled_tasks()] == ["Morning digest"]


async def test_a_persistence_alone_exports_and_imports_and_lets_go(
    executor: TaskExecutor, place: Callable[[], TaskPersistence], tmp_path: Path
) -> None:
    """Used without a scheduler it opens the store for the call only, so that a scheduler can start afterwards."""
    persistence = place()
    backup = tmp_path / "backup.json"
    assert await persistence.export_tasks(backup) == 0
    scheduler = TaskScheduler(task_executor=executor, persistence=persistence)
    await scheduler.start()
    await scheduler.schedule_task(a_task())
    assert await persistence.export_tasks(backup) == 1
    await scheduler.stop()


# --- guilds ---------------------------------------------------------------------------------------------------------


async def test_a_guild_sees_and_touches_only_its_own(scheduler: TaskScheduler, executor: TaskExecutor) -> None:
    """To another guild's principal a task does not exist, in every command and every query."""
    task_id = await scheduler.schedule_task(a_task())
    result = await scheduler.run_task_now(task_id)
    assert result.run_id is not None
    foreign: dict[str, Any] = {"principal": MANAGER}
    for call in (
        scheduler.get_task_status,
        scheduler.pause_task,
        scheduler.resume_task,
        scheduler.cancel_task,
        scheduler.run_task_now,
        scheduler.update_task,
        scheduler.commands.request_run,
        scheduler.commands.skip_next,
    ):
        with pytest.raises(TaskNotFound):
            await call(task_id, **foreign)
    for query in (
        scheduler.queries.task,
        scheduler.queries.metadata,
        scheduler.queries.skips,
        scheduler.queries.history,
        scheduler.queries.find_task,
    ):
        with pytest.raises(TaskNotFound):
            query(task_id, **foreign)
    with pytest.raises(TaskNotFound):
        scheduler.queries.runs(task_id=task_id, **foreign)
    for run_query in (scheduler.queries.run, scheduler.queries.summary):
        with pytest.raises(RunNotFound):
            run_query(result.run_id, **foreign)
    assert await scheduler.get_scheduled_tasks(**foreign) == []
    assert scheduler.queries.runs(**foreign) == []
    assert scheduler.queries.upcoming(**foreign) == []
    assert scheduler.queries.counts(**foreign) == {}
    assert [guild.guild_id for guild in scheduler.queries.guilds(**foreign)] == []
    with pytest.raises(NotFound):
        await scheduler.get_scheduled_tasks(guild_id=GUILD, **foreign)
    with pytest.raises(NotFound):
        scheduler.queries.guild(GUILD, **foreign)
    with pytest.raises(NotFound):
        await scheduler.schedule_task(a_task(), **foreign)
    with pytest.raises(NotFound):
        await executor.execute_cleanup_task(CleanupTask("c", guild_id=GUILD), **foreign)
    with pytest.raises(Forbidden):
        await executor.execute_cleanup_task(CleanupTask("c"), **foreign)
    view = await scheduler.get_task_status(task_id)
    assert (view.status, view.version) == ("active", view.version)


async def test_one_who_may_look_may_not_change(scheduler: TaskScheduler) -> None:
    """A viewer of the guild sees the task and is told that changing is not allowed."""
    task_id = await scheduler.schedule_task(a_task())
    assert (await scheduler.get_task_status(task_id, principal=VIEWER)).name == "Morning digest"
    for call in (scheduler.pause_task, scheduler.cancel_task, scheduler.run_task_now):
        with pytest.raises(Forbidden):
            await call(task_id, principal=VIEWER)
    with pytest.raises(Forbidden):
        await scheduler.schedule_task(a_task(name="Another"), principal=VIEWER)
