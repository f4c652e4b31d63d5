"""The read model file: applied, rebuilt, replaced, read beside the service, and never in the way of the log."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from application import projections, row_sources
from application.ports import Recorded
from application.row_sources import source
from application.rows import DeliveryRow, GuildRow, NodeRow, RunRow, TaskRow
from domain.errors import EventUnreadable, StoreUnavailable
from domain.task_events import Executed, SkipReason
from infrastructure import read_model, row_reader
from infrastructure.read_model import SqliteReadModel
from tests.contracts.log_parts import Place
from tests.domain.task_parts import DEADLINE, START, at, claim, done, make, outcome, summary_task
from tests.infrastructure.store_parts import Store, opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A log with a writer and its rows."""
    with opened(tmp_path) as store:
        yield store


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[SqliteReadModel]:
    """An empty read model."""
    model = SqliteReadModel(tmp_path / "rows.db")
    yield model
    model.close()


def recorded(*tasks: Any) -> list[Recorded]:
    """The events of these tasks as if they stood in a log."""
    events = [event for task in tasks for event in task.pending_events]
    return [Recorded(position, event) for position, event in enumerate(events, 1)]


def test_rows_and_position_move_together(rows: SqliteReadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an error nothing changes: neither the position nor a row, nor what is kept in memory."""
    task = make()
    events = recorded(task)
    rows.apply(events)
    task.pause(now=at(0.1), by="p")
    before = rows.dump()
    rows.close()
    connection = sqlite3.connect(rows.path, isolation_level=None)
    connection.execute("create trigger full before update on meta begin select raise(abort, 'disk full'); end")
    with pytest.raises(StoreUnavailable, match="disk full"):
        rows.apply(recorded(task)[1:])
    assert rows.dump() == before
    assert rows.position() == 1
    connection.execute("drop trigger full")
    connection.close()
    rows.apply(recorded(task)[1:])
    assert rows.get(TaskRow, str(task.id)).status == "paused"


def test_no_file_of_a_folder_can_be_read_by_others(tmp_path: Path) -> None:
    """Log, rows and what SQLite keeps beside them: names and texts of people are nobody else's on the machine."""
    before = os.umask(0)
    try:
        with opened(tmp_path) as store:
            store.put(make())
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert {"log.db", "readmodel.db", "log.db-wal", "readmodel.db-wal"} <= set(modes)
    assert set(modes.values()) == {0o640}


def test_nothing_to_apply_changes_nothing(rows: SqliteReadModel) -> None:
    """An empty batch is no transaction."""
    rows.apply([])
    assert rows.position() == 0


def test_an_event_that_cannot_be_shown_stops_no_other(rows: SqliteReadModel) -> None:
    """A number that no column holds becomes a fault; the events around it are projected."""
    first, second = make(), make()
    attempt = claim(first, at(0.5))
    first.conclude(attempt.run, 1, "n1", now=at(0.6), messages=2**70)
    rows.apply(recorded(first, second))
    [fault] = rows.faults()
    assert (fault["stream"], fault["topic"]) == (str(first.id), Executed.topic)
    assert "cannot be shown" in fault["reason"]
    assert rows.get(TaskRow, str(second.id)) is not None
    assert rows.get(TaskRow, str(first.id)).version == 2
    assert rows.position() == 4


def test_rebuilding_gives_the_same_rows(tmp_path: Path, store: Store) -> None:
    """Live rows, rows rebuilt in place and rows of a new file are equal, in chunks of any size."""
    task = summary_task("a", "b")
    store.put(task)
    attempt = store.do(task.id, lambda t: t.claim(now=at(0.5), node="n1", deadline=DEADLINE))
    store.do(
        task.id,
        lambda t: t.conclude(attempt.run, 1, "n1", now=at(0.6), outcomes=[outcome(d) for d in t.destinations]),
    )
    live = store.rows.dump()
    assert len(live["deliveries"]) == 2
    store.rows.reset()
    assert store.rows.dump()["tasks"] == []
    progress: list[tuple[int, int]] = []
    store.rows.catch_up(store.log, progress=lambda *step: progress.append(step))
    assert store.rows.dump() == live
    assert progress == [(3, 3)]


def test_a_long_log_is_read_in_chunks(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is told after each."""
    for _ in range(5):
        store.put(make())
    monkeypatch.setattr(read_model, "REBUILD_EVENTS", 2)
    fresh = SqliteReadModel(tmp_path / "fresh.db")
    steps: list[tuple[int, int]] = []
    fresh.catch_up(store.log, progress=lambda *step: steps.append(step))
    assert steps == [(2, 5), (4, 5), (5, 5)]
    assert fresh.dump() == store.rows.dump()
    fresh.close()


def test_rows_made_by_other_code_are_dropped(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fingerprint of the code stands in the file; another one's rows are made anew, and readers know."""
    store.put(make())
    path = store.rows.path
    store.close()
    monkeypatch.setattr(row_sources, "fingerprint", lambda *more: "newer")
    reader = SqliteReadModel(path, writable=False)
    assert reader.stale
    reader.close()
    with opened(tmp_path) as again:
        assert again.rows.position() == 1
        assert len(again.rows.dump()["tasks"]) == 1
        reader = SqliteReadModel(path, writable=False)
        assert not reader.stale
        reader.close()


@pytest.mark.parametrize(
    "changed", ["domain.runs", "domain.incidents", "domain.definition", "domain.schedule", "infrastructure.row_batch"]
)
def test_the_fingerprint_covers_what_rows_depend_on(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """A change in what computes rows, deletes them, or makes their texts must change the fingerprint."""
    before = row_reader.fingerprint()
    row_sources.fingerprint.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(row_sources, "source", lambda name: source(name) + ("#" if name == changed else ""))
        assert row_reader.fingerprint() != before
    row_sources.fingerprint.cache_clear()
    assert row_reader.fingerprint() == before


def test_the_fingerprint_covers_every_module_that_the_projections_use() -> None:
    """What they import from this project is on the list, so that nothing is forgotten when they grow."""
    imported = {
        value.__module__ if hasattr(value, "__module__") else value.__name__
        for value in vars(projections).values()
        if isinstance(value, type | FunctionType | ModuleType)
    }
    ours = {name for name in imported if name.partition(".")[0] in ("application", "domain")}
    assert ours <= set(row_sources.SOURCES)


def test_a_read_model_that_does_not_exist_is_stale_for_a_reader(tmp_path: Path) -> None:
    """A companion does not make the file."""
    reader = SqliteReadModel(tmp_path / "none.db", writable=False)
    assert reader.stale
    assert not (tmp_path / "none.db").exists()
    reader.close()


def test_a_damaged_read_model_is_made_anew(tmp_path: Path, store: Store) -> None:
    """It is disposable: garbage in its place costs a rebuild and nothing else."""
    task_id = store.put(make())
    store.close()
    store.rows.path.write_bytes(b"this is no database" * 1000)
    for suffix in ("-wal", "-shm"):
        store.rows.path.with_name(store.rows.path.name + suffix).unlink(missing_ok=True)
    with opened(tmp_path) as again:
        assert again.rows.get(TaskRow, str(task_id)) is not None


def test_many_changes_to_one_row_in_a_batch_are_one_row(rows: SqliteReadModel) -> None:
    """A run that starts, fails, and is done within one commit leaves one run and the right sums."""
    task = make()
    attempt = claim(task, at(0.5))
    task.fail(attempt.run, 1, "n1", now=at(0.5), what="x", error="x")
    done(task, claim(task, at(0.6)), at(0.7))
    quiet = claim(task, at(1.5))
    task.skip_run(quiet.run, 1, "n1", now=at(1.6), reason=SkipReason.QUIET)
    rows.apply(recorded(task))
    row = rows.get(TaskRow, str(task.id))
    assert (row.attempts, row.failed_attempts, row.executed, row.skipped, row.failed) == (3, 1, 1, 1, 0)
    assert len(rows.dump()["runs"]) == 2
    guild = rows.get(GuildRow, "1")
    assert (guild.tasks, guild.attempts, guild.executed) == (1, 3, 1)
    assert rows.get(RunRow, attempt.run).attempt == 2
    assert rows.get(NodeRow, "n1") is None
    assert rows.get(DeliveryRow, attempt.run, "x") is None


def test_a_damaged_first_event_does_not_hide_the_other_tasks(tmp_path: Path, store: Store) -> None:
    """A task whose definition cannot be read is still listed, as unreadable, and so are all others."""
    from application.queries import Queries

    broken, fine = store.put(make()), store.put(make(name="fine"))
    store.do(broken, lambda task: task.pause(now=START, by="p"))
    Place("sqlite", str(tmp_path / "log.db")).damage(
        "UPDATE stored_events SET state = x'0102' WHERE originator_id = ? AND originator_version = 1", broken.hex
    )
    store.rows.reset()
    store.rows.catch_up(store.log)
    assert len(store.rows.faults()) == 1
    queries = Queries(store.rows, store.log, None)  # type: ignore[arg-type]
    assert [t.name for t in queries.tasks()] == ["(unreadable)", "fine"]
    assert queries.task(str(broken)).status == "paused"
    assert queries.task(str(fine)).is_active
    assert isinstance(queries.history(str(broken))[0].event, EventUnreadable)
