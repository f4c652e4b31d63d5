"""The log's write-ahead log is carried back while nobody waits, and does not grow without end where somebody does."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from application.ports import Command
from domain.errors import StoreUnavailable
from infrastructure import sqlite_log, write_ahead, writer
from infrastructure.sqlite_log import SqliteLog
from tests.domain.task_parts import at, make
from tests.infrastructure.store_parts import Store, created, opened

PAGE_AND_HEADER = 4_096 + 24
LONG = 30.0


def wal_pages(folder: Path) -> int:
    return (folder / "log.db-wal").stat().st_size // PAGE_AND_HEADER


def rest(store: Store) -> None:
    """Until the writer has found out that nothing is to be done."""
    give_up = monotonic() + LONG
    while store.log._not_carried_back and monotonic() < give_up:
        sleep(0.002)


def test_a_long_write_ahead_log_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these commits would make it three pages longer."""
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.001)
    monkeypatch.setattr(sqlite_log, "_WORTH_CARRYING_BACK", 1)
    with opened(tmp_path) as store:
        for _ in range(60):
            store.put(make())
            rest(store)
        assert wal_pages(tmp_path) < 60
        with closing(sqlite3.connect(tmp_path / "log.db")) as log:
            assert log.execute("select count(*) from stored_events").fetchone() == (60,)


def test_a_short_one_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To carry back a few pages costs two syncs, as often as somebody gives a command."""
    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.001)
    with opened(tmp_path) as store:
        for _ in range(20):
            store.put(make())
        sleep(0.05)
        assert store.log._not_carried_back == 20
        assert wal_pages(tmp_path) > 40


def test_it_is_bounded_where_commands_come_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a commit does it, and no more room is made than it may take."""
    monkeypatch.setattr(sqlite_log, "MOST_PAGES", 50)
    monkeypatch.setattr(write_ahead, "MOST_PAGES", 50)
    monkeypatch.setattr(write_ahead, "GROWN_PAGES", 10)
    with opened(tmp_path) as store:
        for _ in range(100):
            store.put(make())
        assert wal_pages(tmp_path) < 100


def test_what_cannot_be_tidied_up_is_left_to_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command is the worse for it."""
    asked: list[int] = []

    def unavailable(expected: int) -> Any:
        asked.append(1)
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(writer, "IDLE_SECONDS", 0.001)
    with opened(tmp_path) as store:
        monkeypatch.setattr(store.log, "tidy_up", unavailable)
        task_id, give_up = store.put(make()), monotonic() + LONG
        while not asked and monotonic() < give_up:
            sleep(0.002)
        store.do(task_id, lambda task: task.pause(now=at(0.5), by="ann"))
        assert asked
        assert store.replayed(task_id).status == "paused"


def test_who_commits_alone_is_not_the_worse_for_room_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where another process writes for longer than anybody waits."""
    asked: list[int] = []

    def unavailable() -> None:
        asked.append(1)
        raise StoreUnavailable("the store is locked")

    with opened(tmp_path) as store:
        monkeypatch.setattr(store.log, "keep_room", unavailable)
        tasks = [store.put(make()) for _ in range(3)]
        assert len(asked) >= 2
        assert [store.replayed(task_id).status for task_id in tasks] == ["active"] * 3


def test_what_is_expected_has_room_before_it_comes(tmp_path: Path) -> None:
    """A burst of so many events makes the write-ahead log no longer."""
    with opened(tmp_path) as store:
        task_id = store.put(make())
        store.log.tidy_up(2_000)
        length = wal_pages(tmp_path)
        assert length > 2_000
        store.log.tidy_up(1_500)
        store.writer.execute_now([created(make(name=f"Task {number}")) for number in range(1_000)])
        assert wal_pages(tmp_path) == length
        assert len(store.events(task_id)) == 1
        assert store.rows.differing(store.log) == {}


def test_who_commits_on_and_on_has_room_before_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some commands by hand, or from a command line, are not worth it; and a burst is not kept waiting for it."""
    monkeypatch.setattr(writer, "IDLE_SECONDS", LONG)
    with opened(tmp_path) as store:
        for _ in range(10):
            store.put(make())
        assert wal_pages(tmp_path) < 10 * 5
        store.writer.execute_now([created(make(name=f"Task {number}")) for number in range(100)])
        assert (length := wal_pages(tmp_path)) < 300
        store.put(make())
        store.put(make())  # the room is made behind the answer to the one before
        assert wal_pages(tmp_path) >= length + 1_000
        length = wal_pages(tmp_path)
        for _ in range(200):
            store.put(make())
        assert wal_pages(tmp_path) == length
        assert store.rows.differing(store.log) == {}


def test_a_log_that_is_only_read_is_left_as_it_is(tmp_path: Path) -> None:
    """Whoever may not write has no right to the end of the write-ahead log either."""
    with opened(tmp_path) as store:
        store.put(make())
        log = SqliteLog(tmp_path / "log.db", store.log._mapper, read_only=True)
        store.writer.execute_now([created(make(name=f"Task {number}")) for number in range(200)])
        length = wal_pages(tmp_path)
        log.keep_room()
        log.tidy_up(5_000)
        assert wal_pages(tmp_path) == length
        log.close()


def test_room_is_made_when_what_was_read_ahead_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the beginning and the end of a run of each; of what is in memory already it was made before."""
    expected: list[int] = []
    with opened(tmp_path) as first:
        tasks = [first.put(make(name=f"Task {number}")) for number in range(5)]
    with opened(tmp_path) as store:
        monkeypatch.setattr(store.log, "tidy_up", expected.append)
        asyncio.run(store.writer.prepare(tasks[:2]))
        asyncio.run(store.writer.prepare(tasks[1:]))
        asyncio.run(store.writer.prepare(tasks))
        give_up = monotonic() + LONG
        while sum(expected) < 2 * 5 and monotonic() < give_up:
            sleep(0.002)
        store.put(make())
        turns = len(expected)
        while len(expected) == turns and monotonic() < give_up:
            sleep(0.002)
    assert (sum(expected), expected[-1]) == (2 * 5, 0)


def test_a_caller_that_was_cancelled_does_not_stop_the_writer(tmp_path: Path) -> None:
    """What it wanted between two batches is not done, and all others go on."""

    async def cancelled(store: Store) -> None:
        gate = store.hold()
        looking = asyncio.ensure_future(store.writer.catch_up())
        await asyncio.sleep(0.05)
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        gate.set()
        task = make()
        created = Command(task.id, lambda fresh: None, create=lambda: task)
        await asyncio.wait_for(store.writer.execute(created), LONG)

    with opened(tmp_path) as store:
        asyncio.run(cancelled(store))
        assert store.log.last_position() == 1
