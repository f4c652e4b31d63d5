"""The floor: what bare sqlite3 takes for the same rows, in the same process, right after."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

__all__ = ["inserted", "raw_writes", "table_made"]

TRANSACTION_RUNS = 500
"""As many runs as Daybook has under way at once share a transaction."""


def raw_writes(folder: Path, since: int) -> float:
    """Seconds for what was written to the log after a position, and twice for the rows of as many runs.

    A run is written when it starts, and again when it is closed; so is its task.
    """
    with closing(sqlite3.connect(folder / "log.db")) as log:
        made = table_made(log, "stored_events")
        events = log.execute("select * from stored_events where rowid > ?", (since,)).fetchall()
    runs = max(1, len(events) // 2)
    seconds = inserted(folder / "raw.db", made, "stored_events", events, 2 * runs // TRANSACTION_RUNS, "full")
    with closing(sqlite3.connect(folder / "readmodel.db")) as rows:
        for table in ("tasks", "runs"):
            some = rows.execute(f"select * from {table} limit ?", (runs,)).fetchall()
            some, made = some or [], table_made(rows, table)
            if some:
                path = folder / f"raw-{table}.db"
                seconds += 2 * inserted(path, made, table, some, runs // TRANSACTION_RUNS, "normal")
    return seconds


def table_made(source: sqlite3.Connection, table: str) -> str:
    """The statement that a table was made with."""
    return str(source.execute("select sql from sqlite_master where name = ?", (table,)).fetchone()[0])


def inserted(path: Path, made: str, table: str, rows: list[Any], transactions: int, synchronous: str) -> float:
    """Seconds for inserting rows into a new table, in so many durable transactions (one at least)."""
    with closing(sqlite3.connect(path, isolation_level=None, cached_statements=128)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute(f"pragma synchronous={synchronous}")
        connection.execute(made)
        marks = ", ".join("?" * len(rows[0]))
        size = -(-len(rows) // max(1, transactions))
        begun = time.perf_counter()
        for start in range(0, len(rows), size):
            connection.execute("begin immediate")
            connection.executemany(f"insert into {table} values ({marks})", rows[start : start + size])
            connection.execute("commit")
        took = time.perf_counter() - begun
    path.unlink()
    return took
