"""The log: appended to by the writer, read by anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from domain.errors import EventUnreadable

if TYPE_CHECKING:
    from domain.event import Event, Snapshot

__all__ = [
    "BEFORE_ALL",
    "LAST_POSSIBLE",
    "SNAPSHOT_EVENTS",
    "Append",
    "Loaded",
    "Log",
    "Recorded",
    "Standing",
    "StoredRow",
    "Stretch",
]

SNAPSHOT_EVENTS = 50
"""The state of a task is kept every so many events."""

BEFORE_ALL = -(2**63) - 1
"""The log begins at position 1; a stranger's row may stand before that, and its stream would be read with it."""

LAST_POSSIBLE = 2**63 - 1
"""No row stands behind this position, whoever wrote it."""


@dataclass(frozen=True, slots=True)
class Append:
    """Events to be added to one stream, contiguous; the first one's version less one is the head they expect.

    ``guild_id`` names the data key that seals the payloads; the empty string is the service's own.
    """

    stream_id: UUID
    guild_id: str
    events: Sequence[Event]


class Recorded(NamedTuple):
    """One event as it stands in the log. ``event`` is the error where the payload cannot be read: reading goes on."""

    position: int
    event: Event | EventUnreadable


class Standing(NamedTuple):
    """Where an event of a stream stands: its number, and its position in the log."""

    version: int
    position: int


class StoredRow(NamedTuple):
    """One event as it is stored, sealed. In a damaged store anything may stand in any column but the position.

    ``stream`` is the stream's id as 32 hexadecimal digits.
    """

    position: int
    stream: str
    version: int
    topic: str
    state: bytes


class Stretch(NamedTuple):
    """The positions ``first`` to ``last``: what was written there says to be of these instants (aware UTC)."""

    first: int
    last: int
    earliest: datetime
    latest: datetime


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one stream is made of: the last usable snapshot, if any, and all events after it, in order.

    ``snapshot_position`` is where the last event stands that went into the snapshot; only ``load_at`` looks it up.
    """

    snapshot: Snapshot | None = None
    events: Sequence[Recorded] = ()
    snapshot_position: int = 0


class Log(Protocol):
    """The append-only log. Positions start at 1, grow with every event over all streams, and are never reused."""

    @property
    def fingerprint(self) -> str:
        """The code whose snapshots are used."""
        ...

    @property
    def numbered(self) -> bool:
        """Whether positions follow one another without gaps, so that a gap is a loss."""
        ...

    def append(self, appends: Sequence[Append]) -> list[StoredRow]:
        """Write all events of all streams in one durable transaction and return them as they are stored, in order.

        Raises Conflict (naming every stale stream; nothing written), StoreUnavailable (nothing written) or
        AppendUnknown (written or not is unknown: read again before deciding).
        """
        ...

    def append_all(self, appends: Iterable[Append]) -> int:
        """Write everything, however much it is, in one durable transaction and in bounded memory; returns how many.

        Others see all of it or nothing, also when this process is killed. A stream may come in many pieces. Raises
        what ``append`` raises, and ValueError for versions that do not follow one another.
        """
        ...

    def tidy_up(self, expected: int = 0) -> None:
        """Nobody waits just now: do what would else keep a commit waiting, also one of ``expected`` events to come.

        Raises StoreUnavailable.
        """
        ...

    def keep_room(self) -> None:
        """Have some place ready for the next commits where the last have begun to do without.

        Called behind each command that was committed alone: it takes microseconds, but for once in some hundreds.
        Raises StoreUnavailable.
        """
        ...

    def heads(self, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """The last version of each stream; streams that do not exist are left out."""
        ...

    def following(self, versions: Mapping[UUID, int]) -> dict[UUID, Standing]:
        """Of each stream the first event behind the number that is named; those without any are left out."""
        ...

    def load(self, stream_ids: Sequence[UUID]) -> dict[UUID, Loaded]:
        """Each stream from its last usable snapshot on, in a bounded number of queries.

        Unknown streams are left out.
        """
        ...

    def load_at(self, positions: Mapping[UUID, int]) -> dict[UUID, Loaded]:
        """Each stream as it was at a position of its own: its last usable snapshot by then, and the events up to it.

        In a bounded number of queries. Streams that had no event by then are left out.
        """
        ...

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int | None = None) -> list[Recorded]:
        """The events of one stream in order, from the first one after ``after_version``."""
        ...

    def read(self, after_position: int, limit: int) -> list[Recorded]:
        """At most ``limit`` events of all streams in order of position, from the first one after ``after_position``."""
        ...

    def rows(self, after_position: int, limit: int) -> list[StoredRow]:
        """The same as they are stored, whether they can be read or not."""
        ...

    def last_position(self) -> int:
        """The position of the newest event; 0 for an empty log."""
        ...

    def save_snapshots(self, snapshots: Sequence[tuple[str, Snapshot]]) -> None:
        """Keep these (guild id, snapshot) pairs. A snapshot is a cache: losing one loses nothing.

        A stream keeps several, of all its ages; where they are too many, those are dropped that lie closest together.
        """
        ...

    def snapshots(self, stream_id: UUID) -> list[Snapshot]:
        """Every snapshot of a stream that may be used, the oldest first."""
        ...

    def drop_snapshots(self) -> None:
        """Forget all snapshots: they are taken anew."""
        ...

    def check(self) -> list[str]:
        """What is wrong with the files of the store, as far as the store itself can tell; empty when nothing is."""
        ...

    def last_foreign_change(self) -> object:
        """A token that differs from the last one when another process may have committed since. Cheap."""
        ...

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        ...
