"""What every opening of a read model promises: the one that keeps the rows, one beside it, and one opened again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.ports import Exclusions, ReadModel, Recorded
from application.projections import project
from application.rows import TABLES, GuildRow, NodeRow, RowsInMemory, RunRow, SkipRow, TaskRow, TextRow
from domain.destination import Destination, DestinationType
from domain.errors import EventUnreadable
from domain.event import epoch_microseconds as us
from domain.guild import Guild, GuildSettings
from domain.node import Node
from domain.task_erasure import Erased, Tally
from infrastructure.read_model import SqliteReadModel
from tests.domain.task_parts import START, at, changed, claim, done, failed, make, outcome, summary_task


class Models:
    """One read model, the opening that writes it, and the opening that is asked."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind
        self.writer = SqliteReadModel(path)
        self.beside = SqliteReadModel(path, writable=False) if kind == "beside" else None
        self.end = 0

    @property
    def rows(self) -> ReadModel:
        """What is asked."""
        if self.kind == "again":
            self.writer.close()
            self.writer = SqliteReadModel(self.path)
        return self.writer if self.beside is None else self.beside

    def apply(self, *aggregates: Any) -> None:
        """Project the events that these were given since the last time, as the next of a log."""
        events = [event for aggregate in aggregates for event in aggregate.pending_events]
        for aggregate in aggregates:
            aggregate.pending_events.clear()
        self.apply_events(events)

    def apply_events(self, events: list[Any]) -> None:
        """Project these as the next of a log."""
        recorded = [Recorded(position, event) for position, event in enumerate(events, self.end + 1)]
        self.end += len(recorded)
        self.writer.apply(recorded)

    def close(self) -> None:
        """Release the file."""
        for model in (self.writer, self.beside):
            if model is not None:
                model.close()


@pytest.fixture(params=["writing", "beside", "again"])
def models(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Models]:
    """An empty read model."""
    models = Models(tmp_path / "rows.db", request.param)
    yield models
    models.close()


def names(listed: list[Any]) -> list[str]:
    """The names of listed tasks."""
    return [task.name for task, _ in listed]


def test_rows_and_position_are_there_when_apply_returns(models: Models) -> None:
    """Each batch is visible whole, to every opening, and the position says how far the log was read."""
    task = make()
    models.apply_events([])
    assert models.rows.position() == 0
    assert models.rows.get(TaskRow, str(task.id)) is None
    models.apply(task)
    assert models.rows.position() == 1
    task.pause(now=at(0.1), by="p", reason="why")
    models.apply(task)
    assert models.rows.position() == 2
    assert models.rows.get(TaskRow, str(task.id)).status == "paused"
    assert models.rows.get(TextRow, str(task.id)).status_reason == "why"


def test_what_is_due_comes_in_order_and_without_the_excluded(models: Models) -> None:
    """The longest due first; tasks, guilds and unknown operations can be left out."""
    early = make(schedule_type="fifteen-minutes")
    late = make(guild_id="2")
    other = make(operation="unknown", guild_id="3")
    models.apply(early, late, other)
    rows, now = models.rows, us(at(1))
    assert rows.due(now, 10)[0] == (str(early.id), "1", us(at(0.25)))
    assert len(rows.due(now, 2)) == 2
    assert rows.due(us(at(0.1)), 10) == []
    assert len(rows.due(us(at(0.25)), 10)) == 1
    assert rows.next_due() == us(at(0.25))
    assert [r[0] for r in rows.due(now, 10, Exclusions(tasks=[str(early.id)], guilds=["3"]))] == [str(late.id)]
    assert {r[0] for r in rows.due(now, 10, Exclusions(operations=["noop"]))} == {str(early.id), str(late.id)}
    assert rows.due(now, 10, Exclusions(operations=[])) == []
    assert rows.next_due(Exclusions(tasks=[str(early.id)])) == us(at(0.5))
    assert rows.next_due(Exclusions(guilds=["1", "2", "3"])) is None


def test_upcoming_are_active_tasks_by_their_next_slot(models: Models) -> None:
    """The soonest first; paused ones have no slot to come."""
    hourly, quarterly, paused = make(), make(name="q", schedule_type="fifteen-minutes", guild_id="2"), make(name="p")
    paused.pause(now=at(0.1), by="p")
    models.apply(hourly, quarterly, paused)
    assert models.rows.upcoming(10) == [
        (str(quarterly.id), "q", us(at(0.25))),
        (str(hourly.id), "hourly", us(at(0.5))),
    ]
    assert [r[1] for r in models.rows.upcoming(1)] == ["q"]
    assert [r[1] for r in models.rows.upcoming(10, "1")] == ["hourly"]


