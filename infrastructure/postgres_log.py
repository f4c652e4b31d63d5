"""The log on PostgreSQL: eventsourcing's tables, one writer connection, positions that become visible in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from application.ports import LAST_POSSIBLE, Append, Loaded, Recorded, Standing, StoredRow
from domain.errors import AppendUnknown, Conflict, StoreUnavailable
from domain.event import Snapshot
from infrastructure.bulk import sealed
from infrastructure.mapper import EventMapper, Row, check_contiguous
from infrastructure.postgres_bulk import copy_staged, stage
from infrastructure.postgres_log_connection import Connection, Server, told
from infrastructure.postgres_past import LATEST_SNAPSHOTS, load_at, snapshots, thin

__all__ = ["PostgresLog"]

_IDLE_READERS = 8
_STREAMS_PER_QUERY = 1000
_EVENTS_PER_INSERT = 500
_BYTES_PER_INSERT = 1 << 20

# Writers exclude one another (readers do not wait): positions are handed out and committed in the same order.
_BEGIN = b"""
    BEGIN ISOLATION LEVEL READ COMMITTED; LOCK TABLE public.stored_events IN EXCLUSIVE MODE; NOTIFY stored_events"""
_INSERT = b"""
    INSERT INTO public.stored_events (originator_id, originator_version, topic, state)
    SELECT id::uuid, version, topic, state
    FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[]) WITH ORDINALITY AS a(id, version, topic, state, n)
    ORDER BY n RETURNING notification_id"""
_HEADS = b"""
    SELECT a.id, (SELECT MAX(originator_version) FROM public.stored_events WHERE originator_id = a.id)
    FROM unnest(%b::uuid[]) AS a(id)"""
_FOLLOWING = b"""
    SELECT a.id, e.originator_version, e.notification_id
    FROM unnest(%b::uuid[], %b::bigint[]) AS a(id, version) CROSS JOIN LATERAL (
        SELECT originator_version, notification_id FROM public.stored_events
        WHERE originator_id = a.id AND originator_version > a.version ORDER BY originator_version LIMIT 1
    ) AS e"""
_STORED = b"""
    SELECT e.notification_id, replace(e.originator_id::text, '-', ''), e.originator_version, e.topic, e.state
    FROM unnest(%b::text[], %b::bigint[]) WITH ORDINALITY AS a(id, version, n) JOIN public.stored_events AS e
    ON e.originator_id = a.id::uuid AND e.originator_version = a.version ORDER BY a.n"""
_COLUMNS = b"notification_id, originator_id, originator_version, topic, state"
_LAST_POSITION = b"SELECT MAX(notification_id) FROM public.stored_events"
_READ = (
    b"SELECT %s FROM public.stored_events WHERE notification_id >= %%b ORDER BY notification_id LIMIT %%b" % _COLUMNS
)
_STREAM = (
    b"""
    SELECT %s FROM public.stored_events WHERE originator_id = %%b AND originator_version > %%b
    ORDER BY originator_version LIMIT %%b"""
    % _COLUMNS
)
_TAILS = (
    b"""
    SELECT e.* FROM unnest(%%b::uuid[], %%b::bigint[]) WITH ORDINALITY AS a(id, after, n) CROSS JOIN LATERAL (
        SELECT %s FROM public.stored_events AS s WHERE s.originator_id = a.id AND s.originator_version > a.after
    ) AS e ORDER BY a.n, e.originator_version"""
    % _COLUMNS
)
_INSERT_SNAPSHOT = b"""
    INSERT INTO public.snapshots (originator_id, originator_version, topic, state) VALUES (%b, %b, %b, %b)
    ON CONFLICT (originator_id, originator_version) DO UPDATE SET topic = excluded.topic, state = excluded.state"""


class PostgresLog:
    """The log in the PostgreSQL database at ``url``; implements application.ports.Log.

    ``fingerprint`` names the code whose snapshots may be used. A statement that takes longer than
    ``statement_timeout_seconds``, or that waits longer than ``lock_timeout_seconds`` for another writer, is given up.
    Works over TCP and unix sockets. Reads may come from any thread and do not wait for writers. One that is
    ``read_only`` makes and changes nothing.
    """

    def __init__(
        self,
        url: str,
        mapper: EventMapper,
        *,
        fingerprint: str = "",
        statement_timeout_seconds: float = 30.0,
        lock_timeout_seconds: float = 10.0,
        read_only: bool = False,
    ) -> None:
        self._server = Server(url, statement_timeout_seconds, lock_timeout_seconds, read_only=read_only)
        self._mapper = mapper
        self._fingerprint = fingerprint
        self._write_lock = Lock()
        self._idle_lock = Lock()
        self._idle: list[Connection] = []
        self._closed = False
        self._unsettled = False
        if not read_only:
            self._server.make_tables()
        self._writer: Connection | None = self._server.connect()

    numbered = False

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
        with self._write_lock:
            writer = self._begin()
            try:
                stale = [
                    stream_id
                    for stream_id, version in _heads(writer, list(expected)).items()
                    if version != expected[stream_id]
                ]
                if stale:
                    raise Conflict(stale)
                positions = _insert(writer, rows)
            except errors.UniqueViolation:
                self._give_up(writer)
                raise Conflict(list(expected)) from None
            except psycopg.Error as error:
                # COMMIT was not sent: the server rolls back, at the latest when it sees the connection gone.
                self._give_up(writer)
                raise StoreUnavailable(f"{self._server}: {told(error)}; nothing was written") from error
            except BaseException:
                self._give_up(writer)
                raise
            positions = self._commit(writer, expected, rows, positions)
            return [StoredRow(position, *row) for position, row in zip(positions, rows, strict=True)]

    def append_all(self, appends: Iterable[Append]) -> int:
        """Write everything in one durable transaction, in bounded memory; see application.ports.Log."""
        with self._write_lock:
            if self._closed:
                raise StoreUnavailable(f"{self._server}: the log is closed")
        connection = self._server.connect()
        try:
            if not (count := stage(connection, sealed(self._mapper, appends))):
                return 0
            connection.execute(_BEGIN, prepare=False)
            self._commit_bulk(connection, copy_staged(connection))
            return count
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self._server}: {told(error)}; nothing was written") from error
        finally:
            connection.close()

    def _commit_bulk(self, connection: Connection, last: Row) -> None:
        try:
            outcome = connection.execute(b"COMMIT", prepare=False).statusmessage
        except psycopg.Error as error:
            with self._write_lock:
                self._unsettled = True
                self._found({}, [last], error)
            return
        if outcome != "COMMIT":
            raise StoreUnavailable(f"{self._server}: the commit became a {outcome}; nothing was written")

    def _begin(self) -> Connection:
        """The writer inside a transaction that holds the table lock; a connection that died while idle is replaced."""
        if self._closed:
            raise StoreUnavailable(f"{self._server}: the log is closed")
        for last_try in (False, True):
            fresh = self._writer is None
            writer = self._writer = self._writer or self._server.connect()
            try:
                writer.execute(_BEGIN, prepare=False)
                return writer
            except psycopg.Error as error:
                died_idle = writer.broken and not fresh
                self._give_up(writer)
                if last_try or not died_idle:
                    raise StoreUnavailable(f"{self._server}: {told(error)}; nothing was written") from error
            except BaseException:
                self._drop(writer)
                raise
        raise AssertionError("unreachable")

    def _commit(
        self, writer: Connection, expected: dict[UUID, int], rows: Sequence[Row], positions: list[int]
    ) -> list[int]:
        try:
            outcome = writer.execute(b"COMMIT", prepare=False).statusmessage
        except psycopg.Error as error:
            self._unsettled = True
            self._drop(writer)
            return self._found(expected, rows, error)
        except BaseException:
            self._unsettled = True
            self._drop(writer)
            raise
        if outcome != "COMMIT":
            raise StoreUnavailable(f"{self._server}: the commit became a {outcome}; nothing was written")
        return positions

    def _found(self, expected: dict[UUID, int], rows: Sequence[Row], error: psycopg.Error) -> list[int]:
        """What became of a COMMIT without an answer. The table lock waits until the server is done with it."""
        try:
            writer = self._begin()
            found = _stored(writer, rows)
            heads = _heads(writer, list(expected))
            writer.execute(b"ROLLBACK")
        except (psycopg.Error, StoreUnavailable):
            if self._writer is not None:
                self._drop(self._writer)
            reason = f"{self._server}: {told(error)} while committing; read again before deciding"
            raise AppendUnknown(reason) from error
        self._unsettled = False
        # The nonces are random: rows that equal ours byte for byte are ours.
        if [Row(*row[1:]) for row in found] == list(rows):
            return [row[0] for row in found]
        stale = [stream_id for stream_id, version in expected.items() if heads[stream_id] != version]
        if stale:
            raise Conflict(stale) from error
        raise StoreUnavailable(f"{self._server}: {told(error)}; nothing was written") from error

    def _settle_first(self) -> None:
        """Before anyone decides on what the log holds, a COMMIT without an answer must have come to its end."""
        if not self._unsettled:
            return
        with self._write_lock:
            self._give_up(self._begin())
            self._unsettled = False

    def save_snapshots(self, snapshots: Sequence[tuple[str, Snapshot]]) -> None:
        """Keep these (guild id, snapshot) pairs; of the stream's earlier ones, those that lie far enough apart."""
        rows = [
            (snapshot.originator_id, snapshot.originator_version, *self._mapper.encode_snapshot(snapshot, guild_id))
            for guild_id, snapshot in snapshots
        ]
        for start in range(0, len(rows), _EVENTS_PER_INSERT):
            chunk = rows[start : start + _EVENTS_PER_INSERT]
            with self._reader() as (connection, _), connection.transaction():
                for row in chunk:
                    connection.execute(_INSERT_SNAPSHOT, row)
                # Snapshots are a cache with a table of its own; from the events nothing is ever deleted.
                thin(connection, [row[0] for row in chunk])

    def _give_up(self, writer: Connection) -> None:
        """Roll back, or drop a connection that cannot."""
        try:
            writer.execute(b"ROLLBACK")
        except psycopg.Error:
            self._drop(writer)

    def _drop(self, writer: Connection) -> None:
        with suppress(psycopg.Error):
            writer.close()
        self._writer = None

    def tidy_up(self, expected: int = 0) -> None:
        """The server does so by itself."""

    def keep_room(self) -> None:
        """The server has its own."""

    # --- reading

    def heads(self, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """The last version of each stream; streams that do not exist are left out."""
        self._settle_first()
        heads: dict[UUID, int] = {}
        for start in range(0, len(stream_ids), _STREAMS_PER_QUERY):
            heads.update(self._rows(_HEADS, list(stream_ids[start : start + _STREAMS_PER_QUERY])))
        return {stream_id: version for stream_id, version in heads.items() if version}

    def following(self, versions: Mapping[UUID, int]) -> dict[UUID, Standing]:
        """Of each stream the first event behind the number that is named."""
        rows = self._rows(_FOLLOWING, list(versions), list(versions.values()))
        return {stream_id: Standing(number, position) for stream_id, number, position in rows}

    def load(self, stream_ids: Sequence[UUID]) -> dict[UUID, Loaded]:
        """Each stream from its last usable snapshot on, in two queries for every 1,000 streams."""
        self._settle_first()
        unique = list(dict.fromkeys(stream_ids))
        loaded: dict[UUID, Loaded] = {}
        for start in range(0, len(unique), _STREAMS_PER_QUERY):
            loaded.update(self._load(unique[start : start + _STREAMS_PER_QUERY]))
        return loaded

    def _load(self, stream_ids: list[UUID]) -> dict[UUID, Loaded]:
        rows = [(row[0].hex, *row[1:]) for row in self._rows(LATEST_SNAPSHOTS, stream_ids)]
        found = self._mapper.usable_snapshots(rows, self._fingerprint)
        snapshots = {snapshot.originator_id: snapshot for snapshot in found.values()}
        after = [snapshots[id].originator_version if id in snapshots else 0 for id in stream_ids]
        tails = self._mapper.recorded_by_stream(_plain(self._rows(_TAILS, stream_ids, after)))
        return {
            stream_id: Loaded(snapshots.get(stream_id), tails.get(stream_id.hex, ()))
            for stream_id in stream_ids
            if stream_id in snapshots or stream_id.hex in tails
        }

    def load_at(self, positions: Mapping[UUID, int]) -> dict[UUID, Loaded]:
        """Each stream as it was at a position of its own; see application.ports.Log."""
        self._settle_first()
        return load_at(self._rows, self._mapper, self._fingerprint, positions)

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int | None = None) -> list[Recorded]:
        """The events of one stream in order, from the first one after ``after_version``."""
        self._settle_first()
        return self._recorded(self._rows(_STREAM, stream_id, after_version, None if limit is None else max(limit, 0)))

    def read(self, after_position: int, limit: int) -> list[Recorded]:
        """At most ``limit`` events of all streams in order of position, from the first one after ``after_position``."""
        return self._recorded(self._in_order(after_position, limit))

    def rows(self, after_position: int, limit: int) -> list[StoredRow]:
        """The same as they are stored, whether they can be read or not."""
        return [StoredRow(row[0], row[1].hex, *row[2:]) for row in self._in_order(after_position, limit)]

    def _in_order(self, after_position: int, limit: int) -> list[Any]:
        return self._rows(_READ, after_position + 1, max(limit, 0)) if after_position < LAST_POSSIBLE else []

    def last_position(self) -> int:
        """The position of the newest event; 0 for an empty log."""
        return self._rows(_LAST_POSITION)[0][0] or 0

    def snapshots(self, stream_id: UUID) -> list[Snapshot]:
        """Every snapshot of a stream that may be used, the oldest first."""
        return snapshots(self._rows, self._mapper, self._fingerprint, stream_id)

    def drop_snapshots(self) -> None:
        """Forget all snapshots: they are taken anew."""
        with self._reader() as (connection, _):
            connection.execute(b"DELETE FROM public.snapshots")

    def check(self) -> list[str]:
        """Nothing: the server checks its pages itself, and says so when they are read."""
        return []

    def last_foreign_change(self) -> object:
        """A token that changes with every append, this log's own among them: one look at the end of an index."""
        return self.last_position()

    def _recorded(self, rows: Sequence[Any]) -> list[Recorded]:
        return self._mapper.recorded(_plain(rows))

    def _rows(self, statement: bytes, *parameters: object) -> list[Any]:
        for _ in range(_IDLE_READERS + 1):
            with self._reader() as (reader, was_idle):
                try:
                    return reader.execute(statement, parameters, binary=True).fetchall()
                except psycopg.OperationalError:
                    # A server that restarted has ended every idle connection; reading again is harmless.
                    if not (was_idle and reader.broken):
                        raise
        raise StoreUnavailable(f"{self._server}: connections keep breaking")

    @contextmanager
    def _reader(self) -> Iterator[tuple[Connection, bool]]:
        """A connection of this thread's own for a moment, and whether it had lain idle before."""
        with self._idle_lock:
            if self._closed:
                raise StoreUnavailable(f"{self._server}: the log is closed")
            idle = self._idle.pop() if self._idle else None
        reader = idle or self._server.connect()
        try:
            yield reader, idle is not None
        except psycopg.Error as error:
            raise StoreUnavailable(f"{self._server}: {told(error)}") from error
        finally:
            self._give_back(reader)

    def _give_back(self, reader: Connection) -> None:
        with self._idle_lock:
            usable = reader.info.transaction_status is TransactionStatus.IDLE
            if usable and not self._closed and len(self._idle) < _IDLE_READERS:
                self._idle.append(reader)
                return
        reader.close()

    # --- the end

    def close(self) -> None:
        """Close all connections. Idempotent; a write that is under way is finished first."""
        with self._write_lock, self._idle_lock:
            self._closed = True
            for connection in (*self._idle, *([self._writer] if self._writer else [])):
                connection.close()
            self._idle.clear()
            self._writer = None


