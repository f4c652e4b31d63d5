"""Where streams end in the SQLite log: looked up, or known to the one connection that writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from json import dumps
from uuid import UUID

from application.ports import Append, Loaded, Recorded
from domain.errors import EventUnreadable

__all__ = ["STREAMS_PER_QUERY", "KnownHeads", "heads", "stale"]

_MOST = 20_000
STREAMS_PER_QUERY = 1000

_HEAD = "SELECT MAX(originator_version) FROM stored_events WHERE originator_id = ?"
_HEADS = """
    SELECT asked.value, (SELECT MAX(originator_version) FROM stored_events WHERE originator_id = asked.value)
    FROM json_each(?) AS asked"""


class KnownHeads:
    """The last events of streams, by the stream's number, that nobody but this writer has moved on since.

    The data version of a connection changes with every commit of another (https://sqlite.org/pragma.html). What was
    read after it was asked for is as new at least; whatever is newer has changed it by the time it is asked for again.
    """

    def __init__(self) -> None:
        self._heads: dict[int, int] = {}
        self._as_of: int | None = None

    def as_of(self, writer: sqlite3.Connection) -> int:
        """The data version that they are of. Where others have committed meanwhile, none are known any more."""
        version: int = writer.execute("PRAGMA data_version").fetchone()[0]
        if version != self._as_of:
            self._heads.clear()
            self._as_of = version
        return version

    def doubtful(self, expected: Mapping[UUID, int]) -> dict[UUID, int]:
        """Those of these heads that are to be looked up. Streams that are to begin need not be: their first events
        cannot be inserted twice.
        """
        return {at: head for at, head in expected.items() if head and self._heads.get(at.int) != head}

    def appended(self, appends: Sequence[Append]) -> None:
        """These were committed."""
        self._note({append.stream_id.int: append.events[-1].originator_version for append in appends})

    def loaded(self, streams: Mapping[UUID, Loaded], as_of: int) -> None:
        """These were read after the data version had been asked for.

        Of a stream that is all in its snapshot nobody has seen the last event: in a damaged file it may be missing.
        """
        if as_of == self._as_of:
            self._note({stream_id.int: _last(one.events[-1]) for stream_id, one in streams.items() if one.events})

    def _note(self, found: Mapping[int, int]) -> None:
        if len(self._heads) > _MOST:
            self._heads.clear()
        self._heads.update(found)

    def forget(self) -> None:
        """Nobody knows what the log holds."""
        self._heads.clear()


def _last(recorded: Recorded) -> int:
    event = recorded.event
    return event.version if isinstance(event, EventUnreadable) else event.originator_version


def heads(connection: sqlite3.Connection, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The number of the last event of each stream; 0 where there is none."""
    found: dict[UUID, int] = {}
    for start in range(0, len(stream_ids), STREAMS_PER_QUERY):
        by_hex = {stream_id.hex: stream_id for stream_id in stream_ids[start : start + STREAMS_PER_QUERY]}
        for stream, version in connection.execute(_HEADS, (dumps(list(by_hex)),)).fetchall():
            found[by_hex[stream]] = version or 0
    return found


def stale(connection: sqlite3.Connection, expected: Mapping[UUID, int]) -> list[UUID]:
    """The streams that do not end as expected."""
    if len(expected) == 1:
        ((stream_id, version),) = expected.items()
        return [] if (connection.execute(_HEAD, (stream_id.hex,)).fetchone()[0] or 0) == version else [stream_id]
    found = heads(connection, list(expected))
    return [stream_id for stream_id, version in expected.items() if found[stream_id] != version]
