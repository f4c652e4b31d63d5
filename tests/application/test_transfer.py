"""Export files and imports: whole or not at all, ours and the predecessor's, and nobody else's tasks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from application.import_file import entries_of_files
from application.transfer import parse_import
from daybook import Destination, TaskExecutor, TaskPersistence, TaskScheduler
from domain.definition import TaskType
from domain.errors import DaybookError, InvalidDestination, InvalidImport
from domain.principal import OPERATOR, Permission, Principal
from domain.schedule import ScheduleType
from domain.task import ScheduledTask
from domain.task_events import Created
from tests.doubles import EARLY, HandClock, HandTimer

MANAGER = Principal(reference="person:1", guild_id="1", permissions=frozenset(Permission))


@pytest.fixture
async def scheduler(tmp_path: Path) -> AsyncIterator[TaskScheduler]:
    """A scheduler on an empty store, at a standing clock."""
    clock = HandClock(EARLY)
    scheduler = TaskScheduler(
        TaskExecutor(),
        TaskPersistence(tmp_path / "data", environment={}),
        clock=clock,
        timer=HandTimer(clock),
        node="n1",
    )
    await scheduler.open()
    yield scheduler
    await scheduler.stop()


def task(**fields: Any) -> ScheduledTask:
    """A custom task of guild 1."""
    known: dict[str, Any] = {"name": "a", "guild_id": "1", "task_type": TaskType.CUSTOM, "operation": "noop"}
    return ScheduledTask(now=EARLY, **{**known, "schedule_type": "hourly", **fields})


def predecessor(**fields: Any) -> dict[str, Any]:
    """A task as the predecessor exported it."""
    return {
        "id": "task-1",
        "name": "Daily",
        "channel_id": "11",
        "channel_ids": ["11", "12"],
        "guild_id": "1",
        "task_type": "summary",
        "schedule_type": "daily",
        "schedule_time": "09:00",
        "schedule_days": [],
        "cron_expression": None,
        "destinations": [{"type": "file", "target": "", "format": "markdown", "enabled": True}],
        "summary_options": {"summary_length": "brief", "min_messages": 3, "excluded_users": ["5"]},
        "is_active": True,
        "created_at": "2025-01-31T10:00:00",
        "created_by": "42",
        "last_run": "2025-02-01T09:00:00",
        "next_run": "2025-02-02T09:00:00",
        "run_count": 7,
        "failure_count": 1,
        "max_failures": 4,
        "retry_delay_minutes": 7,
        "category_id": None,
        "excluded_channel_ids": ["13"],
        "category_mode": "combined",
        "timezone": "Europe/Berlin",
        "time_range_hours": 24,
        "title_template": "{name}",
        **fields,
    }


def file_of(*tasks: dict[str, Any]) -> bytes:
    """An export file."""
    return json.dumps({"export_date": "2026-01-01", "task_count": len(tasks), "tasks": list(tasks)}).encode()


def parsed(*tasks: dict[str, Any]) -> list[Any]:
    """The checked tasks of a file."""
    return parse_import(file_of(*tasks), now=EARLY)


def test_every_field_of_the_predecessor_arrives() -> None:
    """Defect 5: persistence dropped fields."""
    [imported] = parsed(predecessor())
    definition = imported.definition
    assert imported.id is None
    assert not imported.paused
    assert definition.all_channel_ids == ("11", "12")
    assert definition.excluded_channel_ids == ("13",)
    assert (definition.max_failures, definition.retry_delay_minutes, definition.time_range_hours) == (4, 7, 24)
    assert definition.summary_options.min_messages == 3
    assert definition.summary_options.excluded_users == ("5",)
    assert definition.schedule.timezone == "Europe/Berlin"
    assert definition.title_template == "{name}"
    assert definition.created_by == "42"


@pytest.mark.parametrize("name", ["../escaped", "/etc/passwd", "..\\x", "", None, 5, "a/b"])
def test_an_id_of_a_file_never_becomes_a_path(name: Any) -> None:
    """Defect 7: import of an id `../escaped` wrote outside the folder."""
    [imported] = parsed(predecessor(id=name))
    assert imported.id is None


def test_an_inactive_task_comes_back_paused() -> None:
    """It does not begin to run because it was moved."""
    [imported] = parsed(predecessor(is_active=False))
    assert imported.paused


def test_the_predecessors_names_of_schedules_are_understood() -> None:
    """half-weekly, fifteen-minutes, custom with cron and monthly with its anchor in created_at."""
    kinds = [
        {"schedule_type": "half-weekly"},
        {"schedule_type": "fifteen-minutes"},
        {"schedule_type": "custom", "cron_expression": "0 9 * * 1"},
        {"schedule_type": "monthly"},
    ]
    imported = [i.definition.schedule for i in parsed(*(predecessor(id=None, **kind) for kind in kinds))]
    assert [s.type for s in imported] == [
        ScheduleType.HALF_WEEKLY,
        ScheduleType.FIFTEEN_MINUTES,
        ScheduleType.CUSTOM,
        ScheduleType.MONTHLY,
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"", "line 1, column 1"),
        (b'{"tasks": [', "line 1"),
        (b"\xff\xfe", "byte 0"),
        (b"[]", "file"),
        (b'{"tasks": 5}', "file"),
        (b'{"tasks": [5]}', "tasks[0]"),
        (b'{"format": "daybook-tasks/9", "tasks": []}', "format"),
        (b'{"format": "something else", "tasks": []}', "format"),
        (b'{"format": 1, "tasks": []}', "format"),
        (b'{"tasks": [{"name": "a", "name": "b"}]}', "key name"),
        (b'{"tasks": [{"name": NaN}]}', "number"),
        (b'{"tasks": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "file"),
        (file_of(predecessor(), predecessor(timezone="Mars/X")), "tasks[1].timezone"),
        (file_of(predecessor(schedule_time="25:00")), "tasks[0]"),
        (file_of(predecessor(name="")), "tasks[0].name"),
        (file_of(predecessor(destinations=[])), "tasks[0].destinations"),
        (file_of(predecessor(nonsense=1)), "tasks[0].nonsense"),
        (file_of(predecessor(created_at="yesterday")), "tasks[0].created_at"),
        (file_of(*[predecessor(id="0190a1b2-c3d4-7e5f-8a6b-9c0d1e2f3a4b")] * 2), "tasks"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(text: bytes, place: str) -> None:
    """What is wrong is named where it is."""
    with pytest.raises(InvalidImport) as caught:
        parse_import(text, now=EARLY)
    assert place in caught.value.field


def test_a_file_of_a_newer_version_asks_for_an_upgrade() -> None:
    """It may say things that this version would not see; a file of ours and one that names no version are read."""
    with pytest.raises(InvalidImport, match=r"'daybook-tasks/9' was written by a newer Daybook; upgrade this one"):
        parse_import(b'{"format": "daybook-tasks/9", "tasks": []}', now=EARLY)
    [broken] = entries_of_files([("new.json", b'{"format": "daybook-tasks/2", "tasks": []}')])
    assert isinstance(broken.value, InvalidImport)
    assert "upgrade this one" in broken.value.remedy
    for text in (b'{"format": "daybook-tasks/1", "tasks": []}', b'{"tasks": []}'):
        assert parse_import(text, now=EARLY) == []


async def test_export_and_import_give_the_same_tasks(scheduler: TaskScheduler, tmp_path: Path) -> None:
    """Defect 1: export and import then gave 0 tasks. Here, also twice: nothing is doubled."""
    for name in ("a", "b"):
        await scheduler.schedule_task(task(name=name, parameters={"x": [1, None]}))
    document = scheduler.transfer.export_tasks()
    text = json.dumps(document).encode()
    before = await scheduler.get_scheduled_tasks()
    assert await scheduler.transfer.import_tasks(text) == 2
    assert await scheduler.get_scheduled_tasks() == before
    other = TaskScheduler(
        TaskExecutor(), TaskPersistence(tmp_path / "other", environment={}), clock=HandClock(EARLY), node="n2"
    )
    await other.open()
    assert await other.transfer.import_tasks(text) == 2
    after = await other.get_scheduled_tasks()
    assert [(t.task_id, t.definition) for t in after] == [(t.task_id, t.definition) for t in before]
    await other.stop()


async def test_a_refused_import_writes_nothing(scheduler: TaskScheduler) -> None:
    """All or nothing: the good tasks of a bad file are not there either."""
    text = file_of(predecessor(), predecessor(destinations=[{"type": "email", "target": "a@example.org"}]))
    with pytest.raises(InvalidImport, match=r"tasks\[1\]"):
        await scheduler.transfer.import_tasks(text)
    assert await scheduler.get_scheduled_tasks() == []


async def test_a_dry_run_writes_nothing(scheduler: TaskScheduler) -> None:
    """It checks and counts."""
    assert await scheduler.transfer.import_tasks(file_of(predecessor()), dry_run=True) == 1
    assert await scheduler.get_scheduled_tasks() == []


async def test_an_import_names_who_imports_and_keeps_no_account(scheduler: TaskScheduler) -> None:
    """The event says who did it; who had made the task elsewhere stands behind a reference, which can be erased."""
    text = file_of(predecessor())
    for _ in range(2):
        await scheduler.transfer.import_tasks(text, principal=OPERATOR)
        [view] = await scheduler.get_scheduled_tasks()
        [(_, event), *more] = scheduler.stores.log.stream(UUID(view.task_id))
        assert isinstance(event, Created)
        assert event.by == "operator"
        assert scheduler.stores.vault.person("1", event.definition.created_by) == "42"
        assert more == []


async def test_an_ended_task_comes_back_under_a_new_id(scheduler: TaskScheduler) -> None:
    """What is over stays over; its history is not taken up again."""
    task_id = await scheduler.schedule_task(task())
    text = json.dumps(scheduler.transfer.export_tasks()).encode()
    await scheduler.cancel_task(task_id)
    for _ in range(2):
        assert (await scheduler.transfer.import_tasks(text)).renumbered == ("a",)
        [back] = await scheduler.get_scheduled_tasks()
        assert back.task_id != task_id


async def test_an_import_revises_what_differs(scheduler: TaskScheduler) -> None:
    """The file wins, the id and the history stay."""
    task_id = await scheduler.schedule_task(task())
    document = scheduler.transfer.export_tasks()
    document["tasks"][0]["name"] = "renamed"
    await scheduler.transfer.import_tasks(json.dumps(document).encode())
    view = await scheduler.get_task_status(task_id)
    assert (view.name, view.version) == ("renamed", 2)


async def test_a_program_is_told_what_to_know_of_an_import(scheduler: TaskScheduler) -> None:
    """Results that this process does not deliver, and what of the predecessor's tasks has no counterpart."""
    place = {"type": "discord_channel", "target": "123", "format": "embed", "enabled": True}
    told = predecessor(destinations=[place], platform="slack", enable_continuity=False)
    imported = await scheduler.transfer.import_tasks(file_of(told))
    assert imported == 1
    delivered, dropped, lost = imported.notes
    assert delivered.startswith("1 task: discord_channel is not delivered to by this process")
    assert dropped.endswith(": enable_continuity")
    assert lost.startswith("Daily: lost: its platform 'slack'")
    with pytest.raises(InvalidDestination, match="has no delivery here"):
        await scheduler.schedule_task(task(destinations=[Destination.model_validate(place)]))


