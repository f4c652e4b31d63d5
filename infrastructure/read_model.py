"""The read models: one disposable SQLite file, made and queried with sqlite-utils; hot rows go in bulk."""

from __future__ import annotations

import gc
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from shutil import rmtree
from typing import Any, Protocol, cast, get_type_hints

from application.ports import Log, Recorded
from application.rows import TABLES, Row
from domain.errors import StoreUnavailable
from infrastructure import seal
from infrastructure.row_batch import RUNS_BY_TASK
from infrastructure.row_file import connect_to_write
from infrastructure.row_parts import put_together
from infrastructure.row_reader import FEW, RowReader, fingerprint
from infrastructure.row_writer import RowsMoved, RowWriter, Told
from infrastructure.sqlitefile import SqliteTrouble, make_file
from infrastructure.stream_heads import CREATE_HEADS
from infrastructure.task_names import keep_names
from infrastructure.times import CREATE_TIMES
from infrastructure.totals import KEEP_TOTALS

__all__ = ["SqliteReadModel", "without_collections"]

REBUILD_EVENTS = 10_000

MOST_HELD = 64_000
"""So many rows of tasks, about 1 kB each, wait in memory in each part of a rebuild."""

_log = logging.getLogger(__name__)

_INDEXES = (
    "create index if not exists tasks_due on tasks (due_at) where due_at is not null",
    "create index if not exists tasks_next on tasks (next_slot) where next_slot is not null and status = 'active'",
    "create index if not exists tasks_told on tasks (notice_due) where notice_due is not null",
    "create index if not exists tasks_guild on tasks (guild_id, archived, name, task_id)",
    "create index if not exists former_names_name on former_names (name, guild_id)",
    RUNS_BY_TASK,
    "create index if not exists runs_guild on runs (guild_id, coalesce(slot, requested_at))",
    "create index if not exists runs_at on runs (coalesce(slot, requested_at))",
    f"create index if not exists runs_state on runs (state, coalesce(slot, requested_at)) where {FEW}",
)


class Readable(Protocol):
    """As much of a log as rows are made of."""

    def last_position(self) -> int: ...
    def read(self, after_position: int, limit: int) -> list[Recorded]: ...


