"""Whole histories out of a store and into another: what is written, what is refused, and what people may choose."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from application import import_streams
from application.history_file import EVERYTHING, Scope
from application.history_import import HistoryImport
from application.import_plan import Duplicates, ImportOptions, ImportPlan, Outcome
from application.ports import Append
from daybook import Destination, DestinationType, GuildSettings, TaskExecutor, TaskPersistence, TaskScheduler
from domain.definition import TaskType
from domain.errors import Forbidden, InvalidImport, NotFound, StoreError, TaskNotFound
from domain.guild import Guild, guild_stream
from domain.guild_erasure import Erased, ErasureRequested
from domain.guild_imports import HistoryImported
from domain.node import Node, node_stream
from domain.principal import OPERATOR, Permission, Principal
from domain.task import ScheduledTask
from infrastructure import bulk
from infrastructure.disk_map import DiskMap
from tests.doubles import EARLY, HandClock, HandTimer

MANAGER = Principal(reference="person:1", guild_id="1", permissions=frozenset(Permission))
Make = Callable[[str], Any]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Makes a service on a store of its own, at a standing clock, by name."""
    opened: list[TaskScheduler] = []

    async def fresh(name: str) -> TaskScheduler:
        clock = HandClock(EARLY)
        persistence = TaskPersistence(tmp_path / name, environment={})
        one = TaskScheduler(TaskExecutor(), persistence, clock=clock, timer=HandTimer(clock), node=name)
        await one.open()
        opened.append(one)
        return one

    yield fresh
    for one in opened:
        await one.stop()


def decided(aggregate: Any) -> Append:
    """What an aggregate has decided and nobody has written."""
    return Append(aggregate.id, aggregate.guild_id, tuple(aggregate.collect_events()))


def task(**fields: Any) -> ScheduledTask:
    """A custom task of guild 1."""
    known: dict[str, Any] = {"name": "a", "guild_id": "1", "task_type": TaskType.CUSTOM, "operation": "noop"}
    return ScheduledTask(now=EARLY, **{**known, "schedule_type": "hourly", **fields})


def lines_of(scheduler: TaskScheduler, scope: Scope = EVERYTHING, **more: Any) -> list[bytes]:
    """The lines of an export."""
    return list(scheduler.transfer.history.export(scope, **more).lines())


async def into(scheduler: TaskScheduler, lines: list[bytes], **more: Any) -> ImportPlan:
    """Import these lines as the operator."""
    more = {"principal": OPERATOR, **more}
    options = more.pop("options", ImportOptions())
    return await scheduler.transfer.history.import_file(lambda: iter(lines), options, **more)


def again(lines: list[bytes], changed: Callable[[list[dict[str, Any]]], None]) -> list[bytes]:
    """The file with changes that its last line vouches for: what a program of somebody else might write."""
    entries = [json.loads(line) for line in lines[:-1]]
    changed(entries)
    text = [json.dumps(entry).encode() + b"\n" for entry in entries]
    end = {**json.loads(lines[-1])["end"], "sha256": sha256(b"".join(text)).hexdigest()}
    end["events"] = sum("event" in entry for entry in entries)
    return [*text, json.dumps({"end": end}).encode() + b"\n"]


def topics(lines: list[bytes]) -> list[str]:
    """The topics of a file, in order."""
    return [json.loads(line).get("topic", "") for line in lines[1:-1]]


async def test_a_task_that_was_paused_until_an_instant_is_so_elsewhere(make: Make) -> None:
    """With its actor, its reason and its time, and it goes on by itself as it would have."""
    here, there = await make("a"), await make("b")
    task_id = await here.schedule_task(task())
    until = EARLY + timedelta(days=3)
    await here.pause_task(task_id, principal=MANAGER, reason="holidays", until=until)
    plan = await into(there, lines_of(here))
    assert (plan.count, plan.counts) == (1, {"new": 1})
    views = [one.queries.task(task_id) for one in (here, there)]
    assert views[0] == views[1]
    assert (views[1].paused_until, views[1].status_by, views[1].status_reason) == (until, "person:1", "holidays")