async def test_an_import_that_a_task_refuses_changes_no_task(scheduler: TaskScheduler) -> None:
    """Whether the check or the decision itself refuses: the place is named, and what stood before it is not written."""
    first, second = [await scheduler.schedule_task(task(name=name)) for name in ("a", "b")]
    await scheduler.commands.skip_next(second, 5)
    document = scheduler.transfer.export_tasks()
    document["tasks"][0]["name"] = "renamed"
    document["tasks"][1]["schedule"]["end"] = (EARLY + timedelta(hours=3)).isoformat()
    with pytest.raises(InvalidImport, match=r"tasks\[1\]\.schedule: .*accounted"):
        await scheduler.transfer.import_tasks(json.dumps(document).encode())
    tasks = parse_import(json.dumps(document).encode(), now=EARLY)
    entries = [(t.definition, t.id, t.paused, scheduler.queries.task(str(t.id))) for t in tasks]
    with pytest.raises(InvalidImport, match=r"tasks\[5\]\.schedule"):
        await scheduler.commands.put_in_place(entries, places=["tasks[4]", "tasks[5]"])
    before = [scheduler.queries.task(i) for i in (first, second)]
    await scheduler.cancel_task(second)
    with pytest.raises(InvalidImport, match=r"tasks\[1\]: 'b'"):
        await scheduler.commands.put_in_place([(*entry[:3], view) for entry, view in zip(entries, before, strict=True)])
    assert [(t.name, t.version) for t in await scheduler.get_scheduled_tasks()] == [("a", 1)]


