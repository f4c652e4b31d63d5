"""Which states of a stream are kept, and the last usable one before a position: the same on every store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from application.ports import SNAPSHOT_EVENTS
from domain.event import Snapshot
from infrastructure.mapper import EventMapper

__all__ = ["ALWAYS_KEPT", "MOST_KEPT", "snapshots_at", "surplus"]

MOST_KEPT = 64
"""So many snapshots of a stream at most; where there are more, about half of them stay."""

ALWAYS_KEPT = 2
"""Of a stream with no more than the first and the newest, none is dropped."""

_BELOW_ALL = 2**62

Ask = Callable[[Sequence[tuple[str, int, int]]], Sequence[tuple[str, int, str, bytes, int]]]
"""(stream, position, version) to (stream, version, topic, state, position).

The last snapshot of each stream that was taken at or before the position, and below the version.
"""


def surplus(versions: Sequence[int]) -> list[int]:
    """Which snapshots to drop, by the versions of all there are of one stream.

    What stays lies evenly over the stream's whole life, and the newest always stays: those that were taken in between,
    so that reading starts close to the end, make room for the next. The distances are powers of two of the first one,
    so that what stays today is a part of what stayed before.
    """
    ordered = sorted(versions)
    distance = SNAPSHOT_EVENTS
    while len(versions) > MOST_KEPT and ordered[-1] > distance * MOST_KEPT // 2:
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
