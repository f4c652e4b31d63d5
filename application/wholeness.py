"""Whether events of a stream are missing: they are numbered, and the rows know how many there have been at least.

What is missing stands for an event that cannot be read, in its place: nobody takes the rest for the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from application.ports import Recorded
from domain.errors import EventsMissing, EventUnreadable

if TYPE_CHECKING:
    from application.history import Then

__all__ = ["complete", "numbers_follow", "version_of", "whole"]

T = TypeVar("T", bound="Then")


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


def complete(then: T, following: int | None, head: int) -> T:
    """A past state, unknown where the event right behind it is missing: nobody knows whether that belonged to it.

    ``following`` is the number of the next event that is there, ``head`` what the last one was at least.
    """
    end = following - 1 if following is not None else head
    if then.blocked is not None or end <= then.version:
        return then
    return replace(then, blocked=EventsMissing(then.stream_id, then.version + 1, end))


def numbers_follow(events: Sequence[Recorded], count: int) -> bool:
    """Whether these are the readable events of a stream from the first on, ``count`` of them at least."""
    numbers = [0 if isinstance(one.event, EventUnreadable) else one.event.originator_version for one in events]
    return numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= count
