"""The leaves of the tree in one disposable SQLite file: 256 to a row, with the hash of each full row."""

from __future__ import annotations

import logging
import sqlite3
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from json import dumps
from pathlib import Path
from threading import Lock
from typing import Any

from application.ports import Clock, Head, Leaf
from domain.errors import StoreError, StoreUnavailable
from domain.event import epoch_microseconds, from_epoch_microseconds
from domain.merkle import Roots
from infrastructure.sqlitefile import SqliteFile

__all__ = ["LeafFile"]

TILE = 256
"""A power of two, so that a full row is a subtree."""

_DAMAGED = (
    "is damaged: delete it, it is made anew; heads that were published stand in the log as well, and those that were "
    "kept elsewhere still tell of changes before"
)
_RECORD = struct.Struct(">Q16sQ32s")
_SCHEMA = """
CREATE TABLE tiles (number INTEGER PRIMARY KEY, first_position INTEGER NOT NULL, leaves BLOB NOT NULL, hash BLOB);
CREATE INDEX tiles_position ON tiles (first_position);
CREATE TABLE heads (size INTEGER NOT NULL, root BLOB NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE made (at INTEGER NOT NULL)
"""


_TILES_OF = """
    SELECT first_position, leaves FROM tiles WHERE number IN (
        SELECT (SELECT number FROM tiles WHERE first_position <= asked.value ORDER BY first_position DESC LIMIT 1)
        FROM json_each(?) AS asked)
    ORDER BY first_position"""


_log = logging.getLogger(__name__)


