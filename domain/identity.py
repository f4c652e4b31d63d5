"""Ids of tasks: new ones grow with time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

__all__ = ["id_of", "short_id", "time_ordered_id"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RANDOM_BITS = 64


def time_ordered_id(instant: datetime, random: UUID) -> UUID:
    """A UUID of version 7 (RFC 9562, section 5.7, with the fraction of the millisecond by method 3 of section 6.2).

    ``random`` is one of version 4: its last 64 bits, variant included, are kept. Tasks that were made one after the
    other, and often run together, then lie side by side in what stores index by id.
    """
    milliseconds, microseconds = divmod((instant - _EPOCH) // _MICROSECOND, 1000)
    made = (milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | (microseconds * 4096 // 1000) << _RANDOM_BITS
    return UUID(int=made | random.int & (1 << _RANDOM_BITS) - 1)


@lru_cache(maxsize=12_000)
def id_of(text: str) -> UUID:
    """The id that a text says. It is wanted several times a run, and to read one takes longer than to look it up.

    Raises what UUID does for what is none.
    """
    return UUID(text)


def short_id(id: str) -> str:
    """The beginning of an id, for people; commands take it. It tells when the task was made, to the millisecond.

    With fewer characters tasks that were made within a minute look alike.
    """
    return id[:13]
