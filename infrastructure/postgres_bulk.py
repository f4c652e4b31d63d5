"""Very many events in one transaction of a PostgreSQL log: copied into a temporary table, then inserted at once.

Other nodes wait only while the rows are inserted, not while they are read, checked, sealed and sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.errors import Conflict
from infrastructure.bulk import MOST_NAMED, broken_stream
from infrastructure.mapper import Row
from infrastructure.postgres_log_connection import Connection

__all__ = ["copy_staged", "stage"]

# A session of its own without time limits: what takes long here is the amount, not a server that hangs.
_STAGING = b"""
    SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    CREATE TEMP TABLE staged (n bigint GENERATED ALWAYS AS IDENTITY, stream text, version bigint, topic text,
                              state bytea)"""
_STAGE = b"COPY staged (stream, version, topic, state) FROM STDIN"
_BROKEN = b"""
    SELECT stream FROM staged GROUP BY stream
    HAVING MIN(version) < 1 OR MAX(version) - MIN(version) + 1 <> COUNT(*) OR COUNT(DISTINCT version) <> COUNT(*)
    LIMIT 1"""
_STALE = b"""
    SELECT s.stream FROM (SELECT stream, MIN(version) AS first FROM staged GROUP BY stream) AS s
    WHERE s.first - 1 <> COALESCE(
        (SELECT MAX(originator_version) FROM public.stored_events WHERE originator_id = s.stream::uuid), 0)
    LIMIT %b"""
_COPY = b"""
    INSERT INTO public.stored_events (originator_id, originator_version, topic, state)
    SELECT stream::uuid, version, topic, state FROM staged ORDER BY n"""
_LAST = b"SELECT stream, version, topic, state FROM staged ORDER BY n DESC LIMIT 1"


def stage(connection: Connection, chunks: Iterable[Sequence[Row]]) -> int:
    """Put the rows aside on this connection, outside of the log; returns how many they are."""
    connection.execute(_STAGING, prepare=False)
    count = 0
    with connection.cursor() as cursor, cursor.copy(_STAGE) as copy:
        for rows in chunks:
            for row in rows:
                copy.write_row(row)
            count += len(rows)
    if (broken := connection.execute(_BROKEN).fetchone()) is not None:
        raise broken_stream(broken[0])
    return count


def copy_staged(connection: Connection) -> Row:
    """Insert what was staged into the log, inside the transaction that is open; returns the last row.

    Raises Conflict.
    """
    stale = connection.execute(_STALE, [MOST_NAMED]).fetchall()
    if stale:
        raise Conflict([UUID(row[0]) for row in stale])
    connection.execute(_COPY)
    ((stream, version, topic, state),) = connection.execute(_LAST).fetchall()
    return Row(stream, version, topic, bytes(state))
