"""Rows of a SQLite log in their order, and what gives away that damaged pages lead back, or past others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from application.ports import LAST_POSSIBLE
from domain.errors import StoreUnavailable

__all__ = ["check_order", "in_order"]

_READ = "SELECT rowid, * FROM stored_events WHERE rowid >= ? ORDER BY rowid LIMIT ?"
# The index of streams and versions holds every position as well, in pages of its own.
_POSITIONS_OF_STREAMS = """
    SELECT rowid FROM stored_events INDEXED BY sqlite_autoindex_stored_events_1 WHERE +rowid BETWEEN ? AND ?"""


def in_order(rows: Callable[..., list[Any]], path: Path, after_position: int, limit: int) -> list[Any]:
    """At most ``limit`` rows behind a position. ``rows`` answers a statement.

    Raises StoreUnavailable where rows are passed over to which their streams lead.
    """
    if after_position >= LAST_POSSIBLE:
        return []
    found = rows(_READ, after_position + 1, max(limit, 0))
    check_order(path, (row[0] for row in found), after_position)
    if found and found[-1][0] - max(after_position, 0) > len(found):
        _check_holes(rows, path, {row[0] for row in found}, after_position)
    return found


def check_order(path: Path, numbers: Iterable[Any], last: int) -> None:
    """Pages can lead back to where one came from: whoever reads on would never come to an end."""
    for number in numbers:
        if not isinstance(number, int) or number <= last:
            raise StoreUnavailable(f"{path}: {number} stands behind {last} in an index: the file is damaged")
        last = number


def _check_holes(rows: Callable[..., list[Any]], path: Path, found: set[int], last: int) -> None:
    """Where rows were deleted the index leads to none either. It is read whole, which only a hole is worth."""
    led_to = {row[0] for row in rows(_POSITIONS_OF_STREAMS, last + 1, max(found))}
    if hidden := led_to - found:
        raise StoreUnavailable(
            f"{path}: {len(hidden)} events, the first at position {min(hidden)}, are passed over by who reads "
            "in order: the file is damaged: restore the folder from a backup"
        )
