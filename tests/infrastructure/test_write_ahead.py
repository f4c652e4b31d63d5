"""Room in a write-ahead log: the file is longer before a burst, and nothing else is different."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infrastructure import write_ahead
from infrastructure.write_ahead import WriteAhead

PAGE, FRAME, HEADER = 4_096, 4_096 + 24, 32


class Database(NamedTuple):
    """A file with one table of numbers, and a connection that writes."""

    path: Path
    connection: sqlite3.Connection

    @property
    def wal(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def frames(self) -> int:
        """How many pages the file of the write-ahead log has place for."""
        return (self.wal.stat().st_size - HEADER) // FRAME

    def room(self, pages: int) -> bool:
        return WriteAhead(self.path).make_room(self.connection, pages)

    def write(self, number: int) -> None:
        self.connection.execute("insert into numbers values (?)", (number,))


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(write_ahead, "_WORTH_IT", 10)
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table numbers (number integer)")
        made = Database(path, connection)
        made.write(1)
        yield made


def numbers(path: Path) -> list[int]:
    """What a new connection reads, after it has found the file to be whole."""
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert [name for (name,) in other.execute("select name from sqlite_master")] == ["numbers"]
        return [number for (number,) in other.execute("select number from numbers order by rowid")]


def test_so_many_pages_fit_into_it(database: Database) -> None:
    """And what is written then makes it no longer."""
    assert database.room(400)
    length = database.frames()
    assert length >= 400
    for number in range(2, 100):
        database.write(number)
    assert database.frames() == length


def test_nothing_else_is_different(database: Database) -> None:
    """Neither for this connection, nor for others, nor in the file when it is carried back."""
    before = database.path.read_bytes()
    assert database.room(400)
    assert not database.connection.in_transaction
    assert (numbers(database.path), database.path.read_bytes()) == ([1], before)
    database.write(2)
    assert numbers(database.path) == [1, 2]
    database.connection.execute("pragma wal_checkpoint(passive)").fetchall()
    assert numbers(database.path) == [1, 2]
    assert database.path.stat().st_size <= 3 * PAGE


@pytest.mark.parametrize("written_behind_it", [False, True])
def test_a_process_that_is_killed_with_room_loses_nothing(
    database: Database, tmp_path: Path, written_behind_it: bool
) -> None:
    """Both files as they stand, without what was in its memory."""
    database.write(2)
    assert database.room(400)
    if written_behind_it:
        database.write(3)
    left = tmp_path / "left.db"
    left.write_bytes(database.path.read_bytes())
    left.with_name("left.db-wal").write_bytes(database.wal.read_bytes())
    assert numbers(left) == ([1, 2, 3] if written_behind_it else [1, 2])


def test_room_that_is_there_is_not_made_again(database: Database) -> None:
    """Nor less of it, nor so little that it is not worth while."""
    assert database.room(400)
    length = database.frames()
    assert [database.room(pages) for pages in (400, 100, 9, 0)] == [False] * 4
    assert database.frames() == length
    assert database.room(length + 100)


def test_a_file_that_is_reached_by_a_link_has_its_room_beside_itself(database: Database, tmp_path: Path) -> None:
    """That is where SQLite keeps the write-ahead log; looked for beside the link, the room would be made each time."""
    link = tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(database.path)
    assert [WriteAhead(link).make_room(database.connection, 400) for _ in range(2)] == [True, False]
    assert database.frames() >= 400


def test_there_is_no_more_of_it_than_it_may_have(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is expected."""
    monkeypatch.setattr(write_ahead, "MOST_PAGES", 300)
    assert database.room(1_000_000)
    assert database.frames() == 300


@pytest.mark.parametrize("free", [lambda path: 2 * 400 * FRAME, lambda path: Path("no disk").stat().st_size])
def test_a_disk_that_is_nearly_full_is_left_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch, free: Callable[[Path], int]
) -> None:
    """Others need the place more; nor is a file system filled that does not say how much it has."""

    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(write_ahead, "disk_usage", lambda path: Usage(free(path)))
    assert not database.room(400)
    assert database.frames() < 10