class SqliteReadModel(RowReader):
    """The read model of one data folder. One process writes it (``writable``); others read the file.

    Opening it to write drops rows that other code made (by fingerprint), and a file that is not as its last writer left
    it: then ``catch_up`` makes them anew from the log. ``read_before`` is how far the log had been read, as far as the
    file still said so when it was opened, whatever code wrote it. One that is ``part`` of a rebuild is read once and
    thrown away: it goes without what makes reading fast or writing durable.
    """

    def __init__(self, path: Path, *, writable: bool = True, part: bool = False) -> None:
        self.writable, self.part = writable, part
        self._writer = RowWriter(path, lambda: self._connection, held=MOST_HELD if part else 0)
        self._settings: dict[str, str] = {}
        self._settings_lock, self._doubts = threading.Lock(), 0
        self.read_before = 0
        self._due: int | None = None
        if not writable:
            super().__init__(path)
            return
        self._place(path)
        self._discard_parts()
        self._discard_when_damaged()
        self._prepare_or_replace()

    # --- the file ---

    def _connect(self) -> sqlite3.Connection:
        if not self.writable:
            return super()._connect()
        with suppress(OSError):  # SQLite says why a file cannot be made
            make_file(self.path)
        return connect_to_write(self.path, mode="rwc", part=self.part)

    @property
    def parts(self) -> Path:
        """The folder of the parts of a rebuild: beside the file, where there is room for what is as large."""
        return self.path.with_suffix(".parts")

    def _discard_parts(self) -> None:
        """What a process that was killed left of a rebuild: people wrote what is in there."""
        if self.parts.exists():
            rmtree(self.parts, ignore_errors=True)

    def _discard_when_damaged(self) -> None:
        """Whatever it would answer might be wrong."""
        holds = seal.holds(self.path)
        if holds is False or (holds is None and self.path.exists() and not self._passes_quick_check()):
            _log.warning("the read model was damaged and is made anew", extra={"path": str(self.path)})
            self._remove()
        with suppress(OSError):  # a seal that stays will not hold, and the rows are made anew once more
            seal.break_seal(self.path)

    def _passes_quick_check(self) -> bool:
        """Its last writer died: what that one wrote is whole or absent, and the rest should be as it was."""
        try:
            return bool(self._connection.execute("pragma quick_check(1)").fetchone() == ("ok",))
        except (*SqliteTrouble, StoreUnavailable):
            return True  # locked, or not even a database: told apart as it is prepared

    def _remove(self) -> None:
        super().close()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _prepare_or_replace(self) -> None:
        """Prepare the file; one that is damaged is thrown away first, since all of it is made anew from the log."""
        try:
            self._prepare()
        except (sqlite3.DatabaseError, UnicodeDecodeError, StoreUnavailable) as error:
            cause = error.__cause__ if isinstance(error, StoreUnavailable) else error
            damage = isinstance(cause, sqlite3.DatabaseError | UnicodeDecodeError)
            if isinstance(cause, sqlite3.OperationalError):
                # Locked, full, not allowed: nothing that another file would cure. It does where tables can neither be
                # dropped nor made again.
                damage = cause is error and cause.sqlite_errorcode == sqlite3.SQLITE_ERROR
            if not damage:
                raise
            self._remove()
            self._prepare()

    def _prepare(self) -> None:
        self.read_before = self._position_of_any()
        if self._fingerprint() == fingerprint():
            self._index()  # a rebuild that was killed left it without
            return
        import sqlite_utils  # only tables that are to be made need it

        database = sqlite_utils.Database(self._connection)

        def tables(name: str) -> sqlite_utils.db.Table:
            return cast("sqlite_utils.db.Table", database[name])

        kept = ("meta", "faults", "times", "totals", "heads", "letters", "names")
        for name in (*(kind.table for kind in TABLES), *kept):
            tables(name).drop(ignore=True)
        for kind in TABLES:
            columns = {f.name: _column_type(kind, f.name) for f in fields(kind)}
            tables(kind.table).create(columns, pk=kind.key if len(kind.key) > 1 else kind.key[0])
        tables("meta").create({"name": str, "value": str}, pk="name")
        tables("faults").create({"stream": str, "version": int, "topic": str, "reason": str}, pk=("stream", "version"))
        for statement in (CREATE_TIMES, CREATE_HEADS, *KEEP_TOTALS):
            self._connection.execute(statement)
        keep_names(self._connection)
        self._index()
        tables("meta").insert_all([{"name": "fingerprint", "value": fingerprint()}, {"name": "position", "value": "0"}])
        self._writer.forget()
        self._settings.clear()

    def _position_of_any(self) -> int:
        with suppress(sqlite3.OperationalError, StoreUnavailable):  # no such table: the file is new
            return self.position()
        return 0

    def _index(self) -> None:
        for statement in () if self.part else _INDEXES:
            self._connection.execute(statement)

    def _drop_indexes(self) -> None:
        for statement in _INDEXES:  # made at the end from what is there: sorted once, instead of row by row
            self._connection.execute(f"drop index if exists {statement.split()[5]}")

    def reset(self) -> None:
        """Forget everything, as if the file were new."""
        self._connection.execute("delete from meta where name = 'fingerprint'")
        self._prepare()

    def close(self) -> None:
        """Release the file; sealed, if this process wrote it and nobody reads it. Idempotent."""
        whole = self.writable and not self.part and bool(self._connections) and self._all_in_one_file()
        super().close()
        if whole:
            seal.put_seal(self.path)

    def _all_in_one_file(self) -> bool:
        try:
            (busy, _, _) = self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()
        except (*SqliteTrouble, StoreUnavailable):
            return False
        return not busy

    # --- writing ---

    def apply(self, recorded: Sequence[Recorded], after: int | None = None) -> None:
        """Project these events and move the position (infrastructure.row_writer)."""
        try:
            self._writer.apply(recorded, after)
        finally:
            self.heed(self._writer.taken())

    def prepare(self, task_ids: Iterable[str]) -> None:
        """Have the rows of tasks in memory that will soon change; not while another thread writes rows."""
        self._writer.prepare(task_ids)

    def heed(self, told: Told) -> None:
        """What was written has become visible, whoever wrote it for this process."""
        with self._settings_lock:
            self._settings.update(told.settings)
        if told.due is not None:
            self._due = told.due if self._due is None else min(self._due, told.due)

    def hand_over(self) -> None:
        """Another process writes the rows from here on: what this one remembers of them will not hold."""
        self._writer.forget()

    def doubt(self) -> None:
        """Rows were written by somebody who did not come to tell of it: what is known is to be looked up again."""
        with self._settings_lock:
            self._settings.clear()
            self._doubts += 1
        self._due = 0
        self._writer.scrub()

    def settings(self, guild_ids: Iterable[str]) -> dict[str, str]:
        """The same from memory, where this process writes the rows: every new task asks for it.

        What was looked for while new settings were written does not replace them: they are there before it.
        """
        if not self.writable:
            return super().settings(guild_ids)
        asked = set(guild_ids)
        known = {one: found for one in asked if (found := self._settings.get(one)) is not None}
        if missing := asked - known.keys():
            doubts, standing = self._doubts, super().settings(missing)
            with self._settings_lock:
                if doubts == self._doubts:
                    standing = {one: self._settings.setdefault(one, settings) for one, settings in standing.items()}
            known |= standing
        return known

    def taken_due(self) -> int | None:
        """The earliest instant at which a task is due whose row was written since this was last asked."""
        due, self._due = self._due, None
        return due

    def catch_up(
        self,
        log: Readable,
        *,
        end: int | None = None,
        seen: Callable[[Sequence[Recorded]], None] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Project all that the log has more, up to the position ``end`` if that is given.

        ``seen`` is given each chunk, ``progress`` (position, end).
        """
        position = self.position()
        end = log.last_position() if end is None else end
        if end - position <= REBUILD_EVENTS:
            self._catch_up(log, position, end, seen, progress)
            return
        with without_collections():
            if position > 0:
                self._catch_up(log, position, end, seen, progress)
                return
            self._drop_indexes()
            try:
                self._catch_up(log, position, end, seen, progress)
            finally:
                self._index()

    def _catch_up(
        self,
        log: Readable,
        position: int,
        end: int,
        seen: Callable[[Sequence[Recorded]], None] | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        while position < end and (chunk := _until(end, log.read(position, min(REBUILD_EVENTS, end - position)))):
            try:
                self.apply(chunk, position)
            except RowsMoved as moved:  # by what a process that was killed left behind
                self.doubt()
                if (stands := self.position()) <= position:
                    raise StoreUnavailable(f"{self.path}: {moved}") from moved
                position = stands
                continue
            position = chunk[-1].position
            if seen is not None:
                seen(chunk)
            if progress is not None:
                progress(position, max(end, position))

    def write_out(self) -> None:
        """Write what waits to be written."""
        self._writer.write_out()

    def put_together(self, parts: Sequence[Path], position: int) -> None:
        """Take over the rows of these files, which were made from the log up to a position. Nothing else is here yet.

        Until it is done the rows say that other code made them: they are dropped where a process dies meanwhile.
        """
        with self._writer.errors_named():
            self._connection.execute("update meta set value = '' where name = 'fingerprint'")
            self._connection.execute("pragma synchronous=off")
            self._drop_indexes()
            put_together(self._connection, parts)
            self._settings.clear()
            self._connection.execute("pragma synchronous=normal")
            self._index()
            self._connection.execute("pragma wal_checkpoint(passive)").fetchall()  # syncs all that was written before
            self._connection.execute(
                "update meta set value = case name when 'position' then ? else ? end where name in (?, ?)",
                (str(position), fingerprint(), "position", "fingerprint"),
            )

    def differing(self, log: Log, progress: Callable[[int, int], None] | None = None) -> dict[str, int]:
        """By table, how many rows differ from those that the log makes; empty when none does. Raises StoreError."""
        from infrastructure.comparison import differing_rows

        return differing_rows(self, log, progress)


def _until(end: int, chunk: list[Recorded]) -> list[Recorded]:
    """Positions may have gaps."""
    return chunk if not chunk or chunk[-1].position <= end else [one for one in chunk if one.position <= end]


@contextmanager
def without_collections() -> Iterator[None]:
    """Rows and events hold no cycles, and looking for some took a fifth of the time of a rebuild."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _column_type(kind: type[Row], name: str) -> type[Any]:
    return int if int in _members(get_type_hints(kind)[name]) else str


def _members(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", (annotation,))
