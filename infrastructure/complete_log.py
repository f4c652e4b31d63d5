"""A log read in order, and held to be whole: events that were written and are not there are noticed on the way.

Tables that are made of what is left would show a past that never was. So whoever makes them is told, and refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, TypeVar
from uuid import UUID

from application.ports import Leaves, Log, Recorded, StoredRow
from application.wholeness import version_of
from domain.errors import EventsMissing, EventUnreadable, StoreCut, StoreError

__all__ = ["CompleteLog"]

NOBODY_KNOWS_WHOSE = "the log"
"""The stream of events of which nothing but their positions is known."""

_LEAVES = 10_000

T = TypeVar("T", StoredRow, Recorded)


class CompleteLog:
    """What a read model reads of a log as a process begins: from ``position`` on, in order.

    Where positions are not ``numbered`` without gaps the leaves say which there have been, as far as they reach; they
    are asked where all is read anew. Raises StoreCut where events are gone; or, if ``accepted`` (by
    ``daybook rebuild``), has them stand in their place as EventsMissing, for nobody to take the rest for the whole.
    The numbers within each stream are held against one another as well: what is missing there is named in its place.
    """

    def __init__(
        self, log: Log, place: object, position: int, *, leaves: Leaves | None = None, accepted: bool = False
    ) -> None:
        self._log, self._place, self._accepted = log, str(place), accepted
        self._versions: dict[str, int] = {}
        self._anew = position == 0
        leaves = leaves if self._anew else None
        self._known = _positions(leaves) if leaves is not None and not log.numbered else iter(())
        self._next: int | None = next(self._known, None)
        self._end = _last_of(leaves) if leaves is not None else 0

    def last_position(self) -> int:
        """The position of the newest event. Raises StoreCut where the leaves have gone further."""
        if (end := self._log.last_position()) < self._end and not self._accepted:
            raise StoreCut(self._place, end, self._end)
        return end

    def read(self, after_position: int, limit: int) -> list[Recorded]:
        """At most ``limit`` events in order, and what is missing among them. Raises StoreCut."""
        return self._whole(after_position, self._log.read(after_position, limit), _number_of_event)

    def rows(self, after_position: int, limit: int) -> list[StoredRow | Recorded]:
        """The same as they are stored; what is missing is Recorded. One log is read in one way or in the other."""
        return self._whole(after_position, self._log.rows(after_position, limit), _number_of_row)

    def _whole(self, after: int, page: Sequence[T], number_of: Callable[[T], tuple[str, Any]]) -> list[T | Recorded]:
        gone = self._gone(after, page)
        if gone and not self._accepted:
            raise StoreCut.within(self._place, gone)
        found: list[T | Recorded] = [self._lost(first, last) for first, last in gone]
        for one in page:
            stream, version = number_of(one)
            if (last := self._last_before(stream, version)) is not None:
                found.append(Recorded(one.position, EventsMissing(_as_text(stream), last + 1, version - 1)))
            found.append(one)
        return sorted(found, key=lambda one: one.position) if gone else found

    def _gone(self, after: int, page: Sequence[StoredRow | Recorded]) -> list[tuple[int, int]]:
        """Ranges of positions at which there were events."""
        if not page:
            return []
        if self._log.numbered:
            before = [max(after, 0), *(one.position for one in page)]
            return [(one + 1, two - 1) for one, two in pairwise(before) if two > one + 1]
        there, absent = {one.position for one in page}, []
        while self._next is not None and self._next <= page[-1].position:
            if self._next not in there:
                absent.append((self._next, self._next))
            self._next = next(self._known, None)
        return absent

    def _lost(self, first: int, last: int) -> Recorded:
        return Recorded(first, EventsMissing(NOBODY_KNOWS_WHOSE, first, last))

    def _last_before(self, stream: str, version: Any) -> int | None:
        """The number of the last event of a stream before this one, where it is not the one right before."""
        if type(version) is not int:
            return None  # a damaged row, which is a fault of its own
        # Where reading does not begin with the first event, what comes first of a stream is taken as it is.
        last = self._versions.get(stream, 0 if self._anew else version - 1)
        self._versions[stream] = version if version > last else last
        return last if version > last + 1 else None


def _number_of_event(one: Recorded) -> tuple[str, Any]:
    event = one.event
    return event.stream_id if isinstance(event, EventUnreadable) else event.stream, version_of(one)


def _number_of_row(row: StoredRow) -> tuple[str, Any]:
    return row.stream, row.version


def _as_text(stream: str) -> str:
    """The id of a stream as people see it, whether it was read or stands in a row."""
    with suppress(ValueError, AttributeError, TypeError):
        return str(UUID(stream))
    return stream


def _last_of(leaves: Leaves) -> int:
    with suppress(StoreError):  # a damaged file, which is made anew; `daybook audit verify` tells of it
        last = leaves.last()
        return last.position if last is not None else 0
    return 0


def _positions(leaves: Leaves) -> Iterator[int]:
    number = 0
    with suppress(StoreError):
        while page := leaves.read(number, _LEAVES):
            yield from (leaf.position for leaf in page)
            number += len(page)
