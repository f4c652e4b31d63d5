"""Whether a store can be trusted: every stream whole and in order, every event readable, what is derived as it must be.

Each finding says what to do. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from application.history import fields_of
from application.ports import BEFORE_ALL, Head, Leaves, Log, Recorded, StoredRow
from application.tampering import Tampering, verify_log
from domain.errors import EventUnreadable, PayloadErased, StoreError

__all__ = ["Checked", "Health", "Problem", "Trouble", "verify_store"]

_PAGE = 1000
MOST_LISTED = 1000

Progress = Callable[[int, int], None]

RESTORE = "restore the folder from a backup; `daybook audit verify` says whether more was changed"
UPGRADE = "start the version of Daybook that wrote it, or a newer one; until then this task is left alone"
KEY = "put back the vault.db (or the vault's tables) that belongs to this log"
CUT = "restore the folder from a backup; or call `daybook rebuild` to go on with what the log still holds"
LEAVES_ANEW = (
    "stop the service and delete leaves.db: it is made anew. Heads that were published are in the log as well; those "
    "that `daybook audit head` showed hold on where you kept them"
)
REBUILD = "stop the service and call `daybook rebuild`"


class Problem(StrEnum):
    """What is wrong."""

    FILE = "file"
    END = "end"
    ROW = "row"
    GAP = "gap"
    ORDER = "order"
    INDEX = "index"
    UNREADABLE = "unreadable"
    NEWER = "newer"
    BROKEN = "broken"
    KEY = "key"
    SNAPSHOT = "snapshot"
    ROWS = "rows"
    LEAF = "leaf"
    LEAVES = "leaves"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong, and what to do about it."""

    kind: Problem
    words: str
    advice: str
    stream: str = ""
    version: int = 0
    position: int = 0


@dataclass(slots=True)
class Health:
    """What was looked at, and what is wrong. Erased events are counted; they are as they should be.

    The tables are not ``compared`` where the next start makes them anew anyway: there are none, or of another version.
    """

    events: int = 0
    streams: int = 0
    snapshots: int = 0
    erased: int = 0
    compared: bool = True
    troubles: list[Trouble] = field(default_factory=list)
    more: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.troubles

    def add(self, trouble: Trouble) -> None:
        """Note something; what is beyond the most that is listed is counted."""
        if len(self.troubles) < MOST_LISTED:
            self.troubles.append(trouble)
        else:
            self.more += 1


class Checked(Protocol):
    """A read model that can be held against one made anew.

    ``stale``: the next start makes its rows anew; if ``damaged``, because they are not as they were left.
    """

    @property
    def stale(self) -> bool: ...
    @property
    def damaged(self) -> bool: ...

    def position(self) -> int:
        """How far the log was read."""
        ...

    def differing(self, log: Log, progress: Progress | None = None) -> dict[str, int]:
        """By table, how many rows differ from those that the log makes; empty when none does."""
        ...


def verify_store(
    log: Log,
    rows: Checked,
    begin: Callable[[str], Progress | None] = lambda title: None,
    *,
    leaves: Leaves | None = None,
    heads: Sequence[Head] = (),
    destroyed: Collection[str] = (),
) -> Health:
    """Check the whole store. ``begin`` is told what comes, and gives what to report its progress to.

    Where ``leaves`` are kept the log must be the one they were made of, and ``heads`` say which of the two was changed:
    rows that change places are whole and readable, and yet say something else of the past.

    What was sealed with one of the keys ``destroyed`` (ids, hexadecimal) was erased, whether its stream says so or not:
    a log that is older than the erasure does not.
    """
    health = Health()
    for words in log.check():
        health.add(Trouble(Problem.FILE, words, RESTORE))
    streams = _read_in_order(log, health, begin("Reading"))
    _replay(log, streams, health, begin("Replaying"), destroyed)
    if leaves is not None or heads:
        _hold_against(log, leaves, heads, health, begin("Comparing"))
    health.compared = not rows.stale
    if rows.damaged:
        words = "the read model is not as it was left: it is damaged and not used, and the next start makes it anew"
        health.add(Trouble(Problem.ROWS, words, REBUILD))
    if health.compared:
        _compare(log, rows, health, begin("Rebuilding"))
    return health