async def test_an_import_pauses_and_resumes_as_the_file_says(scheduler: TaskScheduler) -> None:
    """A backup brings the status back too; a task that is not active either way is left as it is."""
    task_id = await scheduler.schedule_task(task())
    active = json.dumps(scheduler.transfer.export_tasks()).encode()
    await scheduler.pause_task(task_id)
    paused = json.dumps(scheduler.transfer.export_tasks()).encode()
    await scheduler.transfer.import_tasks(paused)
    assert scheduler.queries.task(task_id).version == 2
    await scheduler.transfer.import_tasks(active)
    assert scheduler.queries.task(task_id).status.value == "active"
    for field in ({"is_active": False}, {"status": "disabled"}):
        document = json.loads(active)
        document["tasks"][0].update(field)
        await scheduler.transfer.import_tasks(json.dumps(document).encode())
        view = scheduler.queries.task(task_id)
        assert (view.status.value, view.status_reason) == ("paused", "was not active when it was exported")
        await scheduler.transfer.import_tasks(active)


async def test_the_id_of_another_guilds_task_is_no_way_to_it(scheduler: TaskScheduler) -> None:
    """A guild's file with such an id makes a task of its own; the other one is untouched, and the rest is written."""
    theirs = await scheduler.schedule_task(task(name="theirs", guild_id="2"))
    document = {
        "tasks": [
            {"id": theirs, "is_active": True, **task(name="mine").definition.model_dump(mode="json")},
            {"id": str(uuid4()), "is_active": True, **task(name="more").definition.model_dump(mode="json")},
        ]
    }
    for principal in (MANAGER, Principal(reference="operator", permissions=frozenset(Permission))):
        imported = await scheduler.transfer.import_tasks(json.dumps(document).encode(), principal=principal)
        assert (imported, imported.renumbered) == (2, ("mine",))
    view = await scheduler.get_task_status(theirs)
    assert (view.name, view.guild_id, view.version) == ("theirs", "2", 1)
    mine = await scheduler.get_scheduled_tasks(principal=MANAGER)
    assert sorted(t.name for t in mine) == ["mine", "more"]
    assert all(UUID(t.task_id) != UUID(theirs) for t in mine)


