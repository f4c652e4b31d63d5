"""Rows that are made anew of a log in which events are missing: refused, or marked; never made without a word."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.ports import Leaf, Recorded
from application.queries import Queries
from application.tree import EventTree
from domain.errors import EventsMissing, StoreCut
from infrastructure.clock import SystemClock
from infrastructure.complete_log import NOBODY_KNOWS_WHOSE, CompleteLog
from infrastructure.layout import LEAVES_FILE, LOG_FILE, READ_MODEL_FILE
from infrastructure.leaf_file import LeafFile
from infrastructure.stores import Stores, open_folder
from tests.domain.task_parts import at, make
from tests.infrastructure.store_parts import created

EVENTS = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tasks: the first is paused and resumed three times, the second is paused in between, which is its last."""
    with closing(store(tmp_path)) as stores:
        first, second = make(name="First"), make(name="Second")
        for task in (first, second):
            [refused] = stores.writer.execute_now([created(task)])
            assert refused is None
        for number in range(3):
            change(stores, first.id, lambda task, n=number: task.pause(now=at(1 + n), by="ann"))
            if number == 1:
                change(stores, second.id, lambda task: task.pause(now=at(3), by="ann"))
            change(stores, first.id, lambda task, n=number: task.resume(now=at(1.5 + n), by="ann"))
        EventTree(stores.log, stores.leaves, SystemClock()).catch_up()
    return tmp_path


def store(folder: Path, *, anew: bool = False) -> Stores:
    return open_folder(folder, node="n", now=at(0), environment={}, anew=anew)


def change(stores: Stores, task_id: UUID, decide: Any) -> None:
    from application.ports import Command

    [outcome] = stores.writer.execute_now([Command(task_id, decide)])
    assert outcome is None, outcome


def delete(folder: Path, where: str) -> list[int]:
    """Delete events, and forget the rows; returns the positions."""
    with closing(sqlite3.connect(folder / LOG_FILE)) as database, database:
        gone = [row[0] for row in database.execute(f"select rowid from stored_events where {where} order by 1")]
        database.execute(f"delete from stored_events where {where}")
    assert gone
    (folder / READ_MODEL_FILE).unlink()
    return gone


def paused_for_good() -> str:
    """The second task's last event: nothing stands behind it in its stream."""
    return (
        "topic = 'task.paused' and originator_id = (select originator_id from stored_events where topic = "
        "'task.created' order by rowid desc limit 1)"
    )


@pytest.mark.parametrize(
    "where", [paused_for_good(), "topic = 'task.resumed'", "rowid = (select max(rowid) from stored_events)", "1"]
)
def test_rows_are_not_made_of_what_is_left(folder: Path, where: str) -> None:
    """In the middle, of the end of a stream, at the end of the log, and all of it: the error says where."""
    gone = delete(folder, where)
    for _ in range(2):  # refused once is refused again
        with pytest.raises(StoreCut) as caught:
            store(folder)
        assert "daybook rebuild" in str(caught.value)
        assert caught.value.end + 1 in gone


def test_without_leaves_a_gap_is_noticed_all_the_same(folder: Path) -> None:
    """Positions of the SQLite log follow one another."""
    (folder / LEAVES_FILE).unlink()
    [gone] = delete(folder, paused_for_good())
    with pytest.raises(StoreCut, match=f"those at position {gone}"):
        store(folder)


def test_an_older_version_of_the_tables_still_says_how_far_the_log_went(folder: Path) -> None:
    """Without leaves, and with tables that are to be made anew, a log that lost its end is refused."""
    (folder / LEAVES_FILE).unlink()
    with closing(sqlite3.connect(folder / READ_MODEL_FILE)) as database, database:
        database.execute("update meta set value = 'older' where name = 'fingerprint'")
    (folder / "readmodel.seal").unlink()
    with closing(sqlite3.connect(folder / LOG_FILE)) as database, database:
        database.execute("delete from stored_events where rowid = (select max(rowid) from stored_events)")
    with pytest.raises(StoreCut, match="its end is gone"):
        store(folder)


