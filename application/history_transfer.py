"""Export and import of whole histories through the log: one task, one guild, or everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID, uuid4

from application.history_file import EVERYTHING, Header, HistoryWriter, Scope, is_id
from application.history_import import HistoryImport, Lines
from application.import_plan import AS_IT_IS, ImportOptions, ImportPlan
from application.ports import Clock, Log, Recorded, Spill, Writer
from application.queries import MOST_LISTED, Queries
from domain.definition import TaskDefinition
from domain.errors import Conflict, DaybookError, EventUnreadable, Forbidden, StoreError
from domain.event import Event
from domain.guild import guild_stream
from domain.principal import SYSTEM, Principal

__all__ = ["HistoryExport", "HistoryTransfer"]

_PAGE = 1_000

Progress = Callable[[int, int], None]


class HistoryExport:
    """An export that is under way: its lines, and, when they have come to their end, what was written.

    It holds the log as it was at one position: what is appended meanwhile is not in it.
    """

    def __init__(self, log: Log, header: Header, streams: frozenset[UUID] | None, end: int, progress: Progress) -> None:
        self.header = header
        self._log, self._streams, self._end, self._progress = log, streams, end, progress
        self._writer = HistoryWriter(header)

    def lines(self) -> Iterator[bytes]:
        """Every line of the file, in bounded memory. StoreError from the log."""
        return self._writer.lines(self._events())

    @property
    def events(self) -> int:
        """How many events were written."""
        return self._writer.events

    @property
    def tasks(self) -> int:
        """How many tasks were written."""
        return len(self._writer.tasks - {UUID(stream) for stream in self._writer.left_out if is_id(stream)})

    @property
    def left_out(self) -> dict[str, str]:
        """The streams that cannot be read, each with the reason; most were erased on purpose."""
        return self._writer.left_out

    @property
    def lost(self) -> set[str]:
        """Those of them that nobody erased: a newer program wrote them, or they are damaged."""
        return self._writer.lost

    def _events(self) -> Iterator[Event | EventUnreadable]:
        for position, event in self._pages():
            if position % _PAGE == 0:
                self._progress(position, self._end)
            if self._streams is None or _stream_of(event) in self._streams:
                yield event

    def _pages(self) -> Iterator[Recorded]:
        if self._streams is not None and len(self._streams) == 1:
            yield from self._one_stream(next(iter(self._streams)))
            return
        position = 0
        while position < self._end and (page := self._log.read(position, _PAGE)):
            yield from (one for one in page if one.position <= self._end)
            position = page[-1].position

    def _one_stream(self, stream: UUID) -> Iterator[Recorded]:
        version = 0
        while page := self._log.stream(stream, after_version=version, limit=_PAGE):
            yield from (one for one in page if one.position <= self._end)
            version += len(page)


def _stream_of(event: Event | EventUnreadable) -> UUID | None:
    if isinstance(event, Event):
        return event.originator_id
    return UUID(event.stream_id) if is_id(event.stream_id) else None


def _no_progress(done: int, total: int) -> None:
    """Nobody watches."""


class HistoryTransfer:
    """Whole histories out of this store, and into it."""

    def __init__(
        self,
        *,
        log: Log,
        writer: Writer,
        queries: Queries,
        clock: Clock,
        spill: Spill,
        warn: Callable[[TaskDefinition], Sequence[str]] = lambda definition: (),
    ) -> None:
        self._log, self._writer, self._queries, self._clock, self._warn = log, writer, queries, clock, warn
        self._spill = spill

    def export(
        self, scope: Scope = EVERYTHING, *, principal: Principal = SYSTEM, progress: Progress = _no_progress
    ) -> HistoryExport:
        """An export of this scope as of now. Raises TaskNotFound, NotFound for what the principal may not see."""
        if principal.guild_id is not None and scope == EVERYTHING:
            scope = Scope(guild_id=principal.guild_id)
        streams, tasks, events = self._scoped(scope, principal)
        end = self._log.last_position()
        header = Header(scope, self._clock.now(), tasks, end if events is None else events)
        return HistoryExport(self._log, header, streams, end, progress)

    def _scoped(self, scope: Scope, principal: Principal) -> tuple[frozenset[UUID] | None, int, int | None]:
        """The streams of a scope (None for all), how many tasks they are, and about how many events."""
        if scope.task_id is not None:
            task = self._queries.task(scope.task_id, principal=principal)
            return frozenset({UUID(task.task_id)}), 1, task.version
        if scope.guild_id is None:
            return None, sum(self._queries.counts(principal=principal).values()), None
        self._queries.guild(scope.guild_id, principal=principal)
        streams, events = {guild_stream(scope.guild_id)}, 0
        while page := self._queries.tasks(
            guild_id=scope.guild_id, archived=True, limit=MOST_LISTED, offset=len(streams) - 1, principal=principal
        ):
            streams.update(UUID(task.task_id) for task in page)
            events += sum(task.version for task in page)
        return frozenset(streams), len(streams) - 1, events

    async def import_file(
        self,
        lines: Lines,
        options: ImportOptions = AS_IT_IS,
        *,
        dry_run: bool = False,
        principal: Principal = SYSTEM,
        progress: Progress = _no_progress,
    ) -> ImportPlan:
        """Read a file and put all of it into the log in one transaction, or nothing; returns what was done.

        ``lines`` opens the file; it is read twice. With ``dry_run`` nothing is written, and mistakes are in the plan
        instead of being raised. Raises InvalidImport, Forbidden, StoreError.
        """
        if principal.guild_id is not None or not principal.manages(""):
            raise Forbidden("only the operator imports history: it says what happened, and who did it")
        work = HistoryImport(
            self._log,
            lines,
            options,
            now=self._clock.now(),
            by=principal.reference,
            warn=self._warn,
            progress=progress,
            fresh=uuid4(),
            spill=self._spill,
        )
        plan = await asyncio.to_thread(work.plan)
        if dry_run:
            return plan
        try:
            await asyncio.to_thread(work.write, plan)
        except Conflict as error:
            raise StoreError(f"the store was written to meanwhile ({error}); nothing was written, try again") from None
        except ValueError as error:
            if isinstance(error, DaybookError):
                raise
            raise StoreError(f"{error}; nothing was written") from error
        await self._writer.catch_up()
        return plan
