"""Very many events in one transaction of a SQLite log: staged in a temporary table first, then copied at once.

The staging table lives in a temporary file that SQLite unlinks as it opens it: a process that is killed leaves nothing.
Writers are kept waiting only while the rows are copied, not while they are read, checked and sealed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.errors import Conflict
from infrastructure.bulk import MOST_NAMED, broken_stream
from infrastructure.mapper import Row

__all__ = ["copy_staged", "stage"]

_STAGING = """
    PRAGMA temp_store = FILE;
    CREATE TEMP TABLE staged (n INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL,
                              topic TEXT NOT NULL, state BLOB NOT NULL)"""
_STAGE = "INSERT INTO temp.staged (stream, version, topic, state) VALUES (?, ?, ?, ?)"
_BROKEN = """
    SELECT stream FROM temp.staged GROUP BY stream
    HAVING MIN(version) < 1 OR MAX(version) - MIN(version) + 1 <> COUNT(*) OR COUNT(DISTINCT version) <> COUNT(*)
    LIMIT 1"""
_STALE = """
    SELECT s.stream FROM (SELECT stream, MIN(version) AS first FROM temp.staged GROUP BY stream) AS s
    WHERE s.first - 1 <> COALESCE(
        (SELECT MAX(e.originator_version) FROM main.stored_events AS e WHERE e.originator_id = s.stream), 0)
    LIMIT ?"""
_COPY = """
    INSERT INTO main.stored_events (originator_id, originator_version, topic, state)
    SELECT stream, version, topic, state FROM temp.staged ORDER BY n"""
_LAST = "SELECT stream, version, topic, state FROM temp.staged ORDER BY n DESC LIMIT 1"


def stage(connection: sqlite3.Connection, chunks: Iterable[Sequence[Row]]) -> int:
    """Put the rows aside on this connection, in no transaction of the log; returns how many they are."""
    connection.executescript(_STAGING)
    count = 0
    for rows in chunks:
        connection.execute("BEGIN")
        connection.executemany(_STAGE, rows)
        connection.execute("COMMIT")
        count += len(rows)
    if (broken := connection.execute(_BROKEN).fetchone()) is not None:
        raise broken_stream(broken[0])
    return count


def copy_staged(connection: sqlite3.Connection) -> Row:
    """Copy what was staged into the log, inside the transaction that is open; returns the last row. Raises Conflict."""
    stale = connection.execute(_STALE, (MOST_NAMED,)).fetchall()
    if stale:
        raise Conflict([UUID(row[0]) for row in stale])
    connection.execute(_COPY)
    return Row(*connection.execute(_LAST).fetchone())
