"""The past of many streams in a few queries of PostgreSQL, and the snapshots that make it quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from application.ports import Loaded
from domain.event import Snapshot
from infrastructure.mapper import EventMapper
from infrastructure.postgres_log_connection import Connection
from infrastructure.snapshots import ALWAYS_KEPT, snapshots_at, surplus

__all__ = ["DELETE_SNAPSHOT", "LATEST_SNAPSHOTS", "load_at", "snapshots", "thin"]

_STREAMS_PER_QUERY = 1000
_BEYOND_ALL = 2**62

DELETE_SNAPSHOT = b"DELETE FROM public.snapshots WHERE originator_id = %b AND originator_version = %b"
LATEST_SNAPSHOTS = b"""
    SELECT DISTINCT ON (originator_id) originator_id, originator_version, topic, state FROM public.snapshots
    WHERE originator_id = ANY(%b::uuid[]) ORDER BY originator_id, originator_version DESC"""
_SNAPSHOTS_AT = b"""
    SELECT found.* FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[]) AS a(id, position, below) CROSS JOIN LATERAL (
        SELECT k.originator_id, k.originator_version, k.topic, k.state, e.notification_id
        FROM public.snapshots AS k JOIN public.stored_events AS e
        ON e.originator_id = k.originator_id AND e.originator_version = k.originator_version
        WHERE k.originator_id = a.id AND k.originator_version < a.below AND e.notification_id <= a.position
        ORDER BY k.originator_version DESC LIMIT 1
    ) AS found"""
# The next snapshot bounds what is looked at: the index of streams and versions knows no positions.
_TAILS_AT = b"""
    SELECT e.* FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[]) WITH ORDINALITY AS a(id, after, position, n)
    CROSS JOIN LATERAL (
        SELECT notification_id, originator_id, originator_version, topic, state FROM public.stored_events AS s
        WHERE s.originator_id = a.id AND s.originator_version > a.after AND s.notification_id <= a.position
        AND s.originator_version < COALESCE((
            SELECT MIN(k.originator_version) FROM public.snapshots AS k JOIN public.stored_events AS l
            ON l.originator_id = k.originator_id AND l.originator_version = k.originator_version
            WHERE k.originator_id = a.id AND k.originator_version > a.after AND l.notification_id > a.position
        ), %b)
    ) AS e ORDER BY a.n, e.originator_version"""
_SNAPSHOTS = b"""
    SELECT originator_id, originator_version, topic, state FROM public.snapshots
    WHERE originator_id = %b ORDER BY originator_version"""
_SEVERAL = b"""
    SELECT originator_id, array_agg(originator_version) FROM public.snapshots
    WHERE originator_id = ANY(%b::uuid[]) GROUP BY originator_id HAVING COUNT(*) > %b"""


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
    def ask(asked: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, str, bytes, int]]:
        streams = [UUID(stream) for stream, _, _ in asked]
        found = rows(_SNAPSHOTS_AT, streams, [position for _, position, _ in asked], [below for _, _, below in asked])
        return [(row[0].hex, *row[1:]) for row in found]

    by_hex = {stream_id.hex: position for stream_id, position in positions.items()}
    snapshots = snapshots_at(ask, mapper, fingerprint, by_hex)
    after = {stream: snapshot.originator_version for stream, (snapshot, _) in snapshots.items()}
    streams = list(positions)
    found = rows(
        _TAILS_AT, streams, [after.get(id.hex, 0) for id in streams], [positions[id] for id in streams], _BEYOND_ALL
    )
    tails = mapper.recorded_by_stream([(row[0], row[1].hex, *row[2:]) for row in found])
    loaded = {}
    for stream_id in streams:
        snapshot, at = snapshots.get(stream_id.hex, (None, 0))
        tail = tails.get(stream_id.hex, ())
        if snapshot is not None or tail:
            loaded[stream_id] = Loaded(snapshot, tail, at)
    return loaded


def snapshots(rows: Callable[..., list[Any]], mapper: EventMapper, fingerprint: str, stream_id: UUID) -> list[Snapshot]:
    """Every snapshot of a stream that may be used, the oldest first."""
    found = [(row[0].hex, *row[1:]) for row in rows(_SNAPSHOTS, stream_id)]
    return [one for row in found for one in mapper.usable_snapshots([row], fingerprint).values()]


def thin(connection: Connection, streams: Sequence[UUID]) -> None:
    """Drop snapshots of these streams where they are too many."""
    for stream, versions in connection.execute(_SEVERAL, [list(streams), ALWAYS_KEPT], binary=True).fetchall():
        for version in surplus(versions):
            connection.execute(DELETE_SNAPSHOT, [stream, version])
