"""The rows of the read models, for whoever asks: one SQLite file, of which any number of processes may read.

What writes them is in ``infrastructure.read_model``; it takes much longer to import.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import fields
from operator import itemgetter
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from application import row_sources
from application.ports import NOTHING, Exclusions, Stretch
from application.rows import NO_SETTINGS, TABLES, DeliveryRow, GuildRow, NodeRow, RunRow, SkipRow, TaskRow, TextRow
from domain.errors import StoreUnavailable
from infrastructure import seal
from infrastructure.conditions import excluding, marks
from infrastructure.row_file import connect
from infrastructure.stream_heads import heads
from infrastructure.task_names import maybe_named
from infrastructure.times import stretches
from infrastructure.totals import TOTALS

__all__ = ["RowReader", "fingerprint"]

FEW = "state in ('running', 'waiting', 'failed', 'skipped')"
"""Runs that are few among many, and asked for: an index holds them, which SQLite uses where a query says just this."""

_FEW = ("running", "waiting", "failed", "skipped")
_KEPT_BY = (
    "rebuild_parts",
    "row_batch",
    "row_parts",
    "row_process",
    "row_writer",
    "stream_heads",
    "task_names",
    "times",
    "totals",
)
_RUN_AT = "coalesce(slot, requested_at)"


def fingerprint() -> str:
    """A hash of all code that makes the rows, that of the files they stand in too: it purges."""
    return row_sources.fingerprint(*(f"infrastructure.{name}" for name in _KEPT_BY))


class RowReader:
    """Reads the rows of the file at ``path`` (application.ports.ReadModel, without what changes it). Thread-safe.

    It is ``stale`` when the file is missing, when other code than this made the rows, and when it is ``damaged``: then
    it is not as its last writer left it. ``before_reading`` is called before rows are read: whoever writes them in this
    process lets them follow all that was committed (infrastructure.projector).
    """

    def __init__(self, path: Path) -> None:
        self._place(path)
        self.damaged = seal.holds(path) is False
        self.stale = self.damaged or not path.exists() or self._fingerprint() != fingerprint()

    def _place(self, path: Path) -> None:
        self.path, self.stale, self.damaged = path, False, False
        self.before_reading: Callable[[], object] = _nothing
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    # --- connections ---

    @property
    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            try:
                connection = self._connect()
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise StoreUnavailable(f"cannot open the read model {self.path}: {error}") from error
            with self._lock:
                self._connections.append(connection)
            self._local.connection = connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path)

    def _fingerprint(self) -> str | None:
        try:
            row = self._connection.execute("select value from meta where name = 'fingerprint'").fetchone()
        except (sqlite3.Error, StoreUnavailable, UnicodeDecodeError):
            return None
        return str(row[0]) if row else None

    def close(self) -> None:
        """Release the file. Idempotent."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.close()
        self._local = threading.local()

    def lagging(self) -> Self:
        """The same connections, for whoever does not wait for rows that have yet to follow."""
        other = copy(self)
        other.before_reading = _nothing
        return other

    def position(self) -> int:
        """How far the log was read."""
        rows = self._asked("select value from meta where name = 'position'")
        with self._damage_named():
            return int(rows[0][0]) if rows else 0

    def settings(self, guild_ids: Iterable[str]) -> dict[str, str]:
        """The settings of guilds. These rows are never late, so nobody waits for them."""
        asked = list(guild_ids)
        statement = "select guild_id, settings from guilds where guild_id in (select value from json_each(?))"
        return dict.fromkeys(asked, NO_SETTINGS) | dict(self._standing(statement, (json.dumps(asked),)))

    # --- rows ---

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
            conditions.append("instr(folded(t.name), ?)")
            values.append(name_contains.casefold())
            if guild_id is None and (found := maybe_named(self._asked, name_contains.casefold())) is not None:
                conditions.append("t.rowid in (select value from json_each(?))")
                values.append(found)
        rows = self._asked(
            f"select t.*, x.* from tasks t join texts x using (task_id) where {' and '.join(conditions)} "
            "order by t.guild_id, t.archived, t.name, t.task_id limit ? offset ?",
            (*values, limit, offset),
        )
        width = len(fields(TaskRow))
        # "using" gives the shared column once, so the second half lacks its key.
        return [(TaskRow(*row[:width]), TextRow(row[0], *row[width + 1 :])) for row in rows]

    def ids_beginning(self, text: str, guild_id: str | None = None) -> list[str]:
        """Ids of tasks that begin with this text, 100 at most."""
        condition, values = ("", ()) if guild_id is None else ("and guild_id = ?", (guild_id,))  # type: str, tuple[str, ...]
        rows = self._asked(
            f"select task_id from tasks where task_id >= ? and task_id < ? {condition} limit 100",
            (text, text + "\x7f", *values),
        )
        return [row[0] for row in rows]

    def ids_named(self, name: str, guild_id: str | None = None) -> list[str]:
        """Ids of tasks of this name, whatever its case, 100 at most."""
        condition, values = "", ()  # type: str, tuple[str, ...]
        if guild_id is not None:
            condition, values = "and guild_id = ?", (guild_id,)
        elif (found := maybe_named(self._asked, name.casefold())) is not None:
            condition, values = "and rowid in (select value from json_each(?))", (found,)
        rows = self._asked(
            f"select task_id from tasks where folded(name) = ? {condition} limit 100", (name.casefold(), *values)
        )
        return [row[0] for row in rows]

    def ids_once_named(self, name: str, guild_id: str | None = None) -> list[str]:
        """Ids of tasks that had this name before they were renamed, whatever its case, 100 at most."""
        condition, values = ("", ()) if guild_id is None else ("and guild_id = ?", (guild_id,))  # type: str, tuple[str, ...]
        rows = self._asked(
            f"select task_id from former_names where name = ? {condition} limit 100", (name.casefold(), *values)
        )
        return [row[0] for row in rows]

    def due(self, until: int, limit: int, exclude: Exclusions = NOTHING) -> list[tuple[str, str, int]]:
        """What is due at ``until``, the longest due first."""
        condition, values = excluding(exclude)
        # As one value: row by row the event loop would give way to other threads as often (infrastructure.together).
        [(found,)] = self._asked(
            "select json_group_array(json_array(task_id, guild_id, due_at)) from (select task_id, guild_id, due_at "
            f"from tasks where due_at <= ? {condition} order by due_at limit ?)",
            (until, *values, limit),
        )
        return sorted(map(tuple, json.loads(found)), key=itemgetter(2))

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

    def definitions_ahead(self, limit: int) -> list[tuple[str, str]]:
        """(definition as JSON, keys of destinations that were disabled) of active tasks, the soonest due first."""
        return self._asked(
            "select definition, disabled_destinations from (select task_id from tasks "
            "where status = 'active' and next_slot is not null order by next_slot limit ?) join texts using (task_id)",
            (limit,),
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
            if set(states) <= set(_FEW):
                conditions.append(FEW)
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
        return self._rows(RunRow, f"where state = 'running' and {FEW}", ())

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

    def heads(self, streams: Sequence[UUID]) -> dict[UUID, int]:
        """The number of the last event of guilds and processes, as far as the log was read."""
        self.before_reading()
        with self._damage_named():
            return heads(self._connection, streams)

    def stretches(self) -> list[Stretch]:
        """Between which instants each stretch of the log was written."""
        self.before_reading()
        with self._damage_named():
            return stretches(self._connection)

    def counts(self, guild_id: str | None = None) -> dict[str, int]:
        """How many tasks there are by status."""
        if guild_id is None:
            return dict(self._asked(TOTALS))
        return dict(self._asked("select status, count(*) from tasks where guild_id = ? group by status", (guild_id,)))

    def faults(self) -> list[dict[str, Any]]:
        """Events that could not be read, or are missing."""
        rows = self._asked("select stream, version, topic, reason from faults")
        return [dict(zip(("stream", "version", "topic", "reason"), row, strict=True)) for row in rows]

    def unreadable(self) -> dict[str, int]:
        """By stream, how many of these there are."""
        return dict(self._asked("select stream, count(*) from faults group by stream"))

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, in order: what two read models are compared by."""
        return {kind.table: sorted(self._asked(f"select * from {kind.table}"), key=repr) for kind in TABLES}

    def _rows(self, kind: type[Any], rest: str, values: Sequence[Any]) -> list[Any]:
        return [kind(*row) for row in self._asked(f"select * from {kind.table} {rest}", tuple(values))]

    def _asked(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        self.before_reading()
        return self._standing(statement, values)

    def _standing(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """What the rows say that are there, whether more follow or not."""
        with self._damage_named():
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, TypeError, ValueError) as error:
            reason = f"{self.path}: {error}; where it is damaged, `daybook rebuild` makes it anew"
            raise StoreUnavailable(reason) from error


def _nothing() -> None:
    """Nobody writes the rows in this process, or whoever asks does not wait."""
