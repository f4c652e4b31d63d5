"""Writes the rows of the read models: events in, one transaction for many of them, and how far the log was read.

One process at a time does it, but one that was killed may have another behind it that still writes its last rows. So
each transaction looks at where the file stands before it goes on from there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from application.ports import Recorded
from application.projections import project
from domain.errors import EventUnreadable, StoreError, StoreUnavailable
from infrastructure.row_batch import KeptRows, RowBatch
from infrastructure.sqlitefile import SqliteTrouble
from infrastructure.stream_heads import note_heads
from infrastructure.task_names import forget_old_names, index_new_names
from infrastructure.times import note_times

__all__ = ["RowWriter", "RowsMoved", "Told", "position"]

SCRUB_MILLISECONDS = 500


class RowsMoved(StoreError):
    """Somebody else has written rows meanwhile: where the file stands is to be looked up again."""


class Told(NamedTuple):
    """What a transaction of rows changed that whoever keeps them is told: the earliest instant (microseconds since
    1970) at which one of its tasks is due, and the settings of guilds that have new ones.
    """

    due: int | None = None
    settings: Mapping[str, str] = {}

    def and_then(self, due: int | None, settings: Mapping[str, str]) -> Told:
        """The same, and what a later transaction changed."""
        earliest = min((one for one in (self.due, due) if one is not None), default=None)
        return Told(earliest, {**self.settings, **settings})


class RowWriter:
    """Writes rows over ``connection``, which is asked for the present thread's. Not thread-safe.

    Rows of a ``part`` of a rebuild are read once and thrown away: they go without what makes finding them fast. So
    many of ``held`` wait in memory there.
    """

    def __init__(
        self,
        path: Path,
        connection: Callable[[], sqlite3.Connection],
        *,
        held: int = 0,
        fingerprint: str | None = None,
    ) -> None:
        self._path, self._connect, self._part, self._fingerprint = path, connection, held > 0, fingerprint
        self._kept = KeptRows(held)
        self._told = Told()

    def taken(self) -> Told:
        """What is to be told of the transactions since this was last asked, also where a later one failed."""
        told, self._told = self._told, Told()
        return told

    def apply(self, recorded: Sequence[Recorded], after: int | None = None) -> None:
        """Project these events and move the position, in one transaction; on an error nothing changes.

        An event that cannot be projected is kept among the faults, so that the others still are: then each has a
        transaction of its own. Raises RowsMoved where the file does not stand at the position ``after``, or other code
        than that of ``fingerprint`` made its rows; StoreUnavailable.
        """
        try:
            self._apply(recorded, after)
        except (StoreUnavailable, RowsMoved):
            raise
        except Exception as error:
            if self._part:
                raise  # what waits to be written is lost
            if len(recorded) > 1:
                for one in recorded:
                    self.apply([one], after)
                    after = one.position if after is not None else None
                return
            position, event = recorded[0]
            if isinstance(event, EventUnreadable):
                raise
            reason = f"cannot be shown: {type(error).__name__}"
            fault = EventUnreadable(event.originator_id, event.originator_version, event.topic, reason, event.timestamp)
            self._apply([Recorded(position, fault)], after)

    def _apply(self, recorded: Sequence[Recorded], after: int | None) -> None:
        if not recorded:
            return
        try:
            with self.transaction() as connection:
                if after is not None:
                    _check_stands_at(connection, after, self._fingerprint)
                batch = RowBatch(connection, self._kept)
                batch.prefetch(recorded)
                for _, event in recorded:
                    if isinstance(event, EventUnreadable):
                        _fault(connection, event)
                    else:
                        project(event, batch)
                batch.flush(self._kept.waiting())
                if not self._part:
                    index_new_names(connection)
                if batch.forgot:
                    forget_old_names(connection)
                note_times(connection, recorded)
                note_heads(connection, recorded)
                connection.execute("update meta set value = ? where name = 'position'", (str(recorded[-1].position),))
        except BaseException:
            self._kept.clear()
            raise
        self._kept.trim()
        self._told = self._told.and_then(batch.due, batch.settings)
        if batch.forgot:
            self.scrub()

    def scrub(self) -> None:
        """What was erased must not stay in the write-ahead log either. Where others read for long, it waits for them
        half a second: they are waited for as well.
        """
        with suppress(*SqliteTrouble, StoreUnavailable):
            connection = self._connect()
            (usual,) = connection.execute("pragma busy_timeout").fetchone()
            connection.execute(f"pragma busy_timeout = {SCRUB_MILLISECONDS}")
            try:
                connection.execute("pragma wal_checkpoint(truncate)").fetchall()
            finally:
                connection.execute(f"pragma busy_timeout = {usual}")

    def prepare(self, task_ids: Iterable[str]) -> None:
        """Have the rows of tasks in memory that will soon change."""
        with self.errors_named():
            RowBatch(self._connect(), self._kept).fetch_tasks(task_ids)

    def write_out(self) -> None:
        """Write what waits to be written."""
        with self.transaction() as connection:
            RowBatch(connection, self._kept).flush()

    def forget(self) -> None:
        """Read all rows again before they change: they were made anew, or somebody else goes on writing them."""
        self._kept.clear()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written within it, or nothing. Raises StoreUnavailable."""
        connection = self._connect()
        with self.errors_named():
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")

    @contextmanager
    def errors_named(self) -> Iterator[None]:
        """What SQLite raises comes out as StoreUnavailable."""
        try:
            yield
        except SqliteTrouble as error:
            raise StoreUnavailable(f"cannot write the read model {self._path}: {error}") from error


def position(connection: sqlite3.Connection) -> str:
    """Where the file stands, as it says so."""
    found = connection.execute("select value from meta where name = 'position'").fetchone()
    return str(found[0]) if found is not None else ""


def _check_stands_at(connection: sqlite3.Connection, after: int, fingerprint: str | None) -> None:
    found = dict(
        connection.execute("select name, value from meta where name in ('position', 'fingerprint')").fetchall()
    )
    if found.get("position") != str(after):
        raise RowsMoved(f"rows stand at {found.get('position', 'nothing')}, and were to go on from {after}")
    if fingerprint is not None and found.get("fingerprint") != fingerprint:
        raise RowsMoved("other code made the rows: the program was replaced while it ran")


def _fault(connection: sqlite3.Connection, error: EventUnreadable) -> None:
    connection.execute(
        "insert or replace into faults values (?, ?, ?, ?)",
        (error.stream_id, error.version, error.topic, error.reason),
    )
