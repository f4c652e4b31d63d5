"""The log in one SQLite file: eventsourcing's tables, one writer connection, readers that never wait for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from json import dumps
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import UUID

from eventsourcing.persistence import PersistenceError

from application.ports import Append, Loaded, Recorded, Standing, StoredRow
from domain.errors import AppendUnknown, Conflict, StoreUnavailable
from domain.event import Snapshot
from infrastructure.bulk import sealed
from infrastructure.mapper import EventMapper, Row, check_contiguous
from infrastructure.sqlite_bulk import copy_staged, stage
from infrastructure.sqlite_heads import STREAMS_PER_QUERY, KnownHeads, heads, stale
from infrastructure.sqlite_log_connection import connect, connect_read_only, make_tables
from infrastructure.sqlite_order import check_order, in_order
from infrastructure.sqlite_past import DELETE_SNAPSHOT, LATEST_SNAPSHOTS, faults_of_file, load_at, snapshots, thin
from infrastructure.sqlitefile import SqliteTrouble, in_words
from infrastructure.together import insert_together
from infrastructure.write_ahead import MOST_PAGES, WriteAhead

__all__ = ["SqliteLog"]

_IDLE_READERS = 8
_WORTH_CARRYING_BACK = 2_000  # rows: some 20 MB where each is on pages of its own

_FOLLOWING = """
    SELECT json_extract(asked.value, '$[0]'), e.originator_version, e.rowid
    FROM json_each(?) AS asked CROSS JOIN stored_events AS e
    ON e.originator_id = json_extract(asked.value, '$[0]') AND e.originator_version = (
        SELECT MIN(originator_version) FROM stored_events WHERE originator_id = json_extract(asked.value, '$[0]')
        AND originator_version > json_extract(asked.value, '$[1]'))"""
_LAST_POSITION = "SELECT MAX(rowid) FROM stored_events"
_STREAM = """
    SELECT rowid, * FROM stored_events WHERE originator_id = ? AND originator_version > ?
    ORDER BY originator_version LIMIT ?"""
_TAILS = """
    SELECT e.rowid, e.* FROM json_each(?) AS asked CROSS JOIN stored_events AS e
    ON e.originator_id = json_extract(asked.value, '$[0]') AND e.originator_version > json_extract(asked.value, '$[1]')
    ORDER BY asked.key, e.originator_version"""


class SqliteLog:
    """The log in the SQLite file at ``path``; implements application.ports.Log.

    ``fingerprint`` names the code whose snapshots may be used; ``busy_timeout_seconds`` is how long a write waits for
    another process's. The file is in WAL mode and every connection syncs fully; it is refused (StoreUnavailable) where
    that cannot be had. Reads may come from any thread and do not wait for writers. One that is ``read_only`` makes and
    changes nothing.
    """

    def __init__(
        self,
        path: Path | str,
        mapper: EventMapper,
        *,
        fingerprint: str = "",
        busy_timeout_seconds: float = 5.0,
        read_only: bool = False,
    ) -> None:
        self._path = Path(path).absolute()
        self._mapper = mapper
        self._fingerprint = fingerprint
        self._busy_timeout_seconds, self._read_only = busy_timeout_seconds, read_only
        self._write_lock = Lock()
        self._idle_lock = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._unsettled = False
        self._heads = KnownHeads()
        with self._errors_named():
            self._insert_event, self._insert_snapshot = "", ""
            if not read_only:
                self._insert_event, self._insert_snapshot = make_tables(self._path, busy_timeout_seconds)
            self._writer = self._read_connection() if read_only else connect(self._path, busy_timeout_seconds)
            self._writer.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}").fetchone()
            self._not_carried_back = 0
            self._write_ahead = WriteAhead(self._path)
            self._watcher_lock = Lock()
            self._watcher = self._read_connection()

    def _read_connection(self) -> sqlite3.Connection:
        if self._read_only:
            return connect_read_only(self._path, self._busy_timeout_seconds)
        return connect(self._path, self._busy_timeout_seconds, query_only=True)

    numbered = True

    @property
    def fingerprint(self) -> str:
        """The code whose snapshots are used."""
        return self._fingerprint

    # --- writing

    def append(self, appends: Sequence[Append]) -> list[StoredRow]:
        """Write all events in one durable transaction; see application.ports.Log. ValueError for a gap in versions."""
        if not appends:
            return []
        expected = check_contiguous(appends)
        rows = self._mapper.rows(appends)
        with self._write_lock, self._errors_named():
            writer = self._open_writer()
            try:
                writer.execute("BEGIN IMMEDIATE")
                self._check_heads(writer, expected)
                first = self._insert(writer, rows)
            except sqlite3.IntegrityError:
                _roll_back(writer)
                if begun := stale(writer, expected):
                    raise Conflict(begun) from None
                raise
            except BaseException:
                _roll_back(writer)
                raise
            self._commit(writer, rows[-1])
            self._heads.appended(appends)
            self._not_carried_back += len(rows)
            return [StoredRow(position, *row) for position, row in enumerate(rows, first)]

    def append_all(self, appends: Iterable[Append]) -> int:
        """Write everything in one durable transaction, in bounded memory; see application.ports.Log."""
        with self._errors_named():
            connection = connect(self._path, self._busy_timeout_seconds)
            try:
                if not (count := stage(connection, sealed(self._mapper, appends))):
                    return 0
                with self._write_lock:
                    self._open_writer()
                    connection.execute("BEGIN IMMEDIATE")
                    self._commit(connection, copy_staged(connection))
                return count
            finally:
                _roll_back(connection)
                connection.close()

    def _check_heads(self, writer: sqlite3.Connection, expected: Mapping[UUID, int]) -> None:
        """Raise Conflict where a stream does not end as expected."""
        self._heads.as_of(writer)
        if (doubtful := self._heads.doubtful(expected)) and stale(writer, doubtful):
            raise Conflict(stale(writer, expected))

    def _insert(self, writer: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Returns the position of the first."""
        if len(rows) == 1:
            position = writer.execute(self._insert_event, rows[0]).lastrowid
            assert position is not None
            return position
        first = _last_position(writer) + 1
        insert_together(writer, self._insert_event, rows)
        last = _last_position(writer)
        # Nobody else inserts inside this transaction and SQLite hands out the largest rowid plus one: contiguous.
        if last - first + 1 != len(rows):
            raise StoreUnavailable(
                f"{self._path}: {len(rows)} events got positions {first} to {last}; nothing was written"
            )
        return first

    def _commit(self, writer: sqlite3.Connection, last_row: Row) -> None:
        try:
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._heads.forget()
            _roll_back(writer)
            self._unsettled = True
            if not self._commit_nothing(writer):
                raise AppendUnknown(f"{self._path}: {error} while committing; read again before deciding") from error
            if not _holds(writer, last_row):
                raise StoreUnavailable(f"{self._path}: {error}; nothing was written") from error
        except BaseException:
            # An interrupt while COMMIT ran: it may have come before, or after the fact.
            self._heads.forget()
            if writer.in_transaction:
                _roll_back(writer)
            raise
        self._unsettled = False

    def _commit_nothing(self, writer: sqlite3.Connection) -> bool:
        """Whether a commit succeeds that changes nothing, and syncs: what stands behind the last one is overwritten.

        That makes a failed COMMIT certain, which is invisible to every connection, and yet would be recovered after a
        crash where it failed in fsync.
        """
        try:
            writer.execute("BEGIN IMMEDIATE")
            version = writer.execute("PRAGMA user_version").fetchone()[0]
            writer.execute(f"PRAGMA user_version = {version}")
            writer.execute("COMMIT")
        except sqlite3.Error:
            _roll_back(writer)
            return False
        self._unsettled = False
        return True

    def _settle_first(self) -> None:
        """Before anyone decides on what the log holds, a failed COMMIT must be settled."""
        if not self._unsettled:
            return
        with self._write_lock, self._errors_named():
            if not self._commit_nothing(self._open_writer()):
                raise StoreUnavailable(f"{self._path}: it still cannot be written, so the last append stays unknown")

    def save_snapshots(self, snapshots: Sequence[tuple[str, Snapshot]]) -> None:
        """Keep these (guild id, snapshot) pairs; of the stream's earlier ones, those that lie far enough apart."""
        rows = [
            (snapshot.originator_id.hex, snapshot.originator_version, *self._mapper.encode_snapshot(snapshot, guild_id))
            for guild_id, snapshot in snapshots
        ]
        if not rows:
            return
        with self._write_lock, self._errors_named():
            writer = self._open_writer()
            try:
                writer.execute("BEGIN IMMEDIATE")
                # Snapshots are a cache with a table of its own; from the events nothing is ever deleted.
                writer.executemany(DELETE_SNAPSHOT, [row[:2] for row in rows])
                writer.executemany(self._insert_snapshot, rows)
                thin(writer, [row[0] for row in rows])
                writer.execute("COMMIT")
            except BaseException:
                _roll_back(writer)
                raise
            self._unsettled = False
            self._not_carried_back += len(rows)

    def tidy_up(self, expected: int = 0) -> None:
        """Carry a long write-ahead log back into the file, and make room in it; see application.ports.Log."""
        if self._read_only:
            return
        # On the connection that writes: SQLite before 3.51.3 may lose a commit where two do it beside one another.
        if self._not_carried_back >= _WORTH_CARRYING_BACK:
            with self._write_lock, self._errors_named():
                _, pages, carried = self._open_writer().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self._not_carried_back = 0
                if pages == carried:
                    self._write_ahead.begins_anew()
        if expected:
            with self._write_lock, self._errors_named():
                # Each event is on a page of its own in the index, and shares one with few others in the table.
                self._write_ahead.make_room(self._open_writer(), expected + expected // 8)
        self.keep_room()

    def keep_room(self) -> None:
        """Make the write-ahead log longer where commits have begun to; see application.ports.Log."""
        if not self._read_only and self._write_ahead.has_grown():
            with self._write_lock, self._errors_named():
                self._write_ahead.keep_room(self._open_writer())

    def _heads_as_of(self) -> int | None:
        """The version of the data that known heads are of; None while somebody writes: reading does not wait for it."""
        if not self._write_lock.acquire(blocking=False):
            return None
        try:
            return self._heads.as_of(self._open_writer())
        except (StoreUnavailable, sqlite3.Error):  # whatever is wrong with writing does not matter here
            return None
        finally:
            self._write_lock.release()

    def _note_heads(self, loaded: Mapping[UUID, Loaded], as_of: int | None) -> None:
        if as_of is not None and self._write_lock.acquire(blocking=False):
            try:
                self._heads.loaded(loaded, as_of)
            finally:
                self._write_lock.release()

    def _open_writer(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreUnavailable(f"{self._path}: the log is closed")
        _roll_back(self._writer)
        return self._writer

    # --- reading

    def heads(self, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """The last version of each stream; streams that do not exist are left out."""
        self._settle_first()
        with self._reader() as reader:
            return {stream_id: version for stream_id, version in heads(reader, stream_ids).items() if version}

    def following(self, versions: Mapping[UUID, int]) -> dict[UUID, Standing]:
        """Of each stream the first event behind the number that is named."""
        by_hex = {stream_id.hex: stream_id for stream_id in versions}
        rows = self._rows(_FOLLOWING, dumps([(stream, versions[by_hex[stream]]) for stream in by_hex]))
        return {by_hex[stream]: Standing(number, position) for stream, number, position in rows}

    def load(self, stream_ids: Sequence[UUID]) -> dict[UUID, Loaded]:
        """Each stream from its last usable snapshot on, in two queries for every 1,000 streams."""
        self._settle_first()
        as_of = self._heads_as_of()
        unique = list(dict.fromkeys(stream_ids))
        loaded: dict[UUID, Loaded] = {}
        for start in range(0, len(unique), STREAMS_PER_QUERY):
            loaded.update(self._load(unique[start : start + STREAMS_PER_QUERY]))
        self._note_heads(loaded, as_of)
        return loaded

    def _load(self, stream_ids: Sequence[UUID]) -> dict[UUID, Loaded]:
        by_hex = {stream_id.hex: stream_id for stream_id in stream_ids}
        snapshots = self._mapper.usable_snapshots(self._rows(LATEST_SNAPSHOTS, dumps(list(by_hex))), self._fingerprint)
        asked = [(stream, snapshots[stream].originator_version if stream in snapshots else 0) for stream in by_hex]
        tails = self._mapper.recorded_by_stream(self._rows(_TAILS, dumps(asked)))
        return {
            stream_id: Loaded(snapshots.get(stream), tails.get(stream, ()))
            for stream, stream_id in by_hex.items()
            if stream in snapshots or stream in tails
        }

    def load_at(self, positions: Mapping[UUID, int]) -> dict[UUID, Loaded]:
        """Each stream as it was at a position of its own; see application.ports.Log."""
        self._settle_first()
        return load_at(self._rows, self._mapper, self._fingerprint, positions)

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int | None = None) -> list[Recorded]:
        """The events of one stream in order, from the first one after ``after_version``."""
        self._settle_first()
        unlimited = -1
        rows = self._rows(_STREAM, stream_id.hex, after_version, unlimited if limit is None else max(limit, 0))
        check_order(self._path, (row[2] for row in rows), after_version)
        return self._mapper.recorded(rows)

    def read(self, after_position: int, limit: int) -> list[Recorded]:
        """At most ``limit`` events of all streams in order of position, from the first one after ``after_position``."""
        return self._mapper.recorded(in_order(self._rows, self._path, after_position, limit))

    def rows(self, after_position: int, limit: int) -> list[StoredRow]:
        """The same as they are stored, whether they can be read or not."""
        return list(map(StoredRow._make, in_order(self._rows, self._path, after_position, limit)))

    def last_position(self) -> int:
        """The position of the newest event; 0 for an empty log."""
        with self._reader() as reader:
            return _last_position(reader)

    def snapshots(self, stream_id: UUID) -> list[Snapshot]:
        """Every snapshot of a stream that may be used, the oldest first."""
        return snapshots(self._rows, self._mapper, self._fingerprint, stream_id)

    def drop_snapshots(self) -> None:
        """Forget all snapshots: they are taken anew."""
        with self._write_lock, self._errors_named():
            self._open_writer().execute("DELETE FROM snapshots")

    def check(self) -> list[str]:
        """What SQLite finds wrong with the file."""
        return faults_of_file(self._rows)

    def last_foreign_change(self) -> object:
        """A token that changes with every commit on the file, this log's own among them. Takes microseconds."""
        with self._watcher_lock, self._errors_named():
            return int(self._watcher.execute("PRAGMA data_version").fetchone()[0])

    def _rows(self, statement: str, *parameters: object) -> list[Any]:
        with self._reader() as reader:
            try:
                return reader.execute(statement, parameters).fetchall()
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
            # One damaged text must not hide the rows around it.
            reader.text_factory = _lenient_text
            try:
                return reader.execute(statement, parameters).fetchall()
            finally:
                reader.text_factory = str

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """A connection of this thread's own for a moment; statements are read to their end, so none holds the WAL."""
        with self._errors_named():
            with self._idle_lock:
                if self._closed:
                    raise StoreUnavailable(f"{self._path}: the log is closed")
                reader = self._idle.pop() if self._idle else None
            if reader is None:
                reader = self._read_connection()
            try:
                yield reader
            except BaseException:
                reader.close()
                raise
            self._give_back(reader)

    def _give_back(self, reader: sqlite3.Connection) -> None:
        with self._idle_lock:
            if not self._closed and len(self._idle) < _IDLE_READERS:
                self._idle.append(reader)
                return
        reader.close()

    def close(self) -> None:
        """Release files and connections. Idempotent; a write that is under way is finished first."""
        with self._write_lock, self._watcher_lock:
            with self._idle_lock:
                if self._closed:
                    return
                self._closed = True
                readers, self._idle = self._idle, []
            for reader in (*readers, self._watcher):
                reader.close()
            # PASSIVE waits for nobody; what it leaves is carried over by the next one.
            with suppress(sqlite3.Error):
                self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._writer.close()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except (*SqliteTrouble, PersistenceError) as error:
            raise StoreUnavailable(f"{self._path}: {in_words(error)}") from error


def _last_position(connection: sqlite3.Connection) -> int:
    return connection.execute(_LAST_POSITION).fetchone()[0] or 0


def _holds(connection: sqlite3.Connection, row: Row) -> bool:
    """Whether exactly this row is stored: its nonce is random, so another writer's row differs."""
    found = connection.execute(
        "SELECT state FROM stored_events WHERE originator_id = ? AND originator_version = ?", row[:2]
    ).fetchone()
    return bool(found == (row.state,))


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _lenient_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