def _heads(connection: Connection, stream_ids: list[UUID]) -> dict[UUID, int]:
    heads: dict[UUID, int] = {}
    for start in range(0, len(stream_ids), _STREAMS_PER_QUERY):
        chunk = stream_ids[start : start + _STREAMS_PER_QUERY]
        for stream_id, version in connection.execute(_HEADS, [chunk], binary=True):
            heads[stream_id] = version or 0
    return heads


def _insert(connection: Connection, rows: Sequence[Row]) -> list[int]:
    positions: list[int] = []
    for chunk in _chunks(rows):
        columns = [list(column) for column in zip(*chunk, strict=True)]
        positions += [row[0] for row in connection.execute(_INSERT, columns, binary=True)]
    if len(positions) != len(rows) or positions != sorted(positions):
        raise psycopg.DataError("the positions handed out are not in order")
    return positions


def _stored(connection: Connection, rows: Sequence[Row]) -> list[Any]:
    found: list[Any] = []
    for chunk in _chunks(rows):
        found += connection.execute(
            _STORED, [[row.stream for row in chunk], [row.version for row in chunk]], binary=True
        )
    return found


def _plain(rows: Iterable[Any]) -> list[Any]:
    """Rows (position, stream, ...) as the mapper takes them."""
    return [(row[0], row[1].hex, *row[2:]) for row in rows]


def _chunks(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in pieces of at most 500 events and, where one event is not larger by itself, 1 MiB."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        if chunk and (len(chunk) == _EVENTS_PER_INSERT or size + len(row.state) > _BYTES_PER_INSERT):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row.state)
    if chunk:
        yield chunk
