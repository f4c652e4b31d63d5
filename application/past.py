"""Any past moment of the whole service: its tasks, guilds and processes as they were, and what changed until another.

Where a stream stood at an instant is found without reading it: the read model knows between which instants each stretch
of the log was written, so that only the few stretches that hold earlier and later events are looked into.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from application.history import Change, Moment, TaskThen, Then, difference, folded, instant_of, states_to_keep, then
from application.past_commands import Command
from application.placement import Placement
from application.ports import Leaves, Loaded, Log, ReadModel, Recorded, Standing
from application.wholeness import missing_behind, numbers_follow, version_of
from domain.errors import EventsMissing, EventUnreadable, PayloadErased, StoreError, StoreUnavailable
from domain.event import Snapshot, utc
from domain.guild import guild_stream
from domain.guild_erasure import Erased as GuildErased
from domain.node import NodeLost, NodeStarted, NodeStopped, node_stream
from domain.task_erasure import Erased as TaskErased

__all__ = ["Difference", "GuildThen", "NodeThen", "Past", "ServiceThen", "Where"]

_PAGE = 1024
"""A stretch of the log, so that one that is looked into takes one question."""

_PAGES_KEPT = 16
_PORTION = 50

_NOTHING = Standing(0, 0)

_UNKNOWN = datetime.max.replace(tzinfo=UTC)
"""Processes of which nobody knows when they started stand first."""

T = TypeVar("T", bound=Then)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Where:
    """How far each stream had come at a moment: to ``position``, and those in ``further`` as far as it says."""

    position: int
    further: dict[UUID, int] = field(default_factory=dict)

    def of(self, stream_id: UUID) -> int:
        """The position up to which a stream's events belong to the moment."""
        return max(self.position, self.further.get(stream_id, 0))

    @property
    def last(self) -> int:
        """The last position that belongs to the moment."""
        return max(self.position, *self.further.values()) if self.further else self.position


@dataclass(frozen=True, slots=True)
class GuildThen(Then):
    """A guild as it was."""

    guild_id: str = ""


@dataclass(frozen=True, slots=True)
class NodeThen:
    """A process that had started by then. ``up`` says whether it was alive: one found dead later was not.

    Not ``known``: what was written of it is missing or cannot be read, so that nobody knows whether it had started.
    """

    node: str
    host: str
    version: str
    started_at: datetime | None
    up: bool
    known: bool = True


@dataclass(frozen=True, slots=True)
class ServiceThen:
    """All that the asker may see as it was, after the event at ``position``.

    ``of_nobody`` counts events of which nobody knows whose they are: what they tell of may be missing here.
    """

    position: int
    tasks: list[TaskThen]
    guilds: list[GuildThen] = field(default_factory=list)
    nodes: list[NodeThen] = field(default_factory=list)
    of_nobody: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks there were by status; some were ``erased``, and of others nobody can know: ``unknown``."""
        return dict(Counter(_status(one) for one in self.tasks))

    @property
    def open_runs(self) -> int:
        """How many runs had begun and not ended."""
        return sum(len(one.task.open_runs) for one in self.tasks if one.task is not None)

    @property
    def known(self) -> bool:
        """Whether everything could be read, but for what was erased."""
        there = all(one.known or one.erased for one in (*self.tasks, *self.guilds))
        return there and all(one.known for one in self.nodes) and not self.of_nobody


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed in one stream. ``blocked`` is an event that cannot be read: then nobody knows all of it.

    It may have been ``erased``; then ``events`` still counts what happened between the two moments. ``begun``: it did
    not exist at the earlier one. ``commands``, ``left_out`` and ``schedule`` are those of ``Differing``.
    """

    stream_id: UUID
    changes: list[Change]
    blocked: EventUnreadable | None = None
    erased: bool = False
    events: int = 0
    begun: bool = False
    commands: tuple[Command, ...] = ()
    left_out: int = 0
    schedule: tuple[str | None, str] | None = None


