"""Between which instants each stretch of the log was written: what finds the position of an instant.

Clocks are set back and nodes differ by some, so that a later event may say an earlier time: a stretch has an earliest
and a latest instant, and stretches may overlap.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from application.ports import Recorded, Stretch
from domain.errors import EventUnreadable
from domain.instants import epoch_microseconds, from_epoch_microseconds

__all__ = ["CREATE_TIMES", "note_times", "stretches"]

STRETCH_BITS = 10
"""A stretch is 1,024 positions; where positions have gaps it holds fewer events."""

CREATE_TIMES = """
create table times (stretch integer primary key, earliest integer not null, latest integer not null)"""
_NOTE = """
insert into times values (?, ?, ?) on conflict (stretch) do update
set earliest = min(earliest, excluded.earliest), latest = max(latest, excluded.latest)"""


def note_times(connection: sqlite3.Connection, recorded: Sequence[Recorded]) -> None:
    """Take the instants of these events into account. Those of which nobody knows the instant are left out."""
    found: defaultdict[int, list[datetime]] = defaultdict(list)
    for position, event in recorded:
        at = event.at if isinstance(event, EventUnreadable) else event.timestamp
        if at is not None:
            found[position >> STRETCH_BITS].append(at)
    connection.executemany(
        _NOTE,
        [(stretch, epoch_microseconds(min(at)), epoch_microseconds(max(at))) for stretch, at in found.items()],
    )


def stretches(connection: sqlite3.Connection) -> list[Stretch]:
    """All of them, in order."""
    return [
        Stretch(
            stretch << STRETCH_BITS,
            ((stretch + 1) << STRETCH_BITS) - 1,
            from_epoch_microseconds(earliest),
            from_epoch_microseconds(latest),
        )
        for stretch, earliest, latest in connection.execute("select * from times order by stretch")
    ]