def _compare(log: Log, rows: Checked, health: Health, progress: Progress | None) -> None:
    try:
        if (read := rows.position()) > (end := log.last_position()):  # asked for in this order: a service may write
            words = (
                f"the log ends at position {end}, and its tables were made up to position {read}: its end is gone, "
                f"and {_missing_at(end + 1, read)}"
            )
            health.add(Trouble(Problem.END, words, CUT, position=end))
            return
        for table, count in rows.differing(log, progress).items():
            which = "1 row of the table {} is" if count == 1 else f"{count} rows of the table {{}} are"
            words = f"{which.format(table)} not what the log makes"
            health.add(Trouble(Problem.ROWS, words, REBUILD))
    except StoreError as error:
        health.add(Trouble(Problem.ROWS, f"the read model cannot be read: {error}", REBUILD))


def _hold_against(
    log: Log, leaves: Leaves | None, heads: Sequence[Head], health: Health, progress: Progress | None
) -> None:
    """What differs from the leaves; of an event that is in trouble already nothing more is said."""
    named = {(one.stream, one.version) for one in health.troubles if one.version}
    try:
        found = verify_log(log, leaves, heads, progress).findings
    except StoreError as error:
        if all(one.kind is not Problem.FILE for one in health.troubles):  # else it may be the log that is not read
            health.add(Trouble(Problem.LEAVES, str(error), LEAVES_ANEW))
        return
    for one in found:
        stream = str(UUID(hex=one.stream)) if one.stream else ""
        if one.kind is Tampering.END:
            health.add(Trouble(Problem.END, one.words, CUT, position=one.position))
        elif one.kind in (Tampering.LEAVES, Tampering.FOREIGN):
            health.add(Trouble(Problem.LEAVES, one.words, LEAVES_ANEW, position=one.position))
        elif (stream, one.version) not in named:
            health.add(Trouble(Problem.LEAF, one.words, RESTORE, stream, one.version, one.position))


# --- the log from its beginning to its end ---


def _read_in_order(log: Log, health: Health, progress: Progress | None) -> dict[UUID, int]:
    """The last version of each stream, as the rows stand one behind the other."""
    streams: dict[UUID, int] = {}
    position = BEFORE_ALL
    gone: list[tuple[int, int]] = []
    named = 0
    try:
        end = log.last_position()
        while page := log.rows(position, _PAGE):
            for row in page:
                if log.numbered and row.position > max(position, 0) + 1:
                    gone.append((max(position, 0) + 1, row.position - 1))
                named += _placed(row, streams, health)
                position = row.position
            if progress is not None:
                progress(position, max(end, position))
    except StoreError as error:
        health.add(Trouble(Problem.FILE, f"nothing can be read behind position {max(0, position)}: {error}", RESTORE))
    health.streams = len(streams)
    if sum(last - first + 1 for first, last in gone) > named:  # the last ones of a stream leave no gap in its numbers
        for first, last in gone:
            health.add(Trouble(Problem.GAP, f"{_missing_at(first, last)} from the log", RESTORE, position=first))
    return streams


def _missing_at(first: int, last: int) -> str:
    if first == last:
        return f"the event at position {first} is missing"
    return f"the events at positions {first} to {last} are missing"


def _placed(row: StoredRow, streams: dict[UUID, int], health: Health) -> int:
    """Hold a row against those before it; how many events of its stream are missing right before it."""
    health.events += 1
    if row.position < 1:
        words = f"the row at position {row.position} stands before the beginning of the log"
        health.add(Trouble(Problem.ROW, words, RESTORE, position=row.position))
    stream_id = _stream_of(row)
    if stream_id is None:
        words = f"the row at position {row.position} belongs to no stream"
        health.add(Trouble(Problem.ROW, words, RESTORE, position=row.position))
        return 0
    expected = streams.get(stream_id, 0) + 1
    named: dict[str, Any] = {"stream": str(stream_id), "version": row.version, "position": row.position}
    if row.version > expected:
        missing = (
            f"event {expected} is" if row.version == expected + 1 else f"events {expected} to {row.version - 1} are"
        )
        words = f"stream {stream_id}: {missing} missing before event {row.version} (position {row.position})"
        health.add(Trouble(Problem.GAP, words, RESTORE, **named))
    elif row.version < expected:
        words = f"stream {stream_id}: event {row.version} stands behind event {expected - 1} (position {row.position})"
        health.add(Trouble(Problem.ORDER, words, RESTORE, **named))
    streams[stream_id] = max(row.version, expected - 1)
    return max(0, row.version - expected)