def test_trouble_leaves_no_transaction_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the disk fills up meanwhile: there is less room then, and that is all."""

    def full(file: int, zeros: bytes) -> int:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "write", full)
    assert not database.room(400)
    monkeypatch.undo()
    assert not database.connection.in_transaction
    database.write(2)
    assert numbers(database.path) == [1, 2]


def test_nobody_else_writes_meanwhile(database: Database) -> None:
    """A frame that came to stand behind the end while zeros are written there would be lost."""
    with closing(sqlite3.connect(database.path, isolation_level=None, timeout=0)) as other:
        other.execute("begin immediate")
        database.connection.execute("pragma busy_timeout=0")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            database.room(400)
        other.execute("rollback")
        assert database.room(400)


def test_the_room_is_on_the_disk(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the first commit would wait for all of it."""
    synced: list[int] = []
    sync = os.fsync

    def noted(file: Any) -> None:
        sync(file)
        synced.append(database.frames())

    monkeypatch.setattr(os, "fsync", noted)
    assert database.room(400)
    assert synced == [400]


def test_who_commits_on_and_on_gets_more_of_it_step_by_step(database: Database) -> None:
    """Each time that the last is used up."""
    database.connection.execute("pragma wal_autocheckpoint=0").fetchone()
    log = WriteAhead(database.path)
    assert not log.has_grown()
    made = []
    for number in range(2, 3_000):
        database.write(number)
        if log.has_grown():
            made.append((database.frames(), log.keep_room(database.connection), database.frames()))
    assert {(after - before, more) for before, more, after in made} == {(1_000, True)}
    assert 2 <= len(made) <= 4
    assert numbers(database.path) == list(range(1, 3_000))


def test_two_processes_do_not_take_the_room_of_each_other_for_growth(database: Database) -> None:
    """They would make it longer in turns, until it has all that it may have."""
    database.connection.execute("pragma wal_autocheckpoint=0").fetchone()
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        both = [(WriteAhead(database.path), connection) for connection in (database.connection, other)]
        for number in range(2, 200):
            database.write(number)
        made = [log.keep_room(connection) for _ in range(3) for log, connection in both if log.has_grown()]
    assert made == [True, False]


def test_what_was_emptied_gets_room_again(database: Database) -> None:
    """As by who deletes what must not be left in it."""
    database.connection.execute("pragma wal_autocheckpoint=0").fetchone()
    log = WriteAhead(database.path)
    for _ in range(2):
        grown = []
        for number in range(100):
            database.write(number)
            grown.append(log.has_grown())
        assert (grown[0], grown[-1]) == (False, True)
        assert log.keep_room(database.connection)
        assert not log.has_grown()
        assert database.connection.execute("pragma wal_checkpoint(truncate)").fetchone() == (0, 0, 0)


def test_what_is_written_over_has_room(database: Database) -> None:
    """It need not be longer than it is, when all of it has been carried back."""
    database.connection.execute("pragma wal_autocheckpoint=0").fetchone()
    log = WriteAhead(database.path)
    for number in range(100):
        database.write(number)
    assert log.has_grown()
    _, pages, carried = database.connection.execute("pragma wal_checkpoint(passive)").fetchone()
    assert pages == carried
    log.begins_anew()
    assert not log.has_grown()


def test_a_process_that_is_killed_after_it_began_anew_loses_nothing(database: Database, tmp_path: Path) -> None:
    """Behind the last commit stand those of before, and then the room."""
    for number in range(2, 60):
        database.write(number)
    database.connection.execute("pragma wal_checkpoint(passive)").fetchone()
    database.write(60)
    assert database.room(400)
    database.write(61)
    left = tmp_path / "left.db"
    left.write_bytes(database.path.read_bytes())
    left.with_name("left.db-wal").write_bytes(database.wal.read_bytes())
    assert numbers(left) == list(range(1, 62))


def test_room_of_what_is_not_synced_is_not_synced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are made anew where a power cut loses them: nothing waits for the disk."""
    monkeypatch.setattr(os, "fsync", None)
    assert WriteAhead(database.path, synced=False).make_room(database.connection, 400)


def test_it_waits_for_nobody_who_reads(database: Database) -> None:
    """And whoever reads goes on with what was there."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as reader:
        reader.execute("begin")
        seen: list[Any] = reader.execute("select number from numbers").fetchall()
        assert database.room(400)
        database.write(2)
        assert reader.execute("select number from numbers").fetchall() == seen == [(1,)]
