"""The read models: one disposable SQLite file, made and queried with sqlite-utils; hot rows go in bulk."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_type_hints

from application.ports import NOTHING, Exclusions, Log, Recorded, Stretch
from application.projections import project
from application.rows import (
    TABLES,
    DeliveryRow,
    GuildRow,
    NodeRow,
    Row,
    RunRow,
    SkipRow,
    TaskRow,
    TextRow,
)
from domain.errors import EventUnreadable, StoreUnavailable
from infrastructure.conditions import excluding, like, marks
from infrastructure.row_batch import RUNS_BY_TASK, KeptRows, RowBatch, fingerprint
from infrastructure.sqlitefile import make_file, widen
from infrastructure.times import CREATE_TIMES, note_times, stretches

__all__ = ["SqliteReadModel"]

REBUILD_EVENTS = 10_000

_INDEXES = (
    "create index if not exists tasks_due on tasks (due_at) where due_at is not null",
    "create index if not exists tasks_next on tasks (next_slot) where next_slot is not null and status = 'active'",
    "create index if not exists tasks_told on tasks (notice_due) where notice_due is not null",
    "create index if not exists tasks_guild on tasks (guild_id, archived, name, task_id)",
    RUNS_BY_TASK,
    "create index if not exists runs_guild on runs (guild_id, coalesce(slot, requested_at))",
    "create index if not exists runs_open on runs (state) where state in ('running', 'waiting')",
)
_RUN_AT = "coalesce(slot, requested_at)"


class SqliteReadModel:
    """The read model of one data folder. One process writes it (``writable``); others read the file.

    Opening it drops rows that other code made (by fingerprint): then ``catch_up`` makes them anew from the log.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self.path, self.writable = path, writable
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._kept: KeptRows = KeptRows()
        self.stale = False
        if writable:
            self._prepare_or_replace()
        elif not path.exists() or self._fingerprint() != fingerprint():
            self.stale = True

    # --- files and connections ---

    @property
    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        mode = "rwc" if self.writable else "ro"
        connection = None
        if self.writable:
            with suppress(OSError):  # SQLite says why a file cannot be made
                make_file(self.path)
        try:
            connection = sqlite3.connect(
                f"{self.path.resolve().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=10,
                check_same_thread=False,
                cached_statements=128,
            )
            if self.writable:
                connection.execute("pragma journal_mode=wal")
                connection.execute("pragma synchronous=normal")
                connection.execute("pragma secure_delete=on")  # not every build's default; people wrote these rows
                widen(connection)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise StoreUnavailable(f"cannot open the read model {self.path}: {error}") from error
        with self._lock:
            self._connections.append(connection)
        return connection

    def _fingerprint(self) -> str | None:
        try:
            row = self._connection.execute("select value from meta where name = 'fingerprint'").fetchone()
        except (sqlite3.Error, StoreUnavailable, UnicodeDecodeError):
            return None
        return str(row[0]) if row else None

    def _prepare_or_replace(self) -> None:
        """Prepare the file; one that is damaged is thrown away first, since all of it is made anew from the log."""
        try:
            self._prepare()
        except (sqlite3.DatabaseError, StoreUnavailable) as error:
            cause = error.__cause__ if isinstance(error, StoreUnavailable) else error
            if not isinstance(cause, sqlite3.DatabaseError) or isinstance(cause, sqlite3.OperationalError):
                raise  # locked, full, not allowed: nothing that another file would cure
            self.close()
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self._prepare()

    def _prepare(self) -> None:
        import sqlite_utils  # imported where it is used: readers of a prepared file start faster

        if self._fingerprint() == fingerprint():
            self._index()  # a rebuild that was killed left it without
            return
        database = sqlite_utils.Database(self._connection)

        def tables(name: str) -> sqlite_utils.db.Table:
            return cast("sqlite_utils.db.Table", database[name])

        for name in [*(kind.table for kind in TABLES), "meta", "faults", "times"]:
            tables(name).drop(ignore=True)
        for kind in TABLES:
            columns = {f.name: _column_type(kind, f.name) for f in fields(kind)}
            tables(kind.table).create(columns, pk=kind.key if len(kind.key) > 1 else kind.key[0])
        tables("meta").create({"name": str, "value": str}, pk="name")
        tables("faults").create({"stream": str, "version": int, "topic": str, "reason": str}, pk=("stream", "version"))
        self._connection.execute(CREATE_TIMES)
        self._index()
        tables("meta").insert_all([{"name": "fingerprint", "value": fingerprint()}, {"name": "position", "value": "0"}])
        self._kept.clear()

    def _index(self) -> None:
        for statement in _INDEXES:
            self._connection.execute(statement)

    def reset(self) -> None:
        """Forget everything, as if the file were new."""
        self._connection.execute("delete from meta where name = 'fingerprint'")
        self._prepare()

    def close(self) -> None:
        """Release the file. Idempotent."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self._local = threading.local()

    # --- writing ---

    def position(self) -> int:
        """How far the log was read."""
        rows = self._asked("select value from meta where name = 'position'")
        with self._damage_named():
            return int(rows[0][0]) if rows else 0

    def apply(self, recorded: Sequence[Recorded]) -> None:
        """Project these events and move the position, in one transaction. On an error nothing changes.

        An event that cannot be projected is kept among the faults, so that the others still are.
        """
        try:
            self._apply(recorded)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(recorded) > 1:
                for one in recorded:
                    self.apply([one])
                return
            position, event = recorded[0]
            if isinstance(event, EventUnreadable):
                raise
            reason = f"cannot be shown: {type(error).__name__}"
            fault = EventUnreadable(event.originator_id, event.originator_version, event.topic, reason, event.timestamp)
            self._apply([Recorded(position, fault)])

    def _apply(self, recorded: Sequence[Recorded]) -> None:
        if not recorded:
            return
        try:
            with self._transaction():
                batch = RowBatch(self._connection, self._kept)
                batch.prefetch(recorded)
                for _, event in recorded:
                    if isinstance(event, EventUnreadable):
                        self._fault(event)
                    else:
                        project(event, batch)
                batch.flush()
                note_times(self._connection, recorded)
                self._connection.execute(
                    "update meta set value = ? where name = 'position'", (str(recorded[-1].position),)
                )
        except BaseException:
            self._kept.clear()
            raise
        self._kept.trim()
        if batch.forgot:  # what was erased must not stay in the write-ahead log either
            with suppress(sqlite3.Error):
                self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()

    def catch_up(
        self,
        log: Log,
        *,
        seen: Callable[[Sequence[Recorded]], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Project all that the log has more. ``seen`` is given each chunk, ``progress`` (position, end)."""
        position = self.position()
        end = log.last_position()
        if position == 0 and end > REBUILD_EVENTS:
            for statement in _INDEXES:  # made at the end from what is there: sorted once, instead of row by row
                self._connection.execute(f"drop index if exists {statement.split()[5]}")
            try:
                self._catch_up(log, position, end, seen, progress)
            finally:
                self._index()
        else:
            self._catch_up(log, position, end, seen, progress)

    def _catch_up(
        self,
        log: Log,
        position: int,
        end: int,
        seen: Callable[[Sequence[Recorded]], None] | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        while position < end and (chunk := log.read(position, REBUILD_EVENTS)):
            self.apply(chunk)
            position = chunk[-1].position
            if seen is not None:
                seen(chunk)
            if progress is not None:
                progress(position, max(end, position))

    def _fault(self, error: EventUnreadable) -> None:
        self._connection.execute(
            "insert or replace into faults values (?, ?, ?, ?)",
            (error.stream_id, error.version, error.topic, error.reason),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        try:
            connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot write the read model {self.path}: {error}") from error

    # --- reading ---

    def get(self, kind: type[Any], *key: str | int) -> Any:
        """One row by its key, or None."""
        where = " and ".join(f"{column} = ?" for column in kind.key)
        rows = self._rows(kind, f"where {where}", key)
        return rows[0] if rows else None

    def tasks(
        self,
        *,
        guild_id: str | None = None,
        statuses: Sequence[str] = (),
        name_contains: str = "",
        archived: bool = False,
        limit: int = 1000,
        offset: int = 0,
    ) -> list[tuple[TaskRow, TextRow]]:
        """Tasks by name, each with what people wrote about it."""
        conditions, values = ["t.archived <= ?"], [int(archived)]  # type: list[str], list[Any]
        if guild_id is not None:
            conditions.append("t.guild_id = ?")
            values.append(guild_id)
        if statuses:
            conditions.append(f"t.status in ({marks(statuses)})")
            values.extend(statuses)
        if name_contains:
            conditions.append("t.name like ? escape '\\'")
            values.append(f"%{like(name_contains)}%")
        rows = self._asked(
            f"select t.*, x.* from tasks t join texts x using (task_id) where {' and '.join(conditions)} "
            "order by t.guild_id, t.archived, t.name, t.task_id limit ? offset ?",
            (*values, limit, offset),
        )
        width = len(fields(TaskRow))
        # "using" gives the shared column once, so the second half lacks its key.
        return [(TaskRow(*row[:width]), TextRow(row[0], *row[width + 1 :])) for row in rows]

    def due(self, until: int, limit: int, exclude: Exclusions = NOTHING) -> list[tuple[str, str, int]]:
        """What is due at ``until``, the longest due first."""
        condition, values = excluding(exclude)
        return self._asked(
            f"select task_id, guild_id, due_at from tasks where due_at <= ? {condition} order by due_at limit ?",
            (until, *values, limit),
        )

    def next_due(self, exclude: Exclusions = NOTHING) -> int | None:
        """When something is next due."""
        condition, values = excluding(exclude)
        rows = self._asked(
            f"select due_at from tasks where due_at is not null {condition} order by due_at limit 1", values
        )
        return int(rows[0][0]) if rows else None

    def upcoming(self, limit: int, guild_id: str | None = None) -> list[tuple[str, str, int]]:
        """Active tasks by their next slot."""
        condition, values = ("", (limit,)) if guild_id is None else ("and guild_id = ?", (guild_id, limit))
        return self._asked(
            "select task_id, name, next_slot from tasks where status = 'active' and next_slot is not null "
            f"{condition} order by next_slot limit ?",
            values,
        )

    def runs(
        self,
        *,
        task_id: str | None = None,
        guild_id: str | None = None,
        states: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> list[RunRow]:
        """Runs, the newest first."""
        conditions: list[str] = []
        values: list[Any] = []
        for column, value in (("task_id", task_id), ("guild_id", guild_id)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        if states:
            conditions.append(f"state in ({marks(states)})")
            values.extend(states)
        where = f"where {' and '.join(conditions)}" if conditions else ""
        return self._rows(RunRow, f"{where} order by {_RUN_AT} desc limit ? offset ?", (*values, limit, offset))

    def deliveries(self, run_ids: Sequence[str]) -> list[DeliveryRow]:
        """The deliveries of these runs."""
        return self._rows(
            DeliveryRow, "where run_id in (select value from json_each(?)) order by at", (json.dumps(list(run_ids)),)
        )

    def skips(self, task_id: str, limit: int = 100) -> list[SkipRow]:
        """Skipped ranges of a task, the newest first."""
        return self._rows(SkipRow, "where task_id = ? order by version desc limit ?", (task_id, limit))

    def running(self) -> list[RunRow]:
        """Runs that some node holds now."""
        return self._rows(RunRow, "where state = 'running'", ())

    def to_be_told(self, limit: int) -> list[TaskRow]:
        """Tasks of whose trouble people are still to be told, in guilds that want to be told."""
        return self._rows(
            TaskRow,
            "where notice_due is not null and guild_id in (select guild_id from guilds where notices > 0) limit ?",
            (limit,),
        )

    def guilds(self) -> list[GuildRow]:
        """All guilds."""
        return self._rows(GuildRow, "order by guild_id", ())

    def nodes(self, *, running_only: bool = False, limit: int = 100) -> list[NodeRow]:
        """Processes that served, the newest first."""
        where = "where ended_at is null" if running_only else ""
        return self._rows(NodeRow, f"{where} order by started_at desc limit ?", (limit,))

    def stretches(self) -> list[Stretch]:
        """Between which instants each stretch of the log was written."""
        with self._damage_named():
            return stretches(self._connection)

    def counts(self, guild_id: str | None = None) -> dict[str, int]:
        """How many tasks there are by status."""
        condition, values = ("", ()) if guild_id is None else ("where guild_id = ?", (guild_id,))  # type: str, tuple[str, ...]
        return dict(self._asked(f"select status, count(*) from tasks {condition} group by status", values))

    def faults(self) -> list[dict[str, Any]]:
        """Events that could not be read."""
        rows = self._asked("select stream, version, topic, reason from faults")
        return [dict(zip(("stream", "version", "topic", "reason"), row, strict=True)) for row in rows]

    def differing(self, log: Log, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """By table, how many rows differ from those that the log makes; empty when none does. Raises StoreError."""
        from infrastructure.comparison import differing_rows

        return differing_rows(self, log, progress)

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, in order: what two read models are compared by."""
        return {kind.table: sorted(self._asked(f"select * from {kind.table}"), key=repr) for kind in TABLES}

    def _rows(self, kind: type[Any], rest: str, values: Sequence[Any]) -> list[Any]:
        return [kind(*row) for row in self._asked(f"select * from {kind.table} {rest}", tuple(values))]

    def _asked(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._damage_named():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            reason = f"{self.path}: {error}; where it is damaged, `daybook rebuild` makes it anew"
            raise StoreUnavailable(reason) from error


def _column_type(kind: type[Row], name: str) -> type[Any]:
    return int if int in _members(get_type_hints(kind)[name]) else str


def _members(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))
