"""The one writer of this process: a thread that decides what waits, commits it together, and only then acknowledges."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

from application.ports import Append, Change, Command, Log, Recorded, StoredRow
from domain.errors import (
    AppendUnknown,
    Conflict,
    DaybookError,
    NotFound,
    Refused,
    StoreError,
    StoreUnavailable,
)
from domain.event import stream_text
from domain.task import ScheduledTask
from infrastructure.process import collect_young_garbage
from infrastructure.projector import Projector
from infrastructure.read_model import SqliteReadModel
from infrastructure.rows_apart import RowsApart
from infrastructure.stream_cache import Head, StreamCache
from infrastructure.waiting import Group, Waiting, Work, WorkQueue, new_streams, parts, wake

__all__ = ["LogWriter"]

MOST_COMMANDS = 2_000
"""At most this many commands share a transaction, so that one burst does not keep the next caller waiting."""

IDLE_SECONDS = 0.2
"""After this time without a command there is time for what can wait."""

EVENTS_OF_RUN = 2
"""A stream that was read ahead will soon have so many more: a run begins, and ends."""

MOST_DECISIONS = 10
"""A command that others keep overtaking is decided at most this often."""

T = TypeVar("T")

_log = logging.getLogger(__name__)


class LogWriter:
    """Commands in, durable events out, and rows behind them (application.ports.Writer).

    ``read_model`` is None in a process that only appends, beside a service that keeps the rows. ``apart`` is who makes
    them in a burst, if anybody else may.
    """

    def __init__(
        self,
        log: Log,
        read_model: SqliteReadModel | None,
        *,
        fingerprint: str,
        apart: RowsApart | None = None,
    ) -> None:
        self._log, self._read_model = log, read_model
        self._queue = WorkQueue()
        self._streams = StreamCache(log, fingerprint)
        self._projector = Projector(log, read_model, self._overtaken, apart)
        if read_model is not None:
            read_model.before_reading = self._projector.show
        self.position = 0
        self.idle = True
        self._foreseen = 0
        self._settled: list[Group] = []
        self._looking = ThreadPoolExecutor(1, "daybook-catch-up")
        self._looking.submit(int)  # its thread is there before there is any need
        self._thread = threading.Thread(target=self._serve, name="daybook-writer", daemon=True)
        self._thread.start()

    # --- for callers ---

    async def execute(self, command: Command) -> Any:
        """What ``decide`` returned, once it is durable, and seen by who reads here. Raises what it raised."""
        [outcome] = await self._asked([command])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """The outcome of each command, errors as values."""
        return await self._asked(commands) if commands else []

    async def execute_together(self, commands: Sequence[Command]) -> list[Any]:
        """The outcome of each command. When any is an error nothing was written, and those not refused have None."""
        return await self._asked(commands, whole=True) if commands else []

    def _asked(self, commands: Sequence[Command], whole: bool = False) -> asyncio.Future[list[Any]]:
        future = self._queue.ask(commands, asyncio.get_running_loop(), whole).future
        assert isinstance(future, asyncio.Future)
        return future

    def execute_now(self, commands: Sequence[Command], *, together: bool = False) -> list[Any]:
        """The same for callers without an event loop; blocks."""
        if not commands:
            return []
        group = self._queue.ask(commands, None, together)
        assert isinstance(group.future, Future)
        return group.future.result()

    def tell(self, on_change: Callable[[Change], None]) -> None:
        """Call this whenever rows have followed, in the thread that brought them."""
        self._projector.on_change = on_change

    @property
    def others(self) -> int:
        """How many events of others this process has come across."""
        return self._projector.others

    async def catch_up(self) -> int:
        """Bring the read model to the end of the log; returns how many events others had written."""
        if self._read_model is None:
            return await self._between(self._see_others)
        # All that this process committed before it has been added; commands go on while the rows follow.
        until = await self._between(self._log.last_position)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._looking, self._projector.catch_up, until)
        except RuntimeError as error:  # it was closed meanwhile
            raise StoreError("the store is closed") from error

    async def prepare(self, stream_ids: Sequence[UUID]) -> int:
        """Have streams and their rows in memory before they are decided on; returns how many streams were not."""
        return await self._between(lambda: self._prepare(stream_ids))

    def _prepare(self, stream_ids: Sequence[UUID]) -> int:
        missing = self._streams.prepare(stream_ids)
        self._foreseen += missing
        if missing:
            self._projector.prepare([stream_text(stream_id) for stream_id in stream_ids])
        return missing

    async def _between(self, call: Callable[[], T]) -> T:
        """What a call gives that is made in the writer's thread, between two batches."""
        done: Future[T] = Future()

        def work() -> None:
            if not done.set_running_or_notify_cancel():
                return  # nobody waits any more
            try:
                done.set_result(call())
            except BaseException as error:
                done.set_exception(error)

        self._queue.put(work)
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """Write what waits, then stop. Idempotent."""
        self._queue.end()
        self._thread.join()
        self._looking.shutdown()

    # --- the thread ---

    def _serve(self) -> None:
        work = self._next()
        while work is not None:
            if callable(work):
                work()
                work = self._next()
            else:
                work = self._serve_with_more(work)
        self._projector.close()

    def _serve_with_more(self, work: Work) -> Work:
        """Serve these commands and all that wait behind them; returns the work that comes then."""
        self.idle = False
        batch: list[Waiting] = []
        while isinstance(work, list) and work:
            batch.extend(work)
            work = self._queue.take(0) if len(batch) < MOST_COMMANDS else []
        for part in parts(batch):
            self._serve_batch(part)
        if len(batch) == 1:  # whoever comes alone comes again soon, or not; a burst would wait for it
            with suppress(StoreError):
                self._log.keep_room()
        return self._next() if work == [] else work

    def _next(self) -> Work:
        """What comes next. Where nothing does for a while, there is time to collect garbage, to tidy up the log, and to
        keep the states of tasks that have grown.
        """
        if (work := self._queue.take(IDLE_SECONDS)) != []:
            return work
        self.idle = True
        collect_young_garbage()
        expected, self._foreseen = self._foreseen * EVENTS_OF_RUN, 0
        with suppress(StoreError):  # what it could not do now a commit does
            self._log.tidy_up(expected)
        while self._streams.has_grown():
            self._streams.take_idle_snapshots()
            if (work := self._queue.take(0)) != []:
                return work
        return self._queue.take()

    def _serve_batch(self, batch: list[Waiting]) -> None:
        whole = batch[0].group.whole
        while batch:
            waiting = batch
            try:
                batch = self._attempt_whole(waiting) if whole else self._attempt(waiting)
            except StoreError as error:
                batch = self._given_up(waiting, error)
            except BaseException as error:  # a bug must reach its caller, and neither the others nor this thread
                _log.exception("write_failed", extra={"commands": len(waiting)})
                left = [w for w in waiting if not w.settled]
                self._streams.forget([w.stream for w in waiting])
                if len(left) > 1 and not whole:
                    for alone in left:
                        self._serve_batch([alone])
                    batch = []
                else:
                    batch = self._given_up(waiting, error)
            self._acknowledge()

    def _given_up(self, batch: list[Waiting], error: BaseException) -> list[Waiting]:
        """Nothing of this batch was written, or nobody knows: tell the callers that wait."""
        self._streams.forget([w.stream for w in batch])
        for waiting in batch:
            if not waiting.settled:
                self._settle(waiting, error)
        return []

    def _attempt(self, batch: list[Waiting]) -> list[Waiting]:
        """Decide and commit; returns the commands to be decided again because others were first.

        What it raises, it raises before the commit: from there on commands count as done, whatever else goes wrong.
        """
        streams, cached = self._streams.load([w.stream for w in batch], new_streams(batch))
        accepted = [w for w in batch if self._decide(w, streams)]
        stale: set[int] = set()
        if len(accepted) < len(batch):
            stale = self._settle_refused([w for w in batch if w.refusal is not None], cached)
            self._leave(stale, streams)
            for waiting in accepted:
                if isinstance(error := streams.get(waiting.stream), StoreError):
                    self._given_up([waiting], error)
        while True:
            changed = _with_events(streams)
            try:
                recorded, stored = self._append(changed)
                break
            except Conflict as conflict:
                more = {UUID(str(stream_id)).int for stream_id in conflict.stream_ids} & streams.keys()
                if not more:
                    raise
                self._leave(more, streams)
                stale |= more
        self._kept(changed)
        done = [w for w in accepted if not w.settled]
        if stale:
            done = [w for w in done if w.stream not in stale]
        self._committed(recorded, stored, changed, done)
        return self._again([w for w in batch if not w.settled])

    def _leave(self, stale: Iterable[int], streams: dict[int, Any]) -> None:
        """Take streams that others have moved on out of this batch."""
        self._streams.forget(stale)
        for stream_id in stale:
            streams.pop(stream_id, None)

    def _attempt_whole(self, batch: list[Waiting]) -> list[Waiting]:
        """The same for commands that are written together or not at all."""
        stream_ids = [w.stream for w in batch]
        streams, cached = self._streams.load(stream_ids, new_streams(batch))
        refused = [w for w in batch if not self._decide(w, streams)]
        if refused:
            self._streams.forget(stream_ids)  # they hold what the others decided
            stale = self._moved_on(refused, cached)
            for waiting in batch:
                refusal, waiting.refusal = waiting.refusal, None
                if not stale:
                    self._settle(waiting, refusal)
            return self._again(batch) if stale else []
        changed = _with_events(streams)
        try:
            recorded, stored = self._append(changed)
        except Conflict:
            self._streams.forget(stream_ids)
            return self._again(batch)
        self._kept(changed)
        self._committed(recorded, stored, changed, batch)
        return []

    def _kept(self, changed: list[Any]) -> None:
        for aggregate in changed:
            aggregate.pending_events.clear()
            self._streams.keep(aggregate)

    def _committed(
        self, recorded: list[Recorded], stored: Sequence[StoredRow], changed: list[Any], commands: list[Waiting]
    ) -> None:
        self._projector.add(recorded, stored, awaited=any([w.command.awaited for w in commands]))
        if recorded:
            self.position = recorded[-1].position
        if {type(aggregate) for aggregate in changed} - {ScheduledTask}:
            self._projector.show()  # what holds for all tasks, as settings do, is read without waiting
        for waiting in commands:
            self._settle(waiting, waiting.outcome)
        self._acknowledge()
        self._projector.keep_up()
        self._streams.take_snapshots(changed)

    def _settle_refused(self, refused: Sequence[Waiting], cached: Mapping[int, int]) -> set[int]:
        """Tell the refused; but not those refused on a state that others have moved on since: returns its streams."""
        stale = self._moved_on(refused, cached)
        for waiting in refused:
            refusal, waiting.refusal = waiting.refusal, None
            if waiting.stream not in stale:
                self._settle(waiting, refusal)
        return stale

    def _moved_on(self, refused: Sequence[Waiting], cached: Mapping[int, int]) -> set[int]:
        # A refusal writes nothing, so no expected version would have told.
        doubtful = {w.stream: w.command.stream_id for w in refused if w.stream in cached}
        heads = self._log.heads(list(doubtful.values())) if doubtful else {}
        return {stream for stream, stream_id in doubtful.items() if heads.get(stream_id, 0) != cached[stream]}

    def _again(self, overtaken: list[Waiting]) -> list[Waiting]:
        again = []
        for waiting in overtaken:
            waiting.decisions += 1
            if waiting.decisions < MOST_DECISIONS:
                again.append(waiting)
            else:
                self._settle(waiting, Conflict([waiting.command.stream_id]))
        return again

    # --- deciding ---

    def _decide(self, waiting: Waiting, streams: dict[int, Any]) -> bool:
        command = waiting.command
        known = streams.get(waiting.stream)
        try:
            if isinstance(known, StoreError):
                raise known
            if command.create is None:
                if known is None:
                    raise NotFound("task", str(command.stream_id))
            elif known is not None and not command.or_create:
                raise Refused(command.stream_id, "exists already")
            self._decide_on(known, waiting, streams)
        except Exception as error:
            if not isinstance(error, DaybookError):
                _log.exception("decision_failed", extra={"stream": str(command.stream_id)})
            waiting.refusal = error
            return False
        return True

    def _decide_on(self, known: Any, waiting: Waiting, streams: dict[int, Any]) -> None:
        command = waiting.command
        if known is None:
            assert command.create is not None
            created = command.create()
            waiting.outcome = command.decide(created)
            streams[waiting.stream] = created
            return
        before = len(known.pending_events)
        try:
            waiting.outcome = command.decide(known)
        except BaseException:
            if len(known.pending_events) != before:
                streams[waiting.stream] = self._streams.undone(known, before)
            raise

    # --- committing ---

    def _append(self, changed: Sequence[Any]) -> tuple[list[Recorded], Sequence[StoredRow]]:
        """The events of these aggregates as they stand in the log now, and as they are stored, where that is known."""
        if not changed:
            return [], ()
        appends = [Append(a.id, a.guild_id, list(a.pending_events)) for a in changed]
        events = [event for append in appends for event in append.events]
        try:
            stored = self._log.append(appends)
        except AppendUnknown:
            return [Recorded(position, event) for position, event in zip(self._found(appends), events, strict=True)], ()
        return [Recorded(row.position, event) for row, event in zip(stored, events, strict=True)], stored

    def _found(self, appends: Sequence[Append]) -> list[int]:
        """After a commit of unknown outcome: the positions, if the log turns out to hold exactly these events."""
        positions: list[int] = []
        for append in appends:
            first = append.events[0].originator_version
            try:
                stored = self._log.stream(append.stream_id, after_version=first - 1, limit=len(append.events))
            except StoreUnavailable as error:
                raise AppendUnknown(f"{error}; whether the last commands were written is unknown") from error
            if [r.event for r in stored] != list(append.events):
                # A transaction is whole or absent, so nothing of it was written.
                raise StoreError("the store failed while writing; nothing was written, try again") from None
            positions.extend(r.position for r in stored)
        return positions

    # --- acknowledging ---

    def _settle(self, waiting: Waiting, outcome: Any) -> None:
        group, waiting.settled = waiting.group, True
        group.outcomes[waiting.index] = outcome
        group.remaining -= 1
        if group.remaining == 0:
            self._settled.append(group)

    def _acknowledge(self) -> None:
        """Wake the callers whose commands are all settled, each event loop once."""
        settled, self._settled = self._settled, []
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Group]] = {}
        for group in settled:
            by_loop.setdefault(group.loop, []).append(group)
        for loop, groups in by_loop.items():
            if loop is None:
                wake(groups)
            else:
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(wake, groups)

    # --- read model ---

    def _overtaken(self, heads: list[Head]) -> None:
        """Others have written these. Whoever found them, the streams in memory are this thread's."""
        if threading.current_thread() is self._thread:
            self._streams.overtaken(heads)
            return
        with suppress(StoreError):  # it is closed
            self._queue.put(lambda: self._streams.overtaken(heads))

    def _see_others(self) -> int:
        if self._read_model is None:
            self._streams.clear()
            return 0
        return self._projector.catch_up(self._log.last_position())


def _with_events(streams: Mapping[int, Any]) -> list[Any]:
    """The aggregates that something was decided on."""
    return [a for a in streams.values() if a is not None and not isinstance(a, StoreError) and a.pending_events]