async def test_a_definition_keeps_until_when_it_is_paused(make: Make) -> None:
    """Also in the file without a history; a pause that is over by then is over."""
    here, there = await make("a"), await make("b")
    task_id = await here.schedule_task(task())
    await here.pause_task(task_id, until=EARLY + timedelta(days=3))
    text = json.dumps(here.transfer.export_tasks()).encode()
    await there.transfer.import_tasks(text)
    assert there.queries.task(task_id).paused_until == EARLY + timedelta(days=3)
    late = await make("c")
    late.clock.move(timedelta(days=4))
    await late.transfer.import_tasks(text)
    assert late.queries.task(task_id).is_active


async def test_an_import_is_written_down_with_where_it_is_from(make: Make) -> None:
    """In the guild's own stream: who, which file, how much. The digest is the one of the last line."""
    here, there = await make("a"), await make("b")
    await here.schedule_task(task())
    lines = lines_of(here)
    await into(there, lines)
    found = [one.event for one in there.stores.log.stream(guild_stream("1"))]
    told = found[-1]
    assert isinstance(told, HistoryImported)
    assert told.digest == json.loads(lines[-1])["end"]["sha256"]
    assert (told.guild_id, told.source_guild, told.tasks, told.by) == ("1", "1", 1, "operator")
    assert told.timestamp == EARLY
    assert told.events == len(lines) - 2


async def test_settings_of_a_guild_come_along_and_those_that_are_here_stay(make: Make) -> None:
    """A guild that has a stream here keeps it, and the plan says so."""
    here, there, other = await make("a"), await make("b"), await make("c")
    await here.schedule_task(task())
    await here.commands.change_settings("1", GuildSettings(timezone="Europe/Berlin"))
    await other.commands.change_settings("1", GuildSettings(timezone="Asia/Tokyo"))
    lines = lines_of(here, Scope(guild_id="1"))
    await into(there, lines)
    assert there.queries.settings("1").timezone == "Europe/Berlin"
    plan = await into(other, lines)
    assert other.queries.settings("1").timezone == "Asia/Tokyo"
    assert plan.notes == ("guild 1 keeps the settings that it has here",)
    assert plan.count == 1


async def test_an_export_of_one_task_or_one_guild_holds_nothing_else(make: Make) -> None:
    """And only of what the principal may see."""
    here = await make("a")
    mine = await here.schedule_task(task())
    await here.schedule_task(task(name="b"))
    await here.schedule_task(task(name="c", guild_id="2"))
    one = lines_of(here, Scope(task_id=mine))
    assert topics(one) == ["task.created"]
    assert json.loads(one[0])["scope"] == {"task": mine}
    guild = lines_of(here, Scope(guild_id="1"))
    assert topics(guild).count("task.created") == 2
    assert all(b'"guild_id":"2"' not in line for line in guild)
    assert topics(lines_of(here)).count("task.created") == 3
    assert lines_of(here, principal=MANAGER)[1:-1] == guild[1:-1]
    theirs = Principal(reference="person:2", guild_id="2", permissions=frozenset(Permission))
    with pytest.raises(TaskNotFound):
        lines_of(here, Scope(task_id=mine), principal=theirs)
    with pytest.raises(NotFound):
        lines_of(here, Scope(guild_id="1"), principal=theirs)


async def test_only_the_operator_imports_history(make: Make) -> None:
    """Whoever could would write what others are said to have done."""
    here, there = await make("a"), await make("b")
    await here.schedule_task(task())
    for principal in (MANAGER, Principal(reference="viewer")):
        with pytest.raises(Forbidden):
            await into(there, lines_of(here), principal=principal)
    assert there.stores.log.last_position() == 0


async def test_the_same_file_twice_changes_nothing(make: Make) -> None:
    """Also when the task has gone on here since."""
    here, there = await make("a"), await make("b")
    task_id = await here.schedule_task(task())
    lines = lines_of(here)
    await into(there, lines)
    await there.pause_task(task_id)
    position = there.stores.log.last_position()
    plan = await into(there, lines)
    assert (plan.counts, plan.events) == ({"same": 1}, 0)
    assert there.stores.log.last_position() == position


async def parted(make: Make) -> tuple[TaskScheduler, str, list[bytes]]:
    """A store, the id of a task in it, and a file in which that task went another way."""
    here, there = await make("a"), await make("b")
    task_id = await here.schedule_task(task())
    lines = lines_of(here, Scope(task_id=task_id))
    await into(there, lines)
    await here.pause_task(task_id, reason="here")
    await there.pause_task(task_id, reason="there")
    return there, task_id, lines_of(here, Scope(task_id=task_id))


