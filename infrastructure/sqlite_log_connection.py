"""Connections to the log's SQLite file, with the settings that durability rests on set and read back."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from time import sleep

from eventsourcing.sqlite import (
    SQLiteAggregateRecorder,
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteDatastore,
)

from domain.errors import StoreUnavailable
from infrastructure.sqlitefile import connect_to_read, make_file, widen

__all__ = ["connect", "connect_read_only", "make_tables"]

_SYNCHRONOUS_FULL = 2
_CACHED_STATEMENTS = 128
_COLUMNS = ("originator_id", "originator_version", "topic", "state")
_SWITCH_TRIES = 100
_SWITCH_PAUSE_SECONDS = 0.05


def make_tables(path: Path, busy_timeout_seconds: float) -> tuple[str, str]:
    """Let the library make its own tables; returns its INSERT statements for events and snapshots."""
    datastore = _TableMaker(path, busy_timeout_seconds)
    try:
        events = SQLiteApplicationRecorder(datastore)
        snapshots = SQLiteAggregateRecorder(datastore, events_table_name="snapshots")
        events.create_table()
        snapshots.create_table()
    finally:
        datastore.close()
    # Else SQLite copies every page that a statement of many rows changes, to be able to take back this one alone
    # (https://sqlite.org/lang_conflict.html); a row that fails takes its whole transaction back here.
    insert_events = events.insert_events_statement.replace("INSERT INTO", "INSERT OR FAIL INTO", 1)
    return insert_events, snapshots.insert_events_statement


class _TableMaker(SQLiteDatastore):
    """The library's datastore over connections with Daybook's settings; it makes the tables and is closed again."""

    def __init__(self, path: Path, busy_timeout_seconds: float) -> None:
        super().__init__(str(path))
        self.pool = _Pool(path, busy_timeout_seconds)


class _Pool(SQLiteConnectionPool):
    def __init__(self, path: Path, busy_timeout_seconds: float) -> None:
        super().__init__(db_name=str(path))
        self._path, self._busy_timeout_seconds = path, busy_timeout_seconds

    def _create_connection(self) -> SQLiteConnection:
        connection = connect(self._path, self._busy_timeout_seconds, check_tables=False)
        connection.row_factory = sqlite3.Row
        return SQLiteConnection(sqlite_conn=connection, max_age=None)


def connect(
    path: Path, busy_timeout_seconds: float, *, query_only: bool = False, check_tables: bool = True
) -> sqlite3.Connection:
    """A connection in autocommit mode; StoreUnavailable where its settings do not hold, else sqlite3.Error."""
    with suppress(OSError):  # SQLite says why a file cannot be made
        make_file(path)
    connection = sqlite3.connect(
        path,
        timeout=busy_timeout_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_CACHED_STATEMENTS,
    )
    try:
        _switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        if query_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            widen(connection)
        _check_settings(connection, path)
        if check_tables:
            _check_tables(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_read_only(path: Path, busy_timeout_seconds: float) -> sqlite3.Connection:
    """A connection that cannot write, to a log that is there. Raises StoreUnavailable, else sqlite3.Error."""
    connection = connect_to_read(path, busy_timeout_seconds)
    try:
        _check_tables(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    # Two processes that make the file at once: the switch fails at once with "locked", without the busy timeout.
    for tries_left in reversed(range(_SWITCH_TRIES)):
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not tries_left:
                raise
        sleep(_SWITCH_PAUSE_SECONDS)


def _check_settings(connection: sqlite3.Connection, path: Path) -> None:
    """Read back what durability rests on: a build, a file system or a file of others may not honor what was set."""
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        raise StoreUnavailable(f"{path}: journal mode {mode} where WAL is needed; keep it on a local file system")
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if synchronous != _SYNCHRONOUS_FULL:
        raise StoreUnavailable(f"{path}: synchronous is {synchronous} where {_SYNCHRONOUS_FULL} (FULL) is needed")


def _check_tables(connection: sqlite3.Connection, path: Path) -> None:
    for table in ("stored_events", "snapshots"):
        columns = tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
        if columns != _COLUMNS:
            raise StoreUnavailable(f"{path}: table {table} has columns {', '.join(columns)}: not a log of Daybook")