def test_tasks_are_listed_by_guild_name_and_status(models: Models) -> None:
    """Filters narrow, wildcards in a name are plain characters, pages do not overlap."""
    known = ["a_1", "ab1", "b 100%", "c\\d"]
    tasks = [make(name=name) for name in reversed(known)]
    tasks[0].pause(now=at(0.1), by="p")
    models.apply(*tasks, make(name="elsewhere", guild_id="2"))
    rows = models.rows
    assert names(rows.tasks(guild_id="1")) == known
    assert names(rows.tasks(name_contains="a_")) == ["a_1"]
    assert names(rows.tasks(name_contains="0%")) == ["b 100%"]
    assert names(rows.tasks(name_contains="\\")) == ["c\\d"]
    assert names(rows.tasks(statuses=["paused"])) == ["c\\d"]
    assert names([*rows.tasks(guild_id="1", limit=2), *rows.tasks(guild_id="1", limit=2, offset=2)]) == known
    assert rows.counts() == {"active": 4, "paused": 1}
    assert rows.counts("2") == {"active": 1}
    assert all(task.task_id == text.task_id for task, text in rows.tasks())


def test_runs_come_newest_first(models: Models) -> None:
    """By slot or by request, of one task, one guild, or in one state."""
    task = make()
    for hour in (0.5, 1.5):
        done(task, claim(task, at(hour)), at(hour, minutes=1))
    task.request_run("r", now=at(2), by="p")
    other = make(guild_id="2")
    claim(other, at(0.5))
    models.apply(task, other)
    rows = models.rows
    assert [r.slot for r in rows.runs(task_id=str(task.id))] == [None, us(at(1.5)), us(at(0.5))]
    assert [r.slot for r in rows.runs(task_id=str(task.id), limit=1, offset=1)] == [us(at(1.5))]
    assert [r.state for r in rows.runs(guild_id="2")] == ["running"]
    assert [r.request for r in rows.runs(states=["waiting"])] == ["r"]
    assert [(r.owner, r.guild_id) for r in rows.running()] == [("n1", "2")]


def test_tasks_are_found_by_names_that_they_had(models: Models) -> None:
    """Whatever the case, in a guild or in all; names that they have, and those of erased tasks, are none of these."""
    first, second = make(name="One"), make(name="one", guild_id="2")
    for task in (first, second):
        for number, name in enumerate(("ONE", "Two", "Three", "two")):
            task.revise(changed(task, name=name), now=at(0.1 * (number + 1)), by="p")
    models.apply(first, second)
    for name in ("one", "One", "THREE"):
        assert sorted(models.rows.ids_once_named(name)) == sorted([str(first.id), str(second.id)])
        assert models.rows.ids_once_named(name, "2") == [str(second.id)]
    assert models.rows.ids_once_named("unknown") == []
    number, tally = second.version + 1, Tally()
    erased = Erased(
        originator_id=second.id, originator_version=number, timestamp=at(1), guild_id="2", tally=tally, by="p"
    )
    models.apply_events([erased])
    assert models.rows.ids_once_named("one") == [str(first.id)]


def test_deliveries_and_skips_are_found_by_run_and_task(models: Models) -> None:
    """What became of each destination, and each skipped range, the newest first."""
    task = summary_task("a", "b")
    attempt = claim(task, at(0.5))
    done(task, attempt, at(0.6), [outcome(d, now=at(0.6)) for d in task.definition.destinations])
    task.request_skip(2, now=at(0.7), by="p")
    task.request_skip(1, now=at(0.8), by="p")
    models.apply(task)
    delivered = models.rows.deliveries([attempt.run, "unknown"])
    assert {d.destination for d in delivered} == {d.key for d in task.definition.destinations}
    assert models.rows.deliveries([]) == []
    assert [skip.count for skip in models.rows.skips(str(task.id))] == [1, 2]
    assert [skip.count for skip in models.rows.skips(str(task.id), limit=1)] == [1]
    assert models.rows.skips(str(uuid4())) == []


def test_people_are_told_of_trouble_where_they_want_to_be(models: Models) -> None:
    """Tasks in trouble, of guilds with somewhere to tell it."""
    wanted, unwanted = make(), make(guild_id="2")
    for task in (wanted, unwanted):
        failed(task, claim(task, at(0.5)), at(0.6))
    guild = Guild.open("1", now=START)
    models.apply(wanted, unwanted, guild)
    assert models.rows.to_be_told(10) == []
    told = Destination(type=DestinationType.FILE, target="notices", format="markdown")
    guild.change_settings(GuildSettings(failure_notices=(told,)), now=at(0.7), by="p")
    models.apply(guild)
    assert [task.task_id for task in models.rows.to_be_told(10)] == [str(wanted.id)]
    assert models.rows.to_be_told(0) == []
    assert [(row.guild_id, row.notices) for row in models.rows.guilds()] == [("1", 1), ("2", 0)]


def test_nodes_come_newest_first(models: Models) -> None:
    """All that served, or only those that have not ended."""
    nodes = [
        Node.start(f"n{number}", now=at(number), host="h", pid=number, version="1", rules="r") for number in range(3)
    ]
    nodes[1].stop(now=at(5))
    nodes[0].lose(now=at(6), last_seen=at(4), noticed_by="n2")
    models.apply(*nodes)
    assert [n.node for n in models.rows.nodes()] == ["n2", "n1", "n0"]
    assert [n.node for n in models.rows.nodes(limit=1)] == ["n2"]
    assert [n.node for n in models.rows.nodes(running_only=True)] == ["n2"]
    lost = models.rows.get(NodeRow, "n0")
    assert (lost.ended_at, lost.lost) == (us(at(4)), 1)