class Past:
    """The past of one store. Knows no principals: whoever asks says of which tasks and guilds."""

    def __init__(self, log: Log, read_model: ReadModel, leaves: Leaves | None = None) -> None:
        self._log, self._rows, self._placement = log, read_model, Placement(leaves)

    # --- moments ---

    def between(self, before: Moment, after: Moment) -> tuple[Where, Where]:
        """``where`` of two moments; what both look into is read once."""
        read = lru_cache(maxsize=_PAGES_KEPT)(self._log.read)
        return self.where(before, read), self.where(after, read)

    def where(self, moment: Moment, read: Callable[[int, int], list[Recorded]] | None = None) -> Where:
        """How far each stream had come.

        At an instant: to its last event that says to be of that time or before. Events are written in the order in
        which they were decided, so that what stands before such an event belongs to it, whatever its clock said.
        Raises StoreUnavailable where the end of a damaged log is not found.
        """
        if not isinstance(moment, datetime):
            return Where(moment)
        instant = utc(moment)
        within, mixed = 0, []  # type: int, list[tuple[int, int]]
        for stretch in self._rows.stretches():
            if not mixed and stretch.latest <= instant:
                within = stretch.last
            else:
                mixed.append((stretch.first, stretch.last if stretch.earliest <= instant else 0))
        read_to, end = self._rows.position(), self._log.last_position()
        if end < read_to and self._log.check():  # not deleted, but passed over as pages are damaged
            raise StoreUnavailable(
                f"the log ends at position {end}, and had {read_to}: the file is damaged: restore the folder from a "
                "backup"
            )
        # What the read model has not seen yet is looked into as well.
        known = min(within, read_to)
        further: dict[UUID, int] = {}
        passed: set[UUID] = set()
        for first, last in (*mixed, (read_to + 1, end)):
            for one in _events(read or self._log.read, max(first, known + 1), last):
                self._check_place(one)
                _place(one, instant, further, passed)
        return Where(known, further)

    def _check_place(self, one: Recorded) -> None:
        """A row whose stream was damaged would be missing in another stream, which reads it through an index."""
        if not isinstance(one.event, EventUnreadable) or isinstance(one.event, PayloadErased):
            return
        stream_id = _stream_of(one)
        found = self._log.stream(stream_id, after_version=one.event.version - 1, limit=1) if stream_id else []
        if not found or found[0].position != one.position:
            raise StoreError(f"nobody knows whose event stands at position {one.position}: `daybook verify` says more")

    def loaded(self, where: Where, streams: Iterable[UUID]) -> dict[UUID, Loaded]:
        """Each stream as it was; those that had not begun are left out."""
        return self._log.load_at({stream_id: where.of(stream_id) for stream_id in streams})

    # --- states ---

    def tasks(self, where: Where, versions: Mapping[str, int]) -> list[TaskThen]:
        """These tasks as they were; those that did not exist yet are left out.

        ``versions`` says how many events each has at least.
        """
        heads = {UUID(task_id): version for task_id, version in versions.items()}
        found: dict[UUID, TaskThen] = {}
        kept: list[tuple[str, Snapshot]] = []
        for streams in _portions(list(heads)):
            for stream_id, loaded in self.loaded(where, streams).items():
                found[stream_id], worth_keeping = states_to_keep(str(stream_id), loaded, self._log.fingerprint)
                kept += worth_keeping
        self._keep(kept)
        return self._complete(found, heads, lambda stream_id: TaskThen(str(stream_id), 0, None, None))

    def _complete(self, found: Mapping[UUID, T], heads: Mapping[UUID, int], nothing: Callable[[UUID], T]) -> list[T]:
        """In the order of ``heads``; unknown where events are missing. Streams that had not begun are left out."""
        thens = {stream_id: found.get(stream_id) or nothing(stream_id) for stream_id in heads}
        doubts = self._doubts({id: Standing(then.version, then.position) for id, then in thens.items()}, heads)
        checked = [replace(then, blocked=then.blocked or doubts.get(id)) for id, then in thens.items()]
        return [self._noting_erasure(then) for then in checked if then.version or then.blocked is not None]

    def _doubts(self, last: Mapping[UUID, Standing], heads: Mapping[UUID, int]) -> dict[UUID, EventUnreadable]:
        """Of which streams nobody knows whether these were the last events at the moment, and why.

        Where the event right behind is missing it may have belonged to it; where one of the two was written elsewhere
        in the log, nobody knows on which side of the moment it stood.
        """
        following = self._log.following({stream_id: one.version for stream_id, one in last.items()})
        found: dict[UUID, EventUnreadable] = {}
        found |= self._placement.moved({id: [one, following.get(id, _NOTHING)] for id, one in last.items()})
        for stream_id, one in last.items():
            after = following[stream_id].version if stream_id in following else None
            if (missing := missing_behind(stream_id, one.version, after, heads[stream_id])) is not None:
                found[stream_id] = missing
        return found

    def _noting_erasure(self, then: T) -> T:
        """The same; marked where a later event of the stream says that this was erased. A lost key says nothing."""
        return replace(then, erased=True) if self._was_erased(UUID(then.stream_id), then.blocked) else then

    def _was_erased(self, stream_id: UUID, blocked: EventUnreadable | None) -> bool:
        if not isinstance(blocked, PayloadErased):
            return False
        later = self._log.stream(stream_id, after_version=blocked.version)
        return any(isinstance(one.event, GuildErased | TaskErased) for one in later)

    def _keep(self, snapshots: list[tuple[str, Snapshot]]) -> None:
        try:
            for start in range(0, len(snapshots), _PAGE):
                self._log.save_snapshots(snapshots[start : start + _PAGE])
        except StoreError:
            _log.exception("snapshots_not_saved", extra={"count": len(snapshots)})

    def guild_heads(self, guild_ids: Iterable[str]) -> dict[UUID, int]:
        """How many events the streams of these guilds have at least."""
        streams = [guild_stream(guild_id) for guild_id in guild_ids]
        seen = self._rows.heads(streams)
        return {stream_id: seen.get(stream_id, 0) for stream_id in streams}

    def guilds(self, where: Where, guild_ids: Iterable[str]) -> list[GuildThen]:
        """These guilds as they were; those of which nothing was written yet are left out."""
        streams = {guild_stream(guild_id): guild_id for guild_id in guild_ids}
        found = {}
        for stream_id, loaded in self.loaded(where, streams).items():
            one = folded(str(stream_id), loaded, Then)
            found[stream_id] = GuildThen(
                one.stream_id, one.position, one.at, one.state, one.blocked, one.version, guild_id=streams[stream_id]
            )
        heads = self.guild_heads(streams.values())
        return self._complete(
            found, heads, lambda stream_id: GuildThen(str(stream_id), 0, None, None, guild_id=streams[stream_id])
        )

    def nodes(self, moment: Moment, names: Iterable[str]) -> list[NodeThen]:
        """The processes that had started, the newest first."""
        streams = {node_stream(name): name for name in names}
        there, heads = self._log.load(list(streams)), self._rows.heads(list(streams))
        found = []
        for stream_id, name in streams.items():
            events = there[stream_id].events if stream_id in there else ()
            if not numbers_follow(events, heads.get(stream_id, 0)):
                found.append(NodeThen(name, "", "", None, up=False, known=False))
                continue
            by_then = then(events, moment)
            around = [Standing(version_of(one), one.position) for one in events[max(len(by_then) - 1, 0) :][:2]]
            if self._placement.moved({stream_id: around}):
                found.append(NodeThen(name, "", "", None, up=False, known=False))
                continue
            first: Any = by_then[0].event if by_then else None
            if not isinstance(first, NodeStarted):
                continue
            up = not any(_ended(one, moment, by_then[-1].position) for one in events)
            found.append(NodeThen(first.node, first.host, first.version, first.timestamp, up))
        return sorted(found, key=lambda node: node.started_at or _UNKNOWN, reverse=True)

    # --- what changed ---

    def _earlier(
        self, later: Mapping[UUID, Loaded], before: Where, after: Where, streams: Sequence[UUID]
    ) -> dict[UUID, Loaded]:
        """Each stream at the earlier moment: mostly it is a part of what was loaded of it at the later one."""
        found = {}
        for stream_id, loaded in later.items():
            if (bound := before.of(stream_id)) <= after.of(stream_id) and (part := _up_to(loaded, bound)) is not None:
                found[stream_id] = part
        return found | self.loaded(before, [one for one in streams if one not in found])

    def differences(self, before: Where, after: Where, heads: Mapping[UUID, int]) -> list[Difference]:
        """What changed in each of these streams; those in which nothing did are left out.

        ``heads`` says how many events each has at least.
        """
        portions = _portions(list(heads))
        return [one for portion in portions for one in self._differences(before, after, portion, heads)]

    def _differences(
        self, before: Where, after: Where, streams: Sequence[UUID], heads: Mapping[UUID, int]
    ) -> list[Difference]:
        last = self.loaded(after, streams)
        first = self._earlier(last, before, after, streams)
        doubts: dict[UUID, EventUnreadable] = {}
        for moment in (first, last):
            doubts |= self._doubts({id: _standing(moment.get(id, Loaded())) for id in streams}, heads)
        found = []
        for stream_id in streams:
            if (doubt := doubts.get(stream_id)) is not None:
                found.append(Difference(stream_id, [], doubt))
                continue
            old, new = first.get(stream_id, Loaded()), last.get(stream_id, Loaded())
            if _length(old) > _length(new):
                old, new = new, old
            more = _length(new) - _length(old)
            if not more:
                if (doubt := _unreadable(new)) is not None and not self._was_erased(stream_id, doubt):
                    found.append(Difference(stream_id, [], doubt))
                continue
            # What was loaded of the later moment often reaches back to the earlier one.
            events = list(new.events[-more:])
            if len(events) < more:
                events = self._log.stream(stream_id, after_version=_length(old), limit=more)
            try:
                one = difference(str(stream_id), old, events)
            except EventUnreadable as error:
                found.append(Difference(stream_id, [], error, self._was_erased(stream_id, error), more))
                continue
            if one.changes or one.commands:
                told = (one.commands, one.left_out, one.schedule)
                found.append(Difference(stream_id, one.changes, None, False, more, not _length(old), *told))
        return found