async def test_nobody_imports_into_a_guild_that_is_not_theirs(scheduler: TaskScheduler) -> None:
    """The place is named, and nothing is written."""
    with pytest.raises(InvalidImport, match=r"tasks\[0\]\.guild_id"):
        await scheduler.transfer.import_tasks(file_of(predecessor(guild_id="2")), principal=MANAGER)
    viewer = Principal(reference="person:2", guild_id="1")
    with pytest.raises(DaybookError):
        await scheduler.transfer.import_tasks(file_of(predecessor()), principal=viewer)
    assert await scheduler.get_scheduled_tasks() == []


async def test_a_task_whose_schedule_is_over_is_left_out(scheduler: TaskScheduler) -> None:
    """An old one-time task in a backup does not keep the others from coming back."""
    over = predecessor(id=str(uuid4()), schedule_type="once", next_run="2020-01-01T09:00:00Z", is_active=False)
    text = json.dumps({"tasks": [over, predecessor(id=str(uuid4()))]}).encode()
    assert await scheduler.transfer.import_tasks(text) == 1
    assert [view.name for view in await scheduler.get_scheduled_tasks()] == ["Daily"]


async def test_a_zone_that_is_null_is_the_default_zone(scheduler: TaskScheduler) -> None:
    """The predecessor wrote null where nobody had chosen a zone."""
    text = json.dumps({"tasks": [predecessor(timezone=None)]}).encode()
    await scheduler.transfer.import_tasks(text, default_timezone="Europe/Berlin")
    [view] = await scheduler.get_scheduled_tasks()
    assert view.timezone == "Europe/Berlin"


async def test_more_tasks_than_a_page_are_all_exported(
    scheduler: TaskScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup is whole, however many tasks there are."""
    monkeypatch.setattr("application.queries.MOST_LISTED", 3)
    for number in range(8):
        await scheduler.schedule_task(task(name=f"task {number}"))
    assert scheduler.transfer.export_tasks()["task_count"] == 8
