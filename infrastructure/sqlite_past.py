"""The past of many streams in a few queries of SQLite, and the snapshots that make it quick."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from json import dumps, loads
from typing import Any
from uuid import UUID

from application.ports import Loaded
from domain.errors import StoreError
from domain.event import Snapshot
from infrastructure.mapper import EventMapper
from infrastructure.snapshots import ALWAYS_KEPT, snapshots_at, surplus

__all__ = ["DELETE_SNAPSHOT", "LATEST_SNAPSHOTS", "faults_of_file", "load_at", "snapshots", "thin"]

_STREAMS_PER_QUERY = 1000

DELETE_SNAPSHOT = "DELETE FROM snapshots WHERE originator_id = ? AND originator_version = ?"
LATEST_SNAPSHOTS = """
    SELECT s.* FROM json_each(?) AS asked CROSS JOIN snapshots AS s ON s.originator_id = asked.value
    AND s.originator_version = (SELECT MAX(originator_version) FROM snapshots WHERE originator_id = asked.value)"""
# The rowid stands in the index of streams and versions: a row that is too late is not read from the table.
_SNAPSHOTS_AT = """
    SELECT s.*, (
        SELECT rowid FROM stored_events AS e
        WHERE e.originator_id = s.originator_id AND e.originator_version = s.originator_version)
    FROM json_each(?) AS asked CROSS JOIN snapshots AS s
    ON s.originator_id = json_extract(asked.value, '$[0]') AND s.originator_version = (
        SELECT k.originator_version FROM snapshots AS k CROSS JOIN stored_events AS e
        ON e.originator_id = k.originator_id AND e.originator_version = k.originator_version
        AND +e.rowid <= json_extract(asked.value, '$[1]')
        WHERE k.originator_id = json_extract(asked.value, '$[0]')
        AND k.originator_version < json_extract(asked.value, '$[2]')
        ORDER BY k.originator_version DESC LIMIT 1)"""
# The next snapshot bounds what is looked at: the index of streams and versions would be read to the stream's end.
_TAILS_AT = """
    SELECT e.rowid, e.* FROM json_each(?) AS asked CROSS JOIN stored_events AS e
    ON e.originator_id = json_extract(asked.value, '$[0]') AND e.originator_version > json_extract(asked.value, '$[1]')
    AND +e.rowid <= json_extract(asked.value, '$[2]') AND e.originator_version < COALESCE((
        SELECT MIN(k.originator_version) FROM snapshots AS k CROSS JOIN stored_events AS l
        ON l.originator_id = k.originator_id AND l.originator_version = k.originator_version
        AND +l.rowid > json_extract(asked.value, '$[2]')
        WHERE k.originator_id = json_extract(asked.value, '$[0]')
        AND k.originator_version > json_extract(asked.value, '$[1]')), 9223372036854775807)
    ORDER BY asked.key, e.originator_version"""
_SEVERAL = """
    SELECT originator_id, json_group_array(originator_version) FROM snapshots
    WHERE originator_id IN (SELECT value FROM json_each(?)) GROUP BY originator_id HAVING COUNT(*) > ?"""


def load_at(
    rows: Callable[..., list[Any]], mapper: EventMapper, fingerprint: str, positions: Mapping[UUID, int]
) -> dict[UUID, Loaded]:
    """Each stream as it was at its position (application.ports.Log). ``rows`` answers a statement."""
    loaded: dict[UUID, Loaded] = {}
    asked = list(positions.items())
    for start in range(0, len(asked), _STREAMS_PER_QUERY):
        loaded |= _loaded(rows, mapper, fingerprint, dict(asked[start : start + _STREAMS_PER_QUERY]))
    return loaded


def _loaded(
    rows: Callable[..., list[Any]], mapper: EventMapper, fingerprint: str, positions: Mapping[UUID, int]
) -> dict[UUID, Loaded]:
    by_hex = {stream_id.hex: position for stream_id, position in positions.items()}
    snapshots = snapshots_at(lambda asked: rows(_SNAPSHOTS_AT, dumps(asked)), mapper, fingerprint, by_hex)
    after = {stream: snapshot.originator_version for stream, (snapshot, _) in snapshots.items()}
    asked = [(stream, after.get(stream, 0), position) for stream, position in by_hex.items()]
    tails = mapper.recorded_by_stream(rows(_TAILS_AT, dumps(asked)))
    loaded = {}
    for stream_id in positions:
        snapshot, at = snapshots.get(stream_id.hex, (None, 0))
        tail = tails.get(stream_id.hex, ())
        if snapshot is not None or tail:
            loaded[stream_id] = Loaded(snapshot, tail, at)
    return loaded


def snapshots(rows: Callable[..., list[Any]], mapper: EventMapper, fingerprint: str, stream_id: UUID) -> list[Snapshot]:
    """Every snapshot of a stream that may be used, the oldest first."""
    found = rows("SELECT * FROM snapshots WHERE originator_id = ? ORDER BY originator_version", stream_id.hex)
    return [one for row in found for one in mapper.usable_snapshots([row], fingerprint).values()]


def faults_of_file(rows: Callable[..., list[Any]]) -> list[str]:
    """What SQLite finds wrong with the file, its indexes among it."""
    try:
        found = [str(row[0]) for row in rows("PRAGMA integrity_check(100)")]
    except StoreError as error:
        return [str(error)]
    return [] if found == ["ok"] else [f"SQLite says: {words}" for words in found]


def thin(writer: sqlite3.Connection, streams: Sequence[str]) -> None:
    """Drop snapshots of these streams where they are too many."""
    for stream, versions in writer.execute(_SEVERAL, (dumps(streams), ALWAYS_KEPT)).fetchall():
        writer.executemany(DELETE_SNAPSHOT, [(stream, version) for version in surplus(loads(versions))])
