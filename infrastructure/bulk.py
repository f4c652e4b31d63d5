"""Very many events at once: what the logs on SQLite and PostgreSQL share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from uuid import UUID

from application.ports import Append
from infrastructure.mapper import EventMapper, Row

__all__ = ["MOST_NAMED", "broken_stream", "sealed"]

CHUNK_EVENTS = 1_000

MOST_NAMED = 100
"""A conflict names at most this many streams."""


def sealed(mapper: EventMapper, appends: Iterable[Append]) -> Iterator[list[Row]]:
    """All events as rows, sealed, in chunks that fit into memory."""
    pieces = chain.from_iterable(_pieces(append) for append in appends)
    while chunk := list(islice(pieces, CHUNK_EVENTS)):
        yield mapper.rows(chunk)


def _pieces(append: Append) -> Iterator[Append]:
    for event in append.events:
        yield Append(append.stream_id, append.guild_id, (event,))


def broken_stream(stream: str) -> ValueError:
    """What to raise for a stream whose versions do not follow one another."""
    return ValueError(f"stream {UUID(stream)}: its versions do not follow one another, starting with 1 or at its head")
