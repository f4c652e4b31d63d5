"""The aggregates that the writer decides on: kept while they are used, else loaded; and their snapshots."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from application.ports import SNAPSHOT_EVENTS, Loaded, Log, Recorded, StoredRow
from domain.errors import DaybookError, EventUnreadable, StoreError
from domain.task import ScheduledTask
from domain.task_snapshot import snapshot_of

__all__ = ["Head", "StreamCache", "heads_of", "heads_of_rows"]

Head = tuple[int, int]
"""A stream, as a number, and the number of its last event."""

CACHED_STREAMS = 12_000

IDLE_SNAPSHOT_EVENTS = 10
"""Where there is time, the state of a task is kept after so many events already: what is read of it first is short."""

IDLE_SNAPSHOTS = 50
"""So many states are kept at a time, so that no command waits long for it."""

_log = logging.getLogger(__name__)


class StreamCache:
    """Streams as aggregates, the most recently changed ones in memory. Used by the writer's thread alone.

    A stream is known by its id as a number: that is hashed in no time, and a UUID is not.
    """

    def __init__(self, log: Log, fingerprint: str) -> None:
        self._log, self._fingerprint = log, fingerprint
        self._cache: OrderedDict[int, Any] = OrderedDict()
        self._snapshot_versions: dict[int, int] = {}
        self._loaded_versions: dict[int, int] = {}
        self._grown: dict[int, Any] = {}

    def load(self, streams_asked: Iterable[int], new: Collection[int] = ()) -> tuple[dict[int, Any], dict[int, int]]:
        """Each stream's aggregate, in the order asked for, and the versions of those that were not looked for.

        None stands for a stream that does not exist, and an error for one that is unusable. ``new`` ones are taken not
        to exist: where they do, the log will not have what is decided on them.
        """
        streams: dict[int, Any] = {}
        versions: dict[int, int] = {}
        missing = []
        self._loaded_versions.clear()  # most of what is loaded is not kept
        for stream in dict.fromkeys(streams_asked):
            cached = streams[stream] = self._cache.get(stream)
            if cached is not None:
                versions[stream] = cached.version
            elif stream in new:
                versions[stream] = 0
            else:
                missing.append(UUID(int=stream))
        if missing:
            for stream_id, loaded in self._log.load(missing).items():
                streams[stream_id.int] = self._restored(stream_id, loaded)
        return streams, versions

    def prepare(self, stream_ids: Sequence[UUID]) -> int:
        """Load what is not cached, and keep it; what cannot be read is left to whoever decides on it."""
        missing = [stream_id.int for stream_id in stream_ids if stream_id.int not in self._cache]
        streams, _ = self.load(missing)
        for aggregate in streams.values():
            if aggregate is not None and not isinstance(aggregate, StoreError):
                self.keep(aggregate)
                self._note_growth(aggregate)
                _compile(aggregate)
        return len(missing)

    def _restored(self, stream_id: UUID, loaded: Loaded) -> Any:
        """The aggregate, or the error that makes its stream unusable."""
        aggregate = loaded.snapshot.restore() if loaded.snapshot is not None else None  # type: ignore[attr-defined]
        self._loaded_versions[stream_id.int] = loaded.snapshot.originator_version if loaded.snapshot else 0
        blocked: EventUnreadable | None = None
        for _, event in loaded.events:
            if isinstance(event, EventUnreadable):
                blocked = blocked or event
                continue
            if event.begins_anew and blocked is not None:
                blocked, aggregate = None, None
            if blocked is not None:
                continue
            try:
                aggregate = event.mutate(aggregate)
            except Exception as error:
                return EventUnreadable(stream_id, event.originator_version, event.topic, f"does not apply: {error!r}")
        return aggregate if blocked is None else blocked

    def undone(self, aggregate: Any, keep: int) -> Any:
        """The aggregate without the events of a command refused half-way, but with those accepted before it."""
        accepted = aggregate.pending_events[:keep]
        self._drop(aggregate.id.int)
        try:
            loaded = self._log.load([aggregate.id]).get(aggregate.id)
            fresh = self._restored(aggregate.id, loaded) if loaded is not None else None
            for event in accepted:
                fresh = event.mutate(fresh)
        except Exception as error:
            return StoreError(f"stream {aggregate.id} could not be read again: {error!r}; nothing was written to it")
        if accepted and fresh is not None:
            fresh.pending_events.extend(accepted)
        return fresh

    def keep(self, aggregate: Any) -> None:
        """Remember an aggregate whose events are all written; the longest unchanged ones are dropped."""
        stream = aggregate.id.int
        self._cache[stream] = aggregate
        self._cache.move_to_end(stream)
        if self._loaded_versions and (loaded := self._loaded_versions.pop(stream, None)) is not None:
            self._snapshot_versions[stream] = loaded
        while len(self._cache) > CACHED_STREAMS:
            self._drop(next(iter(self._cache)))

    def forget(self, streams: Iterable[int]) -> None:
        """Load these anew when they are next wanted."""
        for stream in streams:
            self._drop(stream)

    def _drop(self, stream: int) -> None:
        self._cache.pop(stream, None)
        self._snapshot_versions.pop(stream, None)
        self._grown.pop(stream, None)

    def clear(self) -> None:
        """Forget all."""
        self._cache.clear()
        self._snapshot_versions.clear()
        self._loaded_versions.clear()
        self._grown.clear()

    def overtaken(self, heads: Iterable[Head]) -> None:
        """Forget streams that turn out to have more events than were known."""
        for stream, version in heads:
            cached = self._cache.get(stream)
            if cached is not None and cached.version < version:
                self.forget([stream])

    # --- snapshots ---

    def take_snapshots(self, changed: Iterable[Any]) -> None:
        """Keep the state of tasks that have grown by many events since their last snapshot; note those by fewer."""
        self._save([aggregate for aggregate in changed if self._note_growth(aggregate) >= SNAPSHOT_EVENTS])

    def has_grown(self) -> bool:
        """Whether there are tasks whose state is worth keeping while nothing else is to be done."""
        return bool(self._grown)

    def take_idle_snapshots(self) -> None:
        """Keep the state of some of these."""
        grown = [self._grown.popitem()[1] for _ in range(min(len(self._grown), IDLE_SNAPSHOTS))]
        with suppress(StoreError):
            heads = self._log.heads([task.id for task in grown])
            # What others have moved on, or erased, is not what stands here.
            self._save([task for task in grown if heads.get(task.id) == task.version])

    def _note_growth(self, aggregate: Any) -> int:
        """By how many events a task has grown since its last snapshot; 0 for what has none."""
        if not isinstance(aggregate, ScheduledTask):
            return 0
        stream = aggregate.id.int
        growth = aggregate.version - self._snapshot_versions.get(stream, 0)
        if growth >= IDLE_SNAPSHOT_EVENTS and stream in self._cache:
            self._grown[stream] = aggregate
        return growth

    def _save(self, tasks: Sequence[ScheduledTask]) -> None:
        if not tasks:
            return
        for task in tasks:
            stream = task.id.int
            self._grown.pop(stream, None)
            if stream in self._cache:
                self._snapshot_versions[stream] = task.version
        try:
            self._log.save_snapshots(
                [(task.guild_id, snapshot_of(task, fingerprint=self._fingerprint)) for task in tasks]
            )
        except Exception:  # a snapshot saves time, and nothing that is wrong with one may stop the writer
            _log.exception("snapshots_not_saved", extra={"count": len(tasks)})


def _compile(aggregate: Any) -> None:
    """Have the rule of a task ready; one that no longer makes sense is the trouble of whoever decides on it."""
    if isinstance(aggregate, ScheduledTask):
        with suppress(DaybookError):
            aggregate.definition.schedule.engine  # noqa: B018  # compiled when it is first asked for


def heads_of(recorded: Iterable[Recorded]) -> list[Head]:
    """The streams of these events, and how far they go."""
    return [
        (UUID(event.stream_id).int, event.version)
        if isinstance(event, EventUnreadable)
        else (event.originator_id.int, event.originator_version)
        for _, event in recorded
    ]


def heads_of_rows(rows: Iterable[StoredRow]) -> list[Head]:
    """The same of events as they are stored. In a damaged row anything may stand."""
    found = []
    for row in rows:
        with suppress(ValueError, TypeError, OverflowError):
            found.append((int(row.stream, 16), int(row.version)))
    return found
