"""Which states of a stream are kept, and the last usable one before a position: the same on every store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from application.ports import SNAPSHOT_EVENTS
from domain.event import Snapshot
from infrastructure.mapper import EventMapper

__all__ = ["MOST_KEPT", "by_stream", "snapshots_at", "surplus"]

MOST_KEPT = 64
"""So many snapshots of a stream at most; where there are more, about half of them stay."""

_BELOW_ALL = 2**62

Ask = Callable[[Sequence[tuple[str, int, int]]], Sequence[tuple[str, int, str, bytes, int]]]
"""(stream, position, version) to (stream, version, topic, state, position).

The last snapshot of each stream that was taken at or before the position, and below the version.
"""


def surplus(versions: Sequence[int]) -> list[int]:
    """Which snapshots to drop, by the versions of all there are of one stream.

    What stays lies evenly over the stream's whole life. The distances are powers of two of the first one, so that what
    stays today is a part of what stayed before; the newest always stays.
    """
    if len(versions) <= MOST_KEPT:
        return []
    ordered = sorted(versions)
    distance = SNAPSHOT_EVENTS
    while ordered[-1] > distance * MOST_KEPT // 2:
        distance *= 2
    kept: dict[int, int] = {}
    for version in ordered:
        kept.setdefault(version // distance, version)
    stays = {*kept.values(), ordered[-1]}
    return [version for version in ordered if version not in stays]


def snapshots_at(
    ask: Ask, mapper: EventMapper, fingerprint: str, positions: Mapping[str, int]
) -> dict[str, tuple[Snapshot, int]]:
    """By stream, the last snapshot at or before its position that this code may use, and the position it stands for.

    One that is damaged or another code's is passed over for the one before it.
    """
    found: dict[str, tuple[Snapshot, int]] = {}
    asked = [(stream, position, _BELOW_ALL) for stream, position in positions.items()]
    while asked:
        # A damaged index leads to rows of other streams: without a kept state the stream is read from its beginning.
        rows = [row for row in ask(asked) if row[0] in positions]
        where = {row[0]: row[4] for row in rows}
        for stream, snapshot in mapper.usable_snapshots([row[:4] for row in rows], fingerprint).items():
            found[stream] = snapshot, where[stream]
        asked = [(row[0], positions[row[0]], row[1]) for row in rows if row[0] not in found]
    return found


def by_stream(rows: Sequence[Any]) -> dict[Any, list[Any]]:
    """Rows (position, stream, ...) by stream, in their order."""
    streams: dict[Any, list[Any]] = {}
    for row in rows:
        streams.setdefault(row[1], []).append(row)
    return streams