def _events(read: Callable[[int, int], list[Recorded]], first: int, last: int) -> Iterable[Recorded]:
    position = first - 1
    while position < last and (page := read(position, min(_PAGE, last - position))):
        for one in page:
            if one.position > last:
                return
            yield one
        position = page[-1].position


def _portions(streams: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    """So few that their events are let go of before more are read: memory stays small, and so does what Python's
    search for garbage goes through, which took a third of the time where a thousand streams were read at once.
    """
    return (streams[start : start + _PORTION] for start in range(0, len(streams), _PORTION))


def _status(one: TaskThen) -> str:
    if one.erased:
        return "erased"
    return one.task.status.value if one.known and one.task is not None else "unknown"


def _up_to(loaded: Loaded, bound: int) -> Loaded | None:
    """The stream up to a position, of what was loaded of it to a later one; None where that does not reach back."""
    events = tuple(one for one in loaded.events if one.position <= bound)
    return replace(loaded, events=events) if events else None


def _place(one: Recorded, instant: datetime, further: dict[UUID, int], passed: set[UUID]) -> None:
    """Count an event in, if it is of that time or before, or if nobody knows and the one before it is counted in."""
    stream_id = _stream_of(one)
    at = instant_of(one)
    if stream_id is None:
        return
    if at <= instant if at is not None else stream_id not in passed:
        further[stream_id] = one.position
        passed.discard(stream_id)
    else:
        passed.add(stream_id)


def _stream_of(one: Recorded) -> UUID | None:
    if not isinstance(one.event, EventUnreadable):
        return one.event.originator_id
    try:
        return UUID(one.event.stream_id)
    except ValueError:
        return None  # the row is damaged so badly that nobody knows whose it is


def _length(loaded: Loaded) -> int:
    if loaded.events:
        last = loaded.events[-1].event
        return last.version if isinstance(last, EventUnreadable) else last.originator_version
    return loaded.snapshot.originator_version if loaded.snapshot is not None else 0


def _standing(loaded: Loaded) -> Standing:
    """The last event of what was loaded."""
    return Standing(_length(loaded), loaded.events[-1].position if loaded.events else loaded.snapshot_position)


def _unreadable(loaded: Loaded) -> EventUnreadable | None:
    """The first event that cannot be read, or is missing: nobody knows what was from there on, nor when."""
    version = loaded.snapshot.originator_version if loaded.snapshot is not None else 0
    for one in loaded.events:
        if isinstance(one.event, EventUnreadable):
            return one.event
        if one.event.originator_version != version + 1:
            return EventsMissing(one.event.originator_id, version + 1, one.event.originator_version - 1)
        version += 1
    return None


def _ended(one: Recorded, moment: Moment, position: int) -> bool:
    """Whether a process had ended. When it was found dead later it was last seen before."""
    match one.event:
        case NodeStopped():
            return one.position <= position
        case NodeLost(last_seen=seen):
            return seen <= moment if isinstance(moment, datetime) else one.position <= position
    return False
