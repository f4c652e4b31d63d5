"""The write-ahead log is carried back beside the writer: no commit waits for it, and it does not grow without end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from infrastructure import checkpoints
from infrastructure.checkpoints import Checkpoints
from tests.domain.task_parts import make
from tests.infrastructure.store_parts import opened

PAGE_AND_HEADER = 4_096 + 24


def wal_pages(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size // PAGE_AND_HEADER


def test_a_long_write_ahead_log_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkpoint it would have some three pages for each of these commits."""
    monkeypatch.setattr(checkpoints, "EVENTS", 20)
    with opened(tmp_path) as store:
        for _ in range(200):
            store.put(make())
            if (making := store.log._checkpoints._thread) is not None:
                making.join()
        assert wal_pages(tmp_path / "log.db") < 200
        with closing(sqlite3.connect(tmp_path / "log.db")) as log:
            assert log.execute("select count(*) from stored_events").fetchone() == (200,)


def test_the_writer_does_it_where_nobody_else_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be as many threads as there may be; a commit does not fail for that."""

    class Refused(Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(checkpoints, "EVENTS", 1)
    monkeypatch.setattr(checkpoints, "MOST_PAGES", 50)
    monkeypatch.setattr(checkpoints, "Thread", Refused)
    with opened(tmp_path) as store:
        for _ in range(100):
            store.put(make())
        assert wal_pages(tmp_path / "log.db") < 100


def test_a_file_that_is_in_use_is_left_for_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that looks at an old state keeps it; nobody waits for it, and nothing fails."""
    monkeypatch.setattr(checkpoints, "EVENTS", 1)
    with opened(tmp_path) as store, closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as reader:
        store.put(make())
        reader.execute("begin")
        assert reader.execute("select count(*) from stored_events").fetchone() == (1,)
        for _ in range(10):
            store.put(make())
        assert reader.execute("select count(*) from stored_events").fetchone() == (1,)
    with opened(tmp_path) as store:
        assert store.log.last_position() == 11


def test_closing_waits_for_the_one_that_is_being_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread is left at a file that is closed."""
    monkeypatch.setattr(checkpoints, "EVENTS", 1)
    with opened(tmp_path) as store:
        store.put(make())
        made: Checkpoints = store.log._checkpoints
    assert made._thread is not None
    assert not made._thread.is_alive()
