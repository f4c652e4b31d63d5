"""The rows that one transaction of the read model reads and changes, written in bulk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import compress, islice, repeat
from operator import attrgetter, is_not, ne
from typing import Any

from application.ports import Recorded
from application.rows import TABLES, FormerNameRow, GuildRow, Purge, Row, RunRow, SkipRow, TaskRow, TextRow
from domain.task_events import Cancelled, Completed, Disabled, Paused, Resumed, Revised, Started, TaskEvent

__all__ = ["RUNS_BY_TASK", "KeptRows", "RowBatch"]

KEPT_ROWS = 20_000

RUNS_BY_TASK = "create index if not exists runs_task on runs (task_id, coalesce(slot, requested_at))"


Key = Any
"""What a row is known by: the value of its one key column, or a tuple of several."""

_COLUMNS = {kind: tuple(f.name for f in fields(kind)) for kind in TABLES}


_HELD: tuple[type[Row], ...] = (TaskRow, GuildRow)


class _Kept:
    """The rows of one table that are in memory.

    ``written`` holds their columns as they stand in the file: only what changed is written again. ``changed`` and
    ``absent`` (keys that the file does not have) are of the transaction that is open.
    """

    __slots__ = ("absent", "changed", "kind", "rows", "written")

    def __init__(self, kind: type[Row]) -> None:
        self.kind = kind
        self.rows: dict[Key, Row] = {}
        self.written: dict[Key, tuple[Any, ...]] = {}
        self.changed: dict[Key, Row] = {}
        self.absent: set[Key] = set()

    def clear(self) -> None:
        for held in (self.rows, self.written, self.changed, self.absent):
            held.clear()

    def forget_closed(self) -> None:
        """Closed runs, which nobody changes any more, stay in the file alone."""
        for key, row in self.changed.items():
            if row.closed_at is not None:  # type: ignore[union-attr]
                del self.rows[key]
                self.written.pop(key, None)

    def trim(self, most: int) -> None:
        for key in list(islice(self.rows, max(0, len(self.rows) - most))):
            del self.rows[key]
            self.written.pop(key, None)

    def read(self, columns: tuple[Any, ...]) -> Row:
        """Keep a row as the file has it."""
        row = self.kind(*columns)
        key = _KEY_OF[self.kind](row)
        self.rows[key], self.written[key] = row, columns
        return row


class KeptRows:
    """Rows of the recent past, so that a burst does not read what it has just written.

    Where rows are made anew every task comes by again and again, and nobody reads them meanwhile: then so many tasks
    that changed (``held``) wait to be written until there are more, and with them the sums of their guilds.
    """

    def __init__(self, held: int = 0) -> None:
        self.held = held
        self.tables = {kind: _Kept(kind) for kind in TABLES}

    def clear(self) -> None:
        for table in self.tables.values():
            table.clear()

    def waiting(self) -> tuple[type[Row], ...]:
        """Whose rows need not be written yet."""
        return _HELD if len(self.tables[TaskRow].changed) < self.held else ()

    def trim(self) -> None:
        for kind, table in self.tables.items():
            if table.changed:
                continue  # they wait
            most = KEPT_ROWS if kind in (TaskRow, RunRow) else KEPT_ROWS // 10
            table.trim(0 if self.held and kind in _HELD else most)


class RowBatch:
    """The rows that one transaction reads and changes (application.rows.Rows)."""

    def __init__(self, connection: sqlite3.Connection, kept: KeptRows) -> None:
        self._connection, self._kept, self._tables = connection, kept, kept.tables
        self.forgot = False
        self.due: int | None = None
        self.settings: dict[str, str] = {}
        for table in self._tables.values():
            table.absent.clear()

    def get(self, kind: type[Any], *key: str | int) -> Any:
        table = self._tables[kind]
        known_by = key[0] if len(key) == 1 else key
        row = table.rows.get(known_by)
        if row is not None or known_by in table.absent:
            return row
        where = " and ".join(f"{column} = ?" for column in kind.key)
        found = self._connection.execute(f"select * from {kind.table} where {where}", key).fetchone()
        if found is None:
            table.absent.add(known_by)
            return None
        return table.read(found)

    def put(self, row: Row) -> None:
        kind = type(row)
        table = self._tables[kind]
        key = _KEY_OF[kind](row)
        table.changed[key] = table.rows[key] = row

    def purge(self, purge: Purge) -> None:
        self.flush()
        scope = "" if purge.scope is None else "and guild_id = :scope"
        values = {"cutoff": purge.cutoff, "scope": purge.scope}
        if purge.deletes_runs:
            old = f"select run_id from runs where closed_at < :cutoff {scope}"
            self._connection.execute(f"delete from deliveries where run_id in ({old})", values)
            self._connection.execute(f"delete from runs where closed_at < :cutoff {scope}", values)
        if purge.archives_tasks:
            self._connection.execute(
                "update tasks set archived = 1 where status in ('cancelled', 'completed') "
                f"and changed_at < :cutoff {scope}",
                values,
            )
        self._kept.clear()

    def forget(self, stream: str) -> None:
        self.forgot = True
        self.flush()
        self._connection.execute(RUNS_BY_TASK)  # a rebuild goes without, until now
        self._connection.execute(
            "delete from deliveries where run_id in (select run_id from runs where task_id = ?)", (stream,)
        )
        for kind in (TextRow, FormerNameRow, RunRow, SkipRow):
            self._connection.execute(f"delete from {kind.table} where task_id = ?", (stream,))
        self._connection.execute("delete from faults where stream = ?", (stream,))
        self._kept.clear()

    def prefetch(self, recorded: Sequence[Recorded]) -> None:
        """Read the rows that these events will want, in three queries instead of one each.

        A task that was Created here, or a run that Started, is not asked for: what begins here is nowhere yet.
        """
        tasks: set[str] = set()
        texts: set[str] = set()
        runs: set[str] = set()
        begun: set[str] = set()
        event: Any
        for _, event in recorded:
            of_task, of_run, of_text = _concerns(type(event))  # type: ignore[arg-type]  # classes can be hashed
            if of_task and event.originator_version > 1:
                tasks.add(stream := event.stream)
                if of_text:
                    texts.add(stream)
            if of_run and (run := event.run) is not None:
                (begun if type(event) is Started and event.attempt == 1 and event.slot else runs).add(run)
        self._fetch(TaskRow, "task_id", tasks)
        self._fetch(TextRow, "task_id", texts)
        self._fetch(RunRow, "run_id", runs - begun)

    def fetch_tasks(self, task_ids: Iterable[str]) -> None:
        """Have the rows of these tasks in memory."""
        self._fetch(TaskRow, "task_id", task_ids)

    def _fetch(self, kind: type[Any], column: str, ids: Iterable[str]) -> None:
        table = self._tables[kind]
        missing = {i for i in ids if i not in table.rows}
        if len(missing) < 2:
            return
        sql = f"select * from {kind.table} where {column} in (select value from json_each(?))"
        for row in self._connection.execute(sql, (json.dumps(list(missing)),)):
            table.read(row)
            missing.discard(row[0])
        table.absent.update(missing)

    def flush(self, waiting: Sequence[type[Row]] = ()) -> None:
        """Write the changed rows but those that are ``waiting``; of those that the file has, the columns that changed.

        An index whose columns stay as they are is not touched then, which is most of what a write costs.
        """
        for kind, table in self._tables.items():
            if table.changed and kind not in waiting:
                self._write(kind, table)
                if kind is TaskRow:
                    self._note_due(table.changed.values())
                elif kind is GuildRow:
                    self._note_settings(table.changed.values())
                elif kind is RunRow:
                    table.forget_closed()
                table.changed.clear()

    def _note_settings(self, guilds: Iterable[Any]) -> None:
        self.settings.update((guild.guild_id, guild.settings) for guild in guilds)

    def _note_due(self, tasks: Iterable[Any]) -> None:
        dues = [task.due_at for task in tasks if task.due_at is not None]
        if dues:
            self.due = min(dues) if self.due is None else min(self.due, *dues)

    def _write(self, kind: type[Row], table: _Kept) -> None:
        """Rows that set the same columns share a statement. None stands in it, as it takes as long to bind as ten
        numbers: Python's module asks around whether somebody wants to convert it.
        """
        values_of, key_values, written = _VALUES_OF[kind], _KEY_VALUES[kind], table.written
        inserts: dict[_Marks, list[tuple[Any, ...]]] = {}
        updates: dict[tuple[_Marks, _Marks], list[tuple[Any, ...]]] = {}
        for key, row in table.changed.items():
            values, before = values_of(row), written.get(key)
            written[key] = values
            if before is None:
                given = tuple(map(is_not, values, _NONES))
                inserts.setdefault(given, []).append(tuple(compress(values, given)))
                continue
            differs = tuple(map(ne, before, values))
            changes = tuple(compress(values, differs))
            given = tuple(map(is_not, changes, _NONES))
            updates.setdefault((differs, given), []).append((*compress(changes, given), *key_values(row)))
        for given, rows in inserts.items():
            self._connection.executemany(_insert(kind.table, _COLUMNS[kind], kind.key, given), rows)
        for (differs, given), changed in updates.items():
            if any(differs):
                columns = tuple(compress(_COLUMNS[kind], differs))
                self._connection.executemany(_update(kind.table, columns, kind.key, given), changed)


@lru_cache(maxsize=256)
def _concerns(kind: type[Any]) -> tuple[bool, bool, bool]:
    """Whether such an event is of a task, whether of a run, and whether it changes what people wrote or a status.

    Asked once for each kind, since the answers of pydantic classes about an instance are slow.
    """
    if not issubclass(kind, TaskEvent):
        return False, False, False
    return True, "run" in kind.model_fields, issubclass(kind, _IN_TEXTS)


_IN_TEXTS = (Revised, Paused, Resumed, Disabled, Cancelled, Completed)

_Marks = tuple[bool, ...]
"""Of each column, whether it is meant."""

_NONES = repeat(None)


@lru_cache(maxsize=1024)
def _update(table: str, columns: tuple[str, ...], key: tuple[str, ...], given: _Marks) -> str:
    where = " and ".join(f"{name} = ?" for name in key)
    return f"update {table} set {_assigned(columns, given, '?')} where {where}"


@lru_cache(maxsize=1024)
def _insert(table: str, columns: tuple[str, ...], key: tuple[str, ...], given: _Marks) -> str:
    """It replaces what is there under the same key."""
    names = tuple(compress(columns, given))
    return (
        f"insert into {table} ({', '.join(names)}) values ({', '.join('?' * len(names))}) "
        f"on conflict ({', '.join(key)}) do update set {_assigned(columns, given, 'excluded.{}')}"
    )


def _assigned(names: Iterable[str], given: _Marks, value: str) -> str:
    return ", ".join(
        f"{name} = {value.format(name) if is_given else 'null'}" for name, is_given in zip(names, given, strict=True)
    )


def _key_values(kind: type[Row]) -> Callable[[Any], tuple[Any, ...]]:
    if len(kind.key) > 1:
        return attrgetter(*kind.key)
    only = attrgetter(kind.key[0])
    return lambda row: (only(row),)


_VALUES_OF: dict[type[Row], Callable[[Any], tuple[Any, ...]]] = {kind: attrgetter(*_COLUMNS[kind]) for kind in TABLES}
_KEY_OF: dict[type[Row], Callable[[Any], Key]] = {kind: attrgetter(*kind.key) for kind in TABLES}
_KEY_VALUES = {kind: _key_values(kind) for kind in TABLES}