def test_a_cleanup_forgets_runs_and_hides_ended_tasks(models: Models) -> None:
    """Of its guild and from before its cut-off alone; hidden tasks are found when they are asked for."""
    mine, theirs = summary_task("a"), summary_task("a", guild_id="2")
    attempts = [claim(task, at(0.5)) for task in (mine, theirs)]
    for task, attempt in zip((mine, theirs), attempts, strict=True):
        done(task, attempt, at(0.6), [outcome(d) for d in task.definition.destinations])
        task.cancel(now=at(0.7), by="p")
    models.apply(mine, theirs)
    models.apply(cleanup("1", at(0.55)))
    assert len(models.rows.runs()) == 2
    models.apply(cleanup("1", at(1)))
    rows = models.rows
    assert [run.run_id for run in rows.runs()] == [attempts[1].run]
    assert rows.get(RunRow, attempts[0].run) is None
    assert rows.deliveries([attempts[0].run]) == []
    assert [task.guild_id for task, _ in rows.tasks()] == ["2"]
    assert [(task.guild_id, task.archived) for task, _ in rows.tasks(archived=True)] == [("1", 1), ("2", 0)]


def cleanup(scope: str | None, cutoff: Any) -> Guild:
    """A cleanup of one guild, or of all."""
    guild = Guild.open(scope or "", now=START)
    counts = {"summaries": 0, "run_details": 0, "cached": 0}
    guild.record_deletion(
        now=at(9), scope=scope, cutoff=cutoff, archives_tasks=True, deletes_runs=True, by="p", **counts
    )
    return guild


def test_events_that_cannot_be_read_are_listed(models: Models) -> None:
    """They count as read, so that reading goes on behind them."""
    task, fault = make(), EventUnreadable(uuid4(), 3, "task.unheard", "unknown topic")
    models.apply_events([fault, *task.pending_events])
    assert models.rows.faults() == [
        {"stream": fault.stream_id, "version": 3, "topic": "task.unheard", "reason": "unknown topic"}
    ]
    assert models.rows.position() == 2
    assert models.rows.get(TaskRow, str(task.id)) is not None


def test_every_thread_may_ask_while_rows_are_written(models: Models) -> None:
    """Readers in other threads see whole batches: what was written together is seen together."""
    rows, stop = models.rows, threading.Event()

    def torn() -> int:
        found = 0
        while not stop.is_set():
            found += sum(rows.counts().values()) % 10 > 0
        return found

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(torn) for _ in range(2)]
        try:
            for _ in range(20):
                models.apply(*(make() for _ in range(10)))
        finally:
            stop.set()
    assert [reader.result() for reader in readers] == [0, 0]


def test_closing_twice_is_closing_once(models: Models) -> None:
    """A stop that is interrupted and repeated does no harm."""
    rows = models.rows
    rows.close()
    rows.close()


def life() -> list[Any]:
    """Events of every kind of row: runs, retries, skips, deliveries, cleanups, settings and nodes."""
    first, second, node = (
        summary_task("a", "b"),
        make(guild_id="2"),
        Node.start("n1", now=START, host="h", pid=1, version="1", rules="r"),
    )
    done(first, claim(first, at(0.5)), at(0.6), [outcome(d) for d in first.definition.destinations])
    failed(second, claim(second, at(0.5)), at(0.6))
    done(second, claim(second, at(1)), at(1.1))
    first.request_skip(2, now=at(0.7), by="p")
    first.revise(changed(first, name="Renamed"), now=at(0.8), by="p")
    second.request_run("r", now=at(1.2), by="p")
    early = [*node.pending_events, *first.pending_events, *second.pending_events, *cleanup("1", at(2)).pending_events]
    for task in (first, second):
        task.pending_events.clear()
    second.cancel(now=at(1.3), by="p")
    node.pending_events.clear()
    node.stop(now=at(3))
    settings = Guild.open("2", now=START)
    settings.change_settings(GuildSettings(timezone="Europe/Berlin"), now=at(2), by="p")
    late = [*second.pending_events, *settings.pending_events, *node.pending_events]
    return [*early, *late, *cleanup(None, at(4)).pending_events]


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 7), min_size=40, max_size=40))
def test_rows_do_not_depend_on_how_events_are_batched(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    """In batches of any size a file holds exactly the rows that projecting event by event into memory gives."""
    events = life()
    memory = RowsInMemory()
    models = Models(tmp_path_factory.mktemp("rows") / "rows.db", "writing")
    for event in events:
        project(event, memory)
    try:
        rest = list(events)
        for size in sizes:
            models.apply_events(rest[:size])
            rest = rest[size:]
        assert models.rows.position() == len(events)
        for kind in TABLES:
            for key, row in memory.tables.get(kind, {}).items():
                assert models.rows.get(kind, *key) == row
        held = {name: len(rows) for name, rows in models.writer.dump().items()}
        assert held == {kind.table: len(memory.tables.get(kind, {})) for kind in TABLES}
    finally:
        models.close()
    assert held[SkipRow.table] == 1
    assert held[GuildRow.table] == 2