async def test_another_history_of_the_same_task_is_refused_by_name(make: Make) -> None:
    """A dry run shows it; nothing is written by either."""
    there, task_id, lines = await parted(make)
    position = there.stores.log.last_position()
    plan = await into(there, lines, dry_run=True)
    assert [one.outcome for one in plan.tasks] == [Outcome.REFUSED]
    with pytest.raises(InvalidImport, match=task_id):
        await into(there, lines)
    assert there.stores.log.last_position() == position


async def test_a_duplicate_can_be_skipped(make: Make) -> None:
    """What is here stays; nothing of that task is written."""
    there, task_id, lines = await parted(make)
    plan = await into(there, lines, options=ImportOptions(Duplicates.SKIP))
    assert plan.counts == {"skipped": 1}
    assert there.queries.task(task_id).status_reason == "there"


async def test_a_duplicate_can_be_replaced_and_loses_nothing(make: Make) -> None:
    """The one that is here is cancelled and keeps its history; the file's comes under another id, once."""
    there, task_id, lines = await parted(make)
    options = ImportOptions(Duplicates.REPLACE)
    [one] = (await into(there, lines, options=options)).tasks
    assert one.outcome is Outcome.REPLACED
    assert one.task_id not in (None, task_id)
    assert there.queries.task(task_id).status.value == "cancelled"
    assert there.queries.task(str(one.task_id)).status_reason == "here"
    assert (await into(there, lines, options=options)).counts == {"same": 1}
    [view] = await there.get_scheduled_tasks()
    assert view.task_id == one.task_id