def _stream_of(row: Any) -> UUID | None:
    try:
        stream_id = UUID(hex=row.stream)
    except (AttributeError, TypeError, ValueError):
        return None
    return stream_id if stream_id.hex == row.stream and isinstance(row.version, int) and row.version > 0 else None


# --- every stream from its beginning ---


def _replay(
    log: Log, streams: dict[UUID, int], health: Health, progress: Progress | None, destroyed: Collection[str]
) -> None:
    for number, (stream_id, head) in enumerate(streams.items(), 1):
        try:
            _Replay(log, stream_id, health, destroyed).run(head)
        except StoreError as error:
            health.add(Trouble(Problem.FILE, f"stream {stream_id}: {error}", RESTORE, str(stream_id)))
        if progress is not None:
            progress(number, len(streams))


class _Replay:
    """One stream read through its index, its events applied, and every kept state compared on the way."""

    def __init__(self, log: Log, stream_id: UUID, health: Health, destroyed: Collection[str]) -> None:
        self._log, self._id, self._health, self._destroyed = log, stream_id, health, destroyed
        self._kept: dict[int, Any] = {one.originator_version: one for one in log.snapshots(stream_id)}
        self._state: Any = None
        self._applies = True
        self._erased, self._unsaid, self._said_so = 0, 0, False
        health.snapshots += len(self._kept)

    def run(self, head: int) -> None:
        """``head`` is the last version that stands in the log."""
        last = 0
        for one in self._events():
            event: Any = one.event
            version = event.version if isinstance(event, EventUnreadable) else event.originator_version
            if isinstance(event, EventUnreadable):
                self._unreadable(event, one.position)
            else:
                self._apply(event, one.position, follows=version == last + 1)
            last = version
        if last != head or self._log.heads([self._id]).get(self._id) != head:
            words = f"stream {self._id} has {head} events, and {last} when it is asked for alone: an index is damaged"
            self._add(Problem.INDEX, words, RESTORE, last)
        self._health.erased += self._erased
        if self._unsaid and not self._said_so:
            several = self._unsaid > 1
            events, were = (f"{self._unsaid} events", "they were") if several else ("1 event", "it was")
            words = f"stream {self._id}: the key of {events} is missing, and {were} not erased"
            self._add(Problem.KEY, words, KEY, 0)
        for version in self._kept:
            self._add(Problem.SNAPSHOT, f"stream {self._id}: a state is kept of event {version}, which is not there",
                      REBUILD, version)  # fmt: skip

    def _events(self) -> Iterator[Recorded]:
        version = 0
        while page := self._log.stream(self._id, after_version=version, limit=_PAGE):
            yield from page
            last: Any = page[-1].event
            version = last.version if isinstance(last, EventUnreadable) else last.originator_version

    def _unreadable(self, error: EventUnreadable, position: int) -> None:
        self._applies = False
        self._kept.pop(error.version, None)
        if isinstance(error, PayloadErased):
            self._erased += 1
            self._unsaid += error.key_id not in self._destroyed
        elif error.reason == "unknown topic" or "needs an upgrade" in error.reason:
            self._add(Problem.NEWER, str(error), UPGRADE, error.version, position)
        else:
            self._add(Problem.UNREADABLE, f"{error} (position {position})", RESTORE, error.version, position)

    def _apply(self, event: Any, position: int, *, follows: bool) -> None:
        # An erasure is written into every stream whose key it destroys.
        self._said_so |= event.begins_anew or event.topic.endswith(".erased")
        if event.begins_anew and not self._applies:
            self._state, self._applies = None, True
        elif not follows:
            self._applies = False  # the gap is known already
        kept = self._kept.pop(event.originator_version, None)
        if not self._applies:
            return
        try:
            self._state = event.mutate(self._state)
        except Exception as error:
            self._applies = False
            words = f"event {event.originator_version} of stream {self._id} does not apply: {error!r}"
            self._add(Problem.BROKEN, words, RESTORE, event.originator_version, position)
            return
        if kept is not None and fields_of(kept.restore()) != fields_of(self._state):
            words = (
                f"stream {self._id}: the state that is kept of event {event.originator_version} is not that of a replay"
            )
            self._add(Problem.SNAPSHOT, words, REBUILD, event.originator_version, position)

    def _add(self, kind: Problem, words: str, advice: str, version: int, position: int = 0) -> None:
        self._health.add(Trouble(kind, words, advice, str(self._id), version, position))