class LeafFile:
    """The leaves in the file at ``path`` (application.ports.Leaves), opened when they are first asked for.

    A file that is no such file, or of another layout, is made anew, and a log line says so; but where it is opened
    ``read_only`` it is refused, as one whose rows are damaged always is.
    """

    def __init__(self, path: Path, clock: Clock, *, read_only: bool = False) -> None:
        self.path, self._clock, self._read_only = path, clock, read_only
        self._lock = Lock()
        self._opened: SqliteFile | None = None
        self._closed = False

    @property
    def _file(self) -> SqliteFile:
        with self._lock:
            if self._closed:
                raise StoreUnavailable(f"{self.path} is closed")
            if self._opened is None:
                self._opened = self._open_or_replace()
            return self._opened

    def _open_or_replace(self) -> SqliteFile:
        try:
            return self._open()
        except StoreUnavailable:
            raise
        except StoreError as error:
            if self._read_only:
                raise StoreError(f"{self.path} {_DAMAGED} ({error})") from error
            _log.warning("leaves_made_anew", extra={"path": str(self.path), "reason": str(error)})
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            return self._open()

    def _open(self) -> SqliteFile:
        file = SqliteFile(self.path, schema=_SCHEMA, schema_version=1, read_only=self._read_only)
        if self._read_only:
            return file
        try:
            with file.writing(durable=False) as connection:
                if connection.execute("SELECT COUNT(*) FROM made").fetchone()[0] == 0:
                    connection.execute("INSERT INTO made VALUES (?)", (epoch_microseconds(self._clock.now()),))
        except BaseException:
            file.close()
            raise
        return file

    def size(self) -> int:
        """How many leaves there are."""
        with self._file.reading() as connection:
            return self._size(connection)

    def _size(self, connection: sqlite3.Connection) -> int:
        row = connection.execute("SELECT number, leaves FROM tiles ORDER BY number DESC LIMIT 1").fetchone()
        if row is None:
            return 0
        if not isinstance(row[0], int) or row[0] < 0:
            raise StoreError(f"{self.path} {_DAMAGED}")
        return row[0] * TILE + len(self._sound(row[1]))

    def last(self) -> Leaf | None:
        """The newest leaf."""
        size = self.size()
        return self.read(size - 1, 1)[0] if size else None

    def append(self, first: int, leaves: Sequence[Leaf]) -> int:
        """Write leaves from number ``first`` on; where others were quicker nothing is written. Returns the new size."""
        with self._file.writing(durable=False) as connection:
            size = self._size(connection)
            if size != first or not leaves:
                return size
            number, filled = divmod(size, TILE)
            begun = _tile(connection, number) if filled else b""
            records = begun + b"".join(_packed(leaf) for leaf in leaves)
            step = TILE * _RECORD.size
            connection.executemany(
                "INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, ?)",
                [
                    _row(number + place, records[start : start + step])
                    for place, start in enumerate(range(0, len(records), step))
                ],
            )
            return size + len(leaves)

    def read(self, start: int, limit: int) -> list[Leaf]:
        """At most ``limit`` leaves from number ``start`` on."""
        if limit <= 0 or start < 0:
            return []
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT number, leaves FROM tiles WHERE number BETWEEN ? AND ? ORDER BY number",
                (start // TILE, (start + limit - 1) // TILE),
            ).fetchall()
        if [number for number, _ in rows] != [*range(start // TILE, start // TILE + len(rows))]:
            raise StoreError(f"{self.path} {_DAMAGED}")
        found = [leaf for _, records in rows for leaf in self._sound(records)]
        if any(len(records) != TILE * _RECORD.size for _, records in rows[:-1]):
            raise StoreError(f"{self.path} {_DAMAGED}")
        return found[start % TILE :][:limit]

    def _sound(self, records: Any) -> list[Leaf]:
        self._sound_length(records)
        return list(_unpacked(records))

    def _sound_length(self, records: Any) -> int:
        """How many leaves a row holds."""
        if not isinstance(records, bytes) or not records or len(records) % _RECORD.size:
            raise StoreError(f"{self.path} {_DAMAGED}")
        return len(records) // _RECORD.size

    def at(self, positions: Iterable[int]) -> dict[int, Leaf]:
        """The leaves that stand for these positions; where none does there is none."""
        found: dict[int, Leaf] = {}
        asked = sorted(set(positions))
        for start in range(0, len(asked), TILE):
            found |= self._at(asked[start : start + TILE])
        return found

    def _at(self, asked: Sequence[int]) -> dict[int, Leaf]:
        with self._file.reading() as connection:
            tiles = connection.execute(_TILES_OF, (dumps(asked),)).fetchall()
        firsts = [first for first, _ in tiles]
        found = {}
        for position in asked:
            if tile := bisect_right(firsts, position):
                records = tiles[tile - 1][1]
                if (leaf := _find(records, position, self._sound_length(records))) is not None:
                    found[position] = leaf
        return found

    def index(self, position: int) -> int | None:
        """The number of the leaf that stands for a position."""
        with self._file.reading() as connection:
            row = connection.execute(
                "SELECT number, leaves FROM tiles WHERE first_position <= ? ORDER BY first_position DESC LIMIT 1",
                (position,),
            ).fetchone()
        if row is None:
            return None
        positions = [leaf.position for leaf in self._sound(row[1])]
        return int(row[0]) * TILE + positions.index(position) if position in positions else None

    def whole(self, start: int, end: int) -> bytes | None:
        """The hash of a full row, or of a single leaf."""
        if end - start == 1:
            found = self.read(start, 1)
            return found[0].hash if found else None
        if start % TILE or end - start != TILE:
            return None
        with self._file.reading() as connection:
            row = connection.execute("SELECT hash FROM tiles WHERE number = ?", (start // TILE,)).fetchone()
        return bytes(row[0]) if row is not None and row[0] is not None else None

    def made_at(self) -> datetime:
        """Since when these leaves are kept."""
        with self._file.reading() as connection:
            (at,) = connection.execute("SELECT MIN(at) FROM made").fetchone()
        try:
            return from_epoch_microseconds(at)
        except (OverflowError, TypeError):
            raise StoreError(f"{self.path} {_DAMAGED}") from None

    def heads(self) -> list[Head]:
        """The heads that were given to others, the oldest first."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT size, root, position, at FROM heads ORDER BY size, at").fetchall()
        try:
            return [Head(size, root, position, from_epoch_microseconds(at)) for size, root, position, at in rows]
        except (OverflowError, TypeError):
            raise StoreError(f"{self.path} {_DAMAGED}") from None

    def add_head(self, head: Head) -> None:
        """Remember a head that is given to others."""
        with self._file.writing(durable=False) as connection:
            connection.execute(
                "INSERT INTO heads VALUES (?, ?, ?, ?)",
                (head.size, head.root, head.position, epoch_microseconds(head.at)),
            )

    def set_aside(self) -> None:
        """Begin anew: the file stays beside the new one, named by this instant. Raises StoreError."""
        aside = self.path.with_name(f"{self.path.stem}.{self._clock.now():%Y%m%dT%H%M%SZ}{self.path.suffix}")
        with self._lock:
            if self._opened is not None:
                self._opened.close()  # the last one to close it leaves no journal behind
                self._opened = None
            self.path.replace(aside)
        _log.warning("leaves_set_aside", extra={"path": str(self.path), "kept_as": str(aside)})

    def close(self) -> None:
        """Release the file. Idempotent."""
        with self._lock:
            self._closed = True
            if self._opened is not None:
                self._opened.close()


def _tile(connection: sqlite3.Connection, number: int) -> bytes:
    return bytes(connection.execute("SELECT leaves FROM tiles WHERE number = ?", (number,)).fetchone()[0])


def _row(number: int, records: bytes) -> tuple[int, int, bytes, bytes | None]:
    leaves = list(_unpacked(records))
    whole = Roots(leaf.hash for leaf in leaves).root() if len(leaves) == TILE else None
    return number, leaves[0].position, records, whole


def _packed(leaf: Leaf) -> bytes:
    return _RECORD.pack(leaf.position, bytes.fromhex(leaf.stream), leaf.version, leaf.hash)


def _find(records: bytes, position: int, count: int) -> Leaf | None:
    """The leaf of a position among those of one row, without unpacking all of them."""

    def position_of(number: int) -> int:
        return int.from_bytes(records[number * _RECORD.size : number * _RECORD.size + 8])

    number = bisect_left(range(count), position, key=position_of)
    if number == count or position_of(number) != position:
        return None
    return next(_unpacked(records[number * _RECORD.size : (number + 1) * _RECORD.size]))


def _unpacked(records: bytes) -> Iterator[Leaf]:
    for position, stream, version, hashed in _RECORD.iter_unpack(records):
        yield Leaf(position, stream.hex(), version, hashed)