def test_who_goes_on_with_what_is_left_is_told_of_it(folder: Path) -> None:
    """A rebuild on request makes the rows; what is missing stays among the faults, with its task where it is known."""
    gone = delete(folder, "topic = 'task.resumed'")
    with closing(store(folder, anew=True)) as stores:
        queries = Queries(stores.read_model, stores.log, stores.content)
        first, second = queries.tasks()
        assert (first.name, first.unreadable, second.unreadable) == ("First", 2, 0)
        assert first.to_dict()["unreadable_events"] == 2
        assert queries.unreadable()[NOBODY_KNOWS_WHOSE] == len(gone) - 1  # the end of a log is no gap in it
    with closing(store(folder)) as stores:  # and it can be used from now on
        assert stores.read_model.unreadable()


def test_a_sound_log_is_complete(folder: Path) -> None:
    """Read whole, from the middle, and in pieces of any length."""
    with closing(store(folder)) as stores:
        log = stores.log
        for position in (0, 3):
            for limit in (1, 3, 100):
                whole = CompleteLog(log, folder, position=position, leaves=stores.leaves)
                assert whole.last_position() == log.last_position()
                assert read_all(whole, position, limit) == log.read(position, 100)


def read_all(log: CompleteLog, position: int, limit: int) -> list[Recorded]:
    found: list[Recorded] = []
    while page := log.read(position, limit):
        found += page
        position = page[-1].position
    return found


class Sparse:
    """A log whose positions have gaps, as those of PostgreSQL have."""

    numbered = False

    def __init__(self, log: Any, without: int = 0) -> None:
        self._log, self._without = log, without

    def last_position(self) -> int:
        return 3 * int(self._log.last_position())

    def read(self, after: int, limit: int) -> list[Recorded]:
        page = self._log.read(after // 3, limit + 1)
        return [Recorded(3 * one.position, one.event) for one in page if one.position != self._without][:limit]


class Sparser:
    """Its leaves."""

    def __init__(self, leaves: LeafFile) -> None:
        self._leaves = leaves

    def last(self) -> Leaf | None:
        last = self._leaves.last()
        return last._replace(position=3 * last.position) if last is not None else None

    def read(self, start: int, limit: int) -> list[Leaf]:
        return [leaf._replace(position=3 * leaf.position) for leaf in self._leaves.read(start, limit)]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_where_positions_have_gaps_the_leaves_say_what_is_missing(folder: Path, limit: int) -> None:
    """The last event of a stream leaves no gap in its numbers."""
    with closing(store(folder)) as stores:
        leaves: Any = Sparser(stores.leaves)
        sound: Any = Sparse(stores.log)
        assert len(read_all(CompleteLog(sound, folder, position=0, leaves=leaves), 0, limit)) == EVENTS + others(stores)
        for lost in range(1, stores.log.last_position()):
            cut: Any = Sparse(stores.log, without=lost)
            with pytest.raises(StoreCut, match=rf"those at position {3 * lost}\."):
                read_all(CompleteLog(cut, folder, position=0, leaves=leaves), 0, limit)
            kept = read_all(CompleteLog(cut, folder, position=0, leaves=leaves, accepted=True), 0, limit)
            missing = [one.event for one in kept if isinstance(one.event, EventsMissing)]
            assert (NOBODY_KNOWS_WHOSE, 3 * lost) in [(one.stream_id, one.version) for one in missing]


def others(stores: Stores) -> int:
    """Events beside those of the tasks."""
    return int(stores.log.last_position()) - EVENTS


def test_damaged_leaves_keep_nobody_from_a_sound_log(folder: Path) -> None:
    """They are disposable."""
    (folder / LEAVES_FILE).write_bytes(os.urandom(9_000))
    (folder / READ_MODEL_FILE).unlink()
    with closing(store(folder)) as stores:
        assert not stores.read_model.unreadable()
