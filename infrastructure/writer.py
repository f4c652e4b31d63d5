"""The one writer of this process: a thread that decides what waits, commits it together, and only then acknowledges."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from application.ports import Append, Command, Loaded, Log, Recorded
from domain.errors import AppendUnknown, Conflict, DaybookError, EventUnreadable, NotFound, Refused, StoreError
from domain.task import ScheduledTask
from domain.task_snapshot import snapshot_of
from infrastructure.read_model import SqliteReadModel

__all__ = ["LogWriter"]

MOST_COMMANDS = 2_000
"""At most this many commands share a transaction, so that one burst does not keep the next caller waiting."""

MOST_DECISIONS = 10
"""A command that others keep overtaking is decided at most this often."""

CACHED_STREAMS = 12_000
SNAPSHOT_EVENTS = 100

_log = structlog.get_logger(__name__)


class _Group:
    """Commands handed over together, and the one future of their caller: waking a caller costs, so it is done once."""

    __slots__ = ("future", "loop", "outcomes", "remaining")

    def __init__(self, size: int, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop, self.remaining = loop, size
        self.outcomes: list[Any] = [None] * size
        self.future: asyncio.Future[list[Any]] | Future[list[Any]] = loop.create_future() if loop else Future()


@dataclass(slots=True)
class _Waiting:
    """One command, its place in its group, and how often it was decided."""

    command: Command
    group: _Group
    index: int
    decisions: int = 0
    outcome: Any = None


class LogWriter:
    """Commands in, durable events and visible rows out (application.ports.Writer).

    ``read_model`` is None in a process that only appends, beside a service that keeps the rows. ``on_change`` is
    called in the writer's thread after events were committed or others' were seen.
    """

    def __init__(
        self,
        log: Log,
        read_model: SqliteReadModel | None,
        *,
        fingerprint: str,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._log, self._read_model, self._fingerprint = log, read_model, fingerprint
        self.on_change = on_change
        self._queue: queue.SimpleQueue[list[_Waiting] | Callable[[], None] | None] = queue.SimpleQueue()
        self._cache: OrderedDict[UUID, Any] = OrderedDict()
        self._snapshot_versions: dict[UUID, int] = {}
        self._settled: list[_Group] = []
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="daybook-writer", daemon=True)
        self._thread.start()

    # --- for callers ---

    async def execute(self, command: Command) -> Any:
        """What ``decide`` returned, once it is durable and visible. Raises what it raised."""
        [outcome] = await self.execute_many([command])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """The outcome of each command, errors as values."""
        if not commands:
            return []
        group = self._enqueue(commands, asyncio.get_running_loop())
        assert isinstance(group.future, asyncio.Future)
        return await group.future

    def execute_now(self, commands: Sequence[Command]) -> list[Any]:
        """The same for callers without an event loop; blocks."""
        if not commands:
            return []
        group = self._enqueue(commands, None)
        assert isinstance(group.future, Future)
        return group.future.result()

    async def catch_up(self) -> int:
        """Bring the read model to the end of the log; returns how many events others had written."""
        done: Future[int] = Future()

        def work() -> None:
            try:
                done.set_result(self._see_others())
            except BaseException as error:
                done.set_exception(error)

        self._put(work)
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Write what waits, then stop. Idempotent."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _enqueue(self, commands: Sequence[Command], loop: asyncio.AbstractEventLoop | None) -> _Group:
        group = _Group(len(commands), loop)
        self._put([_Waiting(command, group, index) for index, command in enumerate(commands)])
        return group

    def _put(self, work: list[_Waiting] | Callable[[], None]) -> None:
        if self._closed:
            raise StoreError("the store is closed")
        self._queue.put(work)

    # --- the thread ---

    def _serve(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            if callable(work):
                work()
                continue
            batch = list(work)
            stop, after = False, None
            while len(batch) < MOST_COMMANDS:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    stop = True
                    break
                if callable(more):
                    after = more
                    break
                batch.extend(more)
            self._serve_batch(batch)
            if after is not None:
                after()
            if stop:
                return

    def _serve_batch(self, batch: list[_Waiting]) -> None:
        while batch:
            try:
                batch = self._attempt(batch)
            except BaseException as error:  # a bug or a broken store must reach the callers, not end the thread
                self._forget([w.command.stream_id for w in batch])
                _log.exception("write_failed", commands=len(batch))
                for waiting in batch:
                    self._settle(waiting, error)
                batch = []
            self._acknowledge()

    def _attempt(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Decide and commit; returns the commands to be decided again because others were first."""
        streams = self._loaded([w.command.stream_id for w in batch])
        accepted = [w for w in batch if self._decide(w, streams)]
        by_stream: dict[UUID, list[_Waiting]] = {}
        for waiting in accepted:
            by_stream.setdefault(waiting.command.stream_id, []).append(waiting)
        overtaken: list[_Waiting] = []
        while True:
            changed = [streams[i] for i in by_stream if streams.get(i) is not None and streams[i].pending_events]
            try:
                recorded = self._append(changed)
                break
            except Conflict as conflict:
                for stream_id in map(UUID, map(str, conflict.stream_ids)):
                    overtaken.extend(by_stream.pop(stream_id, []))
                    self._forget([stream_id])
        for aggregate in changed:
            aggregate.pending_events.clear()
            self._keep(aggregate)
        self._project(recorded)
        for waiting in accepted:
            if waiting.command.stream_id in by_stream:
                self._settle(waiting, waiting.outcome)
        self._acknowledge()
        if recorded and self.on_change is not None:
            self.on_change()
        self._take_snapshots(changed)
        return self._again(overtaken)

    def _again(self, overtaken: list[_Waiting]) -> list[_Waiting]:
        again = []
        for waiting in overtaken:
            waiting.decisions += 1
            if waiting.decisions < MOST_DECISIONS:
                again.append(waiting)
            else:
                self._settle(waiting, Conflict([waiting.command.stream_id]))
        return again

    # --- deciding ---

    def _loaded(self, stream_ids: Sequence[UUID]) -> dict[UUID, Any]:
        streams: dict[UUID, Any] = {}
        missing = []
        for stream_id in dict.fromkeys(stream_ids):
            cached = self._cache.get(stream_id)
            if cached is None:
                missing.append(stream_id)
            else:
                streams[stream_id] = cached
        if missing:
            for stream_id, loaded in self._log.load(missing).items():
                streams[stream_id] = self._restored(stream_id, loaded)
        return streams

    def _restored(self, stream_id: UUID, loaded: Loaded) -> Any:
        """The aggregate, or the error that makes its stream unusable."""
        aggregate = loaded.snapshot.restore() if loaded.snapshot is not None else None  # type: ignore[attr-defined]
        self._snapshot_versions[stream_id] = loaded.snapshot.originator_version if loaded.snapshot else 0
        for _, event in loaded.events:
            if isinstance(event, EventUnreadable):
                return event
            try:
                aggregate = event.mutate(aggregate)
            except Exception as error:
                return EventUnreadable(stream_id, event.originator_version, event.topic, f"does not apply: {error!r}")
        return aggregate

    def _decide(self, waiting: _Waiting, streams: dict[UUID, Any]) -> bool:
        command = waiting.command
        aggregate = streams.get(command.stream_id)
        try:
            if isinstance(aggregate, EventUnreadable):
                raise aggregate
            if command.create is not None:
                if aggregate is None:
                    aggregate = command.create()
                elif not command.or_create:
                    raise Refused(command.stream_id, "exists already")
            elif aggregate is None:
                raise NotFound("task", str(command.stream_id))
            self._decide_on(aggregate, waiting, streams)
        except Exception as error:
            if not isinstance(error, DaybookError):
                _log.exception("decision_failed", stream=str(command.stream_id))
            self._settle(waiting, error)
            return False
        return True

    def _decide_on(self, aggregate: Any, waiting: _Waiting, streams: dict[UUID, Any]) -> None:
        stream_id, before = waiting.command.stream_id, len(aggregate.pending_events)
        new = streams.get(stream_id) is None
        try:
            waiting.outcome = waiting.command.decide(aggregate)
        except BaseException:
            if not new and len(aggregate.pending_events) != before:
                streams[stream_id] = self._undone(aggregate, before)
            raise
        streams[stream_id] = aggregate

    def _undone(self, aggregate: Any, keep: int) -> Any:
        """The aggregate without the events of a command refused half-way, but with those accepted before it."""
        accepted = aggregate.pending_events[:keep]
        self._cache.pop(aggregate.id, None)
        loaded = self._log.load([aggregate.id]).get(aggregate.id)
        fresh = self._restored(aggregate.id, loaded) if loaded is not None else None
        for event in accepted:
            fresh = event.mutate(fresh)
        if fresh is not None and not isinstance(fresh, EventUnreadable):
            fresh.pending_events.extend(accepted)
        return fresh

    # --- committing ---

    def _append(self, changed: Sequence[Any]) -> list[Recorded]:
        if not changed:
            return []
        appends = [Append(a.id, a.guild_id, list(a.pending_events)) for a in changed]
        events = [event for append in appends for event in append.events]
        try:
            positions = self._log.append(appends)
        except AppendUnknown:
            positions = self._found(appends)
        return [Recorded(position, event) for position, event in zip(positions, events, strict=True)]

    def _found(self, appends: Sequence[Append]) -> list[int]:
        """After a commit of unknown outcome: the positions, if the log turns out to hold exactly these events."""
        positions: list[int] = []
        for append in appends:
            first = append.events[0].originator_version
            stored = self._log.stream(append.stream_id, after_version=first - 1, limit=len(append.events))
            if [r.event for r in stored] != list(append.events):
                # A transaction is whole or absent, so nothing of it was written.
                raise StoreError("the store failed while writing; nothing was written, try again") from None
            positions.extend(r.position for r in stored)
        return positions

    def _keep(self, aggregate: Any) -> None:
        self._cache[aggregate.id] = aggregate
        self._cache.move_to_end(aggregate.id)
        while len(self._cache) > CACHED_STREAMS:
            stream_id, _ = self._cache.popitem(last=False)
            self._snapshot_versions.pop(stream_id, None)

    def _forget(self, stream_ids: Sequence[UUID]) -> None:
        for stream_id in stream_ids:
            self._cache.pop(stream_id, None)
            self._snapshot_versions.pop(stream_id, None)

    # --- acknowledging ---

    def _settle(self, waiting: _Waiting, outcome: Any) -> None:
        group = waiting.group
        group.outcomes[waiting.index] = outcome
        group.remaining -= 1
        if group.remaining == 0:
            self._settled.append(group)

    def _acknowledge(self) -> None:
        """Wake the callers whose commands are all settled, each event loop once."""
        settled, self._settled = self._settled, []
        by_loop: dict[asyncio.AbstractEventLoop | None, list[_Group]] = {}
        for group in settled:
            by_loop.setdefault(group.loop, []).append(group)
        for loop, groups in by_loop.items():
            if loop is None:
                _wake(groups)
            else:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_wake, groups)

    # --- read model and snapshots ---

    def _project(self, recorded: Sequence[Recorded]) -> None:
        if self._read_model is None or not recorded:
            return
        try:
            if recorded[0].position == self._read_model.position() + 1 and _contiguous(recorded):
                self._read_model.apply(recorded)
            else:
                self._see_others()
        except StoreError:
            # The log has it; the rows follow with the next commit or poll.
            _log.exception("read_model_behind", position=recorded[-1].position)

    def _see_others(self) -> int:
        if self._read_model is None:
            self._cache.clear()
            return 0
        before = self._read_model.position()

        def evict(chunk: Sequence[Recorded]) -> None:
            for _, event in chunk:
                cached = self._cache.get(_stream_of(event))
                if cached is not None and cached.version < _version_of(event):
                    self._forget([cached.id])

        self._read_model.catch_up(self._log, seen=evict)
        seen = self._read_model.position() - before
        if seen and self.on_change is not None:
            self.on_change()
        return seen

    def _take_snapshots(self, changed: Sequence[Any]) -> None:
        taken = []
        for aggregate in changed:
            if not isinstance(aggregate, ScheduledTask):
                continue
            if aggregate.version - self._snapshot_versions.get(aggregate.id, 0) >= SNAPSHOT_EVENTS:
                taken.append((aggregate.guild_id, snapshot_of(aggregate, fingerprint=self._fingerprint)))
                self._snapshot_versions[aggregate.id] = aggregate.version
        if not taken:
            return
        try:
            self._log.save_snapshots(taken)
        except StoreError:
            _log.exception("snapshots_not_saved", count=len(taken))


def _contiguous(recorded: Sequence[Recorded]) -> bool:
    return recorded[-1].position - recorded[0].position == len(recorded) - 1


def _stream_of(event: Any) -> UUID:
    return UUID(event.stream_id) if isinstance(event, EventUnreadable) else event.originator_id


def _version_of(event: Any) -> int:
    return event.version if isinstance(event, EventUnreadable) else event.originator_version


def _wake(groups: Sequence[_Group]) -> None:
    for group in groups:
        if not group.future.done():
            group.future.set_result(group.outcomes)
