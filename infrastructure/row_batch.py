"""The rows that one transaction of the read model reads and changes, written in bulk."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import compress
from operator import attrgetter, ne
from typing import Any

from application.ports import Recorded
from application.rows import TABLES, Purge, Row, RunRow, SkipRow, TaskRow, TextRow
from domain.task_events import TaskEvent

__all__ = ["RUNS_BY_TASK", "KeptRows", "RowBatch"]

KEPT_ROWS = 20_000

RUNS_BY_TASK = "create index if not exists runs_task on runs (task_id, coalesce(slot, requested_at))"


Key = tuple[str | int, ...]

_COLUMNS = {kind: tuple(f.name for f in fields(kind)) for kind in TABLES}


class KeptRows:
    """Rows of the recent past, so that a burst does not read what it has just written.

    ``written`` holds their columns as they stand in the file: only what changed is written again.
    """

    def __init__(self) -> None:
        self.rows: dict[type[Row], OrderedDict[Key, Row]] = {kind: OrderedDict() for kind in TABLES}
        self.written: dict[type[Row], dict[Key, tuple[Any, ...]]] = {kind: {} for kind in TABLES}

    def clear(self) -> None:
        for kind in TABLES:
            self.rows[kind].clear()
            self.written[kind].clear()

    def trim(self) -> None:
        for kind, table in self.rows.items():
            written = self.written[kind]
            for _ in range(len(table) - (KEPT_ROWS if kind in (TaskRow, RunRow) else KEPT_ROWS // 10)):
                key, _row = table.popitem(last=False)
                written.pop(key, None)

    def read(self, kind: type[Row], columns: tuple[Any, ...]) -> Row:
        """Keep a row as the file has it."""
        row = kind(*columns)
        key = _KEY_OF[kind](row)
        self.rows[kind][key], self.written[kind][key] = row, columns
        return row


class RowBatch:
    """The rows that one transaction reads and changes (application.rows.Rows)."""

    def __init__(self, connection: sqlite3.Connection, kept: KeptRows) -> None:
        self._connection, self._kept = connection, kept
        self.forgot = False
        self._changed: dict[type[Row], dict[Key, Row]] = {}
        self._absent: set[tuple[type[Row], Key]] = set()

    def get(self, kind: type[Any], *key: str | int) -> Any:
        table = self._kept.rows[kind]
        row = table.get(key)
        if row is not None or (kind, key) in self._absent:
            return row
        where = " and ".join(f"{column} = ?" for column in kind.key)
        found = self._connection.execute(f"select * from {kind.table} where {where}", key).fetchone()
        if found is None:
            self._absent.add((kind, key))
            return None
        return self._kept.read(kind, found)

    def put(self, row: Row) -> None:
        kind = type(row)
        key = _KEY_OF[kind](row)
        changed = self._changed.get(kind)
        if changed is None:
            changed = self._changed[kind] = {}
        changed[key] = row
        self._kept.rows[kind][key] = row

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
        self._absent.clear()

    def forget(self, stream: str) -> None:
        self.forgot = True
        self.flush()
        self._connection.execute(RUNS_BY_TASK)  # a rebuild goes without, until now
        self._connection.execute(
            "delete from deliveries where run_id in (select run_id from runs where task_id = ?)", (stream,)
        )
        for kind in (TextRow, RunRow, SkipRow):
            self._connection.execute(f"delete from {kind.table} where task_id = ?", (stream,))
        self._connection.execute("delete from faults where stream = ?", (stream,))
        self._kept.clear()
        self._absent.clear()

    def prefetch(self, recorded: Sequence[Recorded]) -> None:
        """Read the rows that these events will want, in two queries instead of one each."""
        tasks, runs = set(), set()
        for _, event in recorded:
            if isinstance(event, TaskEvent):
                tasks.add(event.stream)
                if run := getattr(event, "run", None):
                    runs.add(run)
        self._fetch(TaskRow, "task_id", tasks)
        self._fetch(RunRow, "run_id", runs)

    def _fetch(self, kind: type[Any], column: str, ids: Iterable[str]) -> None:
        table = self._kept.rows[kind]
        missing = {i for i in ids if (i,) not in table}
        if len(missing) < 2:
            return
        sql = f"select * from {kind.table} where {column} in (select value from json_each(?))"
        for row in self._connection.execute(sql, (json.dumps(list(missing)),)):
            self._kept.read(kind, row)
            missing.discard(row[0])
        self._absent.update((kind, (i,)) for i in missing)

    def flush(self) -> None:
        """Write the changed rows; of those that the file has, only the columns that changed.

        An index whose columns stay as they are is not touched then, which is most of what a write costs.
        """
        for kind, rows in self._changed.items():
            values_of, written = _VALUES_OF[kind], self._kept.written[kind]
            new: list[tuple[Any, ...]] = []
            updates: dict[tuple[bool, ...], list[tuple[Any, ...]]] = {}
            for key, row in rows.items():
                values, before = values_of(row), written.get(key)
                written[key] = values
                if before is None:
                    new.append(values)
                    continue
                differs = tuple(map(ne, before, values))
                updates.setdefault(differs, []).append((*compress(values, differs), *key))
            if new:
                self._connection.executemany(_UPSERT[kind], new)
            for differs, changes in updates.items():
                if any(differs):
                    self._connection.executemany(_update(kind.table, _COLUMNS[kind], kind.key, differs), changes)
        self._changed = {}


@lru_cache(maxsize=1024)
def _update(table: str, columns: tuple[str, ...], key: tuple[str, ...], differs: tuple[bool, ...]) -> str:
    changed = ", ".join(f"{name} = ?" for name in compress(columns, differs))
    return f"update {table} set {changed} where {' and '.join(f'{name} = ?' for name in key)}"


def _upsert(kind: type[Row]) -> str:
    names = _COLUMNS[kind]
    rest = ", ".join(f"{name} = excluded.{name}" for name in names if name not in kind.key)
    return (
        f"insert into {kind.table} ({', '.join(names)}) values ({', '.join('?' * len(names))}) "
        f"on conflict ({', '.join(kind.key)}) do update set {rest}"
    )


def _key_of(kind: type[Row]) -> Callable[[Any], tuple[Any, ...]]:
    if len(kind.key) == 1:
        only = attrgetter(kind.key[0])
        return lambda row: (only(row),)
    return attrgetter(*kind.key)


_UPSERT = {kind: _upsert(kind) for kind in TABLES}
_VALUES_OF: dict[type[Row], Callable[[Any], tuple[Any, ...]]] = {kind: attrgetter(*_COLUMNS[kind]) for kind in TABLES}
_KEY_OF = {kind: _key_of(kind) for kind in TABLES}