async def test_many_duplicates_are_told_apart_although_few_fit_into_memory(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is named where it is refused, and ended where it is replaced; the others come as they are."""
    monkeypatch.setattr(import_streams, "MOST_HELD", 1)
    here, there = await make("a"), await make("b")
    ids = [await here.schedule_task(task(name=f"n{number}")) for number in range(6)]
    await into(there, lines_of(here))
    for number, task_id in enumerate(ids[:4]):
        await here.pause_task(task_id, reason=f"here {number}")
        await there.pause_task(task_id, reason=f"there {number}")
    lines = lines_of(here)
    plan = await into(there, lines, dry_run=True)
    assert plan.counts == {"refused": 4, "same": 2}
    assert [error.value for error in plan.refused] == [f"n{number}" for number in range(4)]
    assert [one.task_id for one in plan.tasks[:4]] == ids[:4]
    assert plan.tasks[-1].name == "n5"
    replaced = await into(there, lines, options=ImportOptions(Duplicates.REPLACE))
    assert replaced.counts == {"replaced": 4, "same": 2}
    ended = [there.queries.task(task_id).status.value for task_id in ids]
    assert ended == ["cancelled"] * 4 + ["active"] * 2
    new = [there.queries.task(str(one.task_id)).status_reason for one in replaced.tasks[:4]]
    assert new == [f"here {number}" for number in range(4)]


async def test_a_history_goes_into_another_guild(make: Make) -> None:
    """Sealed with that guild's key, without the settings of the one it is from; two guilds at once are refused."""
    here, there = await make("a"), await make("b")
    task_id = await here.schedule_task(task())
    await here.commands.change_settings("1", GuildSettings(timezone="Europe/Berlin"))
    await into(there, lines_of(here), options=ImportOptions(guild_id="9"))
    view = there.queries.task(task_id)
    assert view.guild_id == view.definition.guild_id == "9"
    assert there.queries.settings("9").timezone is None
    there.stores.vault.destroy_keys("9")
    assert all("erased" in str(one.event) for one in there.stores.log.stream(UUID(task_id)))
    await here.schedule_task(task(guild_id="2"))
    with pytest.raises(InvalidImport, match="2 guilds"):
        await into(there, lines_of(here), options=ImportOptions(guild_id="9"))


async def test_what_was_erased_is_left_out_and_named(make: Make) -> None:
    """An export of everything goes on; the file says what is missing and why."""
    here, there = await make("a"), await make("b")
    gone = await here.schedule_task(task(guild_id="2", name="gone"))
    kept = await here.schedule_task(task())
    here.stores.vault.destroy_keys("2")
    export = here.transfer.history.export()
    lines = list(export.lines())
    assert gone in export.left_out
    assert export.tasks == 1
    plan = await into(there, lines)
    assert plan.count == 1
    assert "left out" in plan.notes[0]
    assert [view.task_id for view in await there.get_scheduled_tasks()] == [kept]


async def test_what_comes_back_into_an_erased_guild_is_said(make: Make) -> None:
    """A file is older than the erasure: whoever imports it brings back what was to be forgotten."""
    here, there = await make("a"), await make("b")
    await here.schedule_task(task())
    lines = lines_of(here, Scope(guild_id="1"))
    guild = Guild.open("1", now=EARLY)
    guild.trigger_event(ErasureRequested, timestamp=EARLY, guild_id="1", by="p")
    there.stores.log.append([decided(guild)])
    with pytest.raises(InvalidImport, match="is being erased"):
        await into(there, lines)
    guild.trigger_event(Erased, timestamp=EARLY, guild_id="1", by="p", keys=(), tasks=1)
    there.stores.log.append([decided(guild)])
    plan = await into(there, lines)
    assert [note for note in plan.notes if "was erased here" in note]
    assert plan.count == 1


async def test_a_process_that_runs_elsewhere_is_not_thought_to_run_here(make: Make) -> None:
    """It was alive when the file was made, and that is all that is known."""
    here, there = await make("a"), await make("b")
    node = Node.start("n", now=EARLY, host="h", pid=1, version="1", rules="r")
    here.stores.log.append([decided(node)])
    await into(there, lines_of(here))
    last = there.stores.log.stream(node_stream("n"))[-1].event
    assert (last.topic, last.last_seen) == ("node.lost", EARLY)
    assert not there.queries.nodes(running_only=True)


async def test_a_secret_that_stayed_behind_is_named(make: Make) -> None:
    """The reference is in the file, the secret is not; whoever imports it is told before."""
    here, there = await make("a"), await make("b")
    url = "https://hooks.example.org/services/T0/B0/verysecret"
    place = Destination(type=DestinationType.WEBHOOK, target=url, format="slack")
    await here.schedule_task(task(destinations=[place]))
    lines = lines_of(here)
    assert b"verysecret" not in b"".join(lines)
    [one] = (await into(there, lines, dry_run=True)).tasks
    assert "the secret of hooks.example.org is not here: give it again" in one.warnings


def _edit(number: int, **changes: Any) -> Callable[[list[dict[str, Any]]], None]:
    def edit(entries: list[dict[str, Any]]) -> None:
        entries[number].update(changes)

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (_edit(0, format="daybook-history/2"), "no format that this program reads"),
        (_edit(0, exported_at="yesterday"), "line 1"),
        (_edit(0, exported_at="2026-01-01T00:00:00"), "line 1"),
        (_edit(1, version=2), "a version where 1 must follow"),
        (_edit(1, topic="task.danced"), "unknown to this program"),
        (_edit(1, schema=7), "unknown to this program"),
        (_edit(1, stream="../escaped"), "is not an event"),
        (_edit(1, topic="task.paused"), "cannot be read"),
        (_edit(2, stream=str(uuid4())), "whose beginning is not there"),
        (_edit(2, topic="node.stopped", event={"timestamp": "2026-01-01T00:00:00Z", "node": "n"}), "does not belong"),
        (lambda entries: entries.pop(1), "whose beginning is not there"),
        (lambda entries: entries.insert(2, entries[1]), "a version where 2 must follow"),
        (lambda entries: entries[1]["event"]["definition"].update(guild_id="2"), "another guild"),
        (lambda entries: entries[1]["event"].update(secret="x"), "cannot be read"),
    ],
)
async def test_a_file_that_no_store_would_write_is_refused_at_its_line(
    make: Make, edit: Callable[[list[dict[str, Any]]], None], said: str
) -> None:
    """Even where its digest fits: nothing is written that could not be loaded, and nothing at a path."""
    here, there = await make("a"), await make("b")
    task_id = await here.schedule_task(task())
    await here.update_task(task_id, name="b")
    with pytest.raises(InvalidImport, match=said):
        await into(there, again(lines_of(here, Scope(task_id=task_id)), edit))
    assert there.stores.log.last_position() == 0


