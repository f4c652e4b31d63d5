"""The aggregates that the writer decides on: kept while they are used, else loaded; and their snapshots."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from application.ports import SNAPSHOT_EVENTS, Loaded, Log, Recorded
from domain.errors import EventUnreadable, StoreError
from domain.task import ScheduledTask
from domain.task_snapshot import snapshot_of

__all__ = ["StreamCache"]

CACHED_STREAMS = 12_000

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
        self._cache.pop(aggregate.id.int, None)
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
            stream, _ = self._cache.popitem(last=False)
            self._snapshot_versions.pop(stream, None)

    def forget(self, streams: Iterable[int]) -> None:
        """Load these anew when they are next wanted."""
        for stream in streams:
            self._cache.pop(stream, None)
            self._snapshot_versions.pop(stream, None)

    def clear(self) -> None:
        """Forget all."""
        self._cache.clear()
        self._snapshot_versions.clear()
        self._loaded_versions.clear()

    def overtaken(self, recorded: Sequence[Recorded]) -> None:
        """Forget streams that turn out to have more events than were known."""
        for _, event in recorded:
            cached = self._cache.get(_stream_of(event).int)
            if cached is not None and cached.version < _version_of(event):
                self.forget([cached.id.int])

    def take_snapshots(self, changed: Sequence[Any]) -> None:
        """Keep the state of tasks that have grown by many events since their last snapshot."""
        taken = []
        for aggregate in changed:
            if not isinstance(aggregate, ScheduledTask):
                continue
            stream = aggregate.id.int
            if aggregate.version - self._snapshot_versions.get(stream, 0) >= SNAPSHOT_EVENTS:
                taken.append((aggregate.guild_id, snapshot_of(aggregate, fingerprint=self._fingerprint)))
                if stream in self._cache:
                    self._snapshot_versions[stream] = aggregate.version
        if not taken:
            return
        try:
            self._log.save_snapshots(taken)
        except StoreError:
            _log.exception("snapshots_not_saved", extra={"count": len(taken)})


def _stream_of(event: Any) -> UUID:
    return UUID(event.stream_id) if isinstance(event, EventUnreadable) else event.originator_id


def _version_of(event: Any) -> int:
    return event.version if isinstance(event, EventUnreadable) else event.originator_version
