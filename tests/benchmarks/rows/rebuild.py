"""Rebuild: all read models anew from the whole log, with progress; and what memory that takes."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.benchmarks.contestant import Place
from tests.benchmarks.row import Figures, Row, Size
from tests.benchmarks.watching import family_memory_mb

__all__ = ["ROW", "measure"]

ROW = Row(
    "rebuild",
    "all read models from a million events",
    sizes={"tiny": {"tasks": 300}, "small": {"tasks": 5_000}, "full": {"tasks": 100_000}},
    seconds=45,
    most=3,
)
RUNS = 5


def measure(name: str, size: Size, place: Place) -> Figures:
    """Events a second into rows that are equal to the live ones, and how memory grew after the first tenth.

    Memory is that of all processes that make rows.
    """
    from infrastructure.complete_log import CompleteLog
    from infrastructure.layout import READ_MODEL_FILE
    from infrastructure.read_model import SqliteReadModel
    from infrastructure.rebuild import catch_up
    from tests.benchmarks.stores import copied_store, opened
    from tests.benchmarks.verification import check_equal

    copied_store(place.cache, size["tasks"], RUNS, place.folder)
    stores = opened(place.folder)
    rebuilt, memory = SqliteReadModel(place.folder / "rebuilt.db"), [0.0]

    def progress(position: int, end: int) -> None:
        memory.append(family_memory_mb())

    try:
        begun = time.perf_counter()
        catch_up(rebuilt, partial(CompleteLog, stores.log, place.folder), stores.vault, progress=progress)
        seconds = time.perf_counter() - begun
        events = rebuilt.position()
        assert events == stores.log.last_position() == stores.read_model.position()
    finally:
        rebuilt.close()
        stores.close()
    if place.thorough:
        check_equal(place.folder / "rebuilt.db", place.folder / READ_MODEL_FILE)
    return {
        "events_per_second": events / seconds,
        "seconds": seconds,
        "memory_mb": max(memory),
        "memory_growth_mb": max(memory) - memory[1 + len(memory) // 10],
        "raw_per_second": events / _raw(place.folder),
    }


def _raw(folder: Path) -> float:
    """Seconds for bare sqlite3 to read every row of the log, and to copy every row of the read model once."""
    from tests.benchmarks.verification import tables

    begun = time.perf_counter()
    with closing(sqlite3.connect(folder / "log.db")) as log:
        for _ in log.execute("select rowid, * from stored_events order by rowid"):
            pass
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as copy:
        copy.execute("pragma journal_mode=wal")
        copy.execute("pragma synchronous=normal")
        copy.execute("attach ? as live", (str(folder / "rebuilt.db"),))
        for table, made in tables(copy, "live").items():
            copy.execute(made)
            copy.execute(f"insert into main.{table} select * from live.{table}")
    return time.perf_counter() - begun
