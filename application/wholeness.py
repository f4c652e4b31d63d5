"""Whether events of a stream are missing: they are numbered, and the rows know how many there have been at least.

What is missing stands for an event that cannot be read, in its place: nobody takes the rest for the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from application.ports import Recorded
from domain.errors import EventsMissing, EventUnreadable

__all__ = ["missing_behind", "numbers_follow", "version_of", "whole"]


def version_of(one: Recorded) -> int:
    """The number of an event in its stream."""
    event = one.event
    return event.version if isinstance(event, EventUnreadable) else event.originator_version


def whole(stream_id: UUID, events: Sequence[Recorded], *, after: int = 0, head: int = 0) -> list[Recorded]:
    """The events behind number ``after``, with what is missing among them and up to ``head`` named in its place."""
    found: list[Recorded] = []
    version, position = after, 0
    for one in events:
        number = version_of(one)
        if number > version + 1:
            found.append(Recorded(position + 1, EventsMissing(stream_id, version + 1, number - 1)))
        found.append(one)
        version, position = max(number, version), one.position
    if version < head:
        found.append(Recorded(position + 1, EventsMissing(stream_id, version + 1, head)))
    return found


def missing_behind(stream_id: object, version: int, following: int | None, head: int) -> EventsMissing | None:
    """What is missing right behind a past event: nobody knows whether that belonged to the moment.

    ``version`` is that event's number, ``following`` that of the next one that is there, ``head`` what the last one was
    at least.
    """
    end = following - 1 if following is not None else head
    return EventsMissing(stream_id, version + 1, end) if end > version else None


def numbers_follow(events: Sequence[Recorded], count: int) -> bool:
    """Whether these are the readable events of a stream from the first on, ``count`` of them at least."""
    numbers = [0 if isinstance(one.event, EventUnreadable) else one.event.originator_version for one in events]
    return numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= count