async def test_a_guild_cannot_be_smuggled_into_the_stream_of_another(make: Make) -> None:
    """The stream of a guild is made from its id."""
    here, there = await make("a"), await make("b")
    await here.commands.change_settings("1", GuildSettings(timezone="Europe/Berlin"))
    with pytest.raises(InvalidImport, match="not the stream of that guild"):
        await into(there, again(lines_of(here), lambda entries: entries[1]["event"].update(guild_id="2")))


async def test_a_file_that_changes_between_the_readings_writes_nothing(make: Make) -> None:
    """What was checked is what is written."""
    here, there = await make("a"), await make("b")
    task_id = await here.schedule_task(task())
    first = lines_of(here)
    await here.pause_task(task_id)
    files = [first, lines_of(here)]
    with pytest.raises(InvalidImport, match="changed while it was read"):
        await there.transfer.history.import_file(lambda: iter(files.pop(0)), principal=OPERATOR)
    assert there.stores.log.last_position() == 0


async def test_a_store_that_moves_on_meanwhile_is_met_with_a_clear_word(make: Make) -> None:
    """Somebody made the same task between the two readings: nothing is written, and it can be tried again."""
    here, there = await make("a"), await make("b")
    one = task()
    created = list(one.pending_events)
    await here.schedule_task(one)
    lines, readings = lines_of(here), []

    def reading() -> Iterator[bytes]:
        readings.append(1)
        if len(readings) == 2:
            there.stores.log.append([Append(one.id, "1", created)])
        return iter(lines)

    with pytest.raises(StoreError, match="try again"):
        await there.transfer.history.import_file(reading, principal=OPERATOR)
    assert there.stores.log.last_position() == 1


def long_history(events: int) -> Iterator[Append]:
    """One task that was asked to run, and did, very often."""
    one = task()
    yield decided(one)
    for number in range(events // 3):
        now = EARLY + timedelta(seconds=number)
        run = one.request_run(f"r{number}", now=now, by="p")
        attempt = one.claim_request(run, now=now, node="n", deadline=timedelta(minutes=15))
        one.conclude(run, attempt.attempt, attempt.owner, now=now)
        yield decided(one)


def peak_of(work: Callable[[], object]) -> int:
    """The most bytes that Python held while this was done."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_memory_does_not_grow_with_the_number_of_tasks(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the tasks, more than are held as they are, take about the same memory.

    Their rule is one that all share: compiled rules are cached, up to a bound that these are far from.
    """
    monkeypatch.setattr(import_streams, "MOST_HELD", 50)
    monkeypatch.setattr(bulk, "CHUNK_EVENTS", 50)

    async def peak(tasks: int) -> int:
        here, there = await make(f"from {tasks}"), await make(f"to {tasks}")
        here.stores.log.append_all(decided(task(name=f"n{number}", schedule_type="daily")) for number in range(tasks))
        file = lines_of(here)

        def read() -> None:
            work = HistoryImport(
                there.stores.log, lambda: iter(file), ImportOptions(), now=EARLY, by="operator", spill=DiskMap
            )
            plan = work.plan()
            assert work.write(plan) == tasks + 2  # the guild and where this is from
            assert sum(one.events for one in plan.tasks) == plan.count == tasks

        return peak_of(read)

    await peak(200)
    small, large = await peak(500), await peak(2_000)
    assert large < 1.5 * small


async def test_memory_does_not_grow_with_the_length_of_a_history(make: Make, tmp_path: Path) -> None:
    """Four times the events, out into a file and in from it, take about the same memory."""

    async def peaks(events: int) -> tuple[int, int]:
        here, there = await make(f"from {events}"), await make(f"to {events}")
        here.stores.log.append_all(long_history(events))
        file = tmp_path / f"{events}.jsonl"

        def write() -> None:
            with file.open("wb") as target:
                target.writelines(here.transfer.history.export().lines())

        def lines() -> Iterator[bytes]:
            with file.open("rb") as source:
                yield from source

        def read() -> None:
            work = HistoryImport(there.stores.log, lines, ImportOptions(), now=EARLY, by="operator")
            assert work.write(work.plan()) > 0.9 * events

        return peak_of(write), peak_of(read)

    await peaks(1_000)
    small, large = await peaks(2_500), await peaks(10_000)
    assert large[0] < 1.5 * small[0]
    assert large[1] < 1.5 * small[1]
