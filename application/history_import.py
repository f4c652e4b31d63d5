"""History out of a file into the log: read once to check and to plan, read again to write, all of it or nothing.

Memory grows neither with the number of events nor with that of tasks. What the file says is folded as the store would
fold it, so that nothing is written that could not be loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID, uuid5

from application.history_file import EventLine, Header, HistoryReader, is_id
from application.import_plan import Duplicates, ImportOptions, ImportPlan, Outcome, PlannedTask, ShelvedTasks, planned
from application.import_streams import Stream, Streams, chained
from application.ports import Append, Log, Recorded, Spill
from application.renaming import Renaming
from domain import task_events as facts
from domain.definition import TaskDefinition
from domain.errors import EventUnreadable, InvalidImport
from domain.event import Event
from domain.guild import Guild, GuildOpened, guild_stream
from domain.guild_erasure import Erased
from domain.guild_imports import HistoryImported
from domain.identity import short_id
from domain.node import NodeStarted, node_stream
from domain.task import ScheduledTask

__all__ = ["HistoryImport", "Lines"]

Lines = Callable[[], Iterator[bytes]]
"""Opens the file anew and gives its lines, each with its line feed."""

_PAGE = 1_000
_MET_AT_ONCE = 200
_PROGRESS_EVENTS = 1_000
_BEGINNINGS = (facts.Created, GuildOpened, NodeStarted)
_COPIES = UUID("7d0b1a54-6f0f-4c86-9f43-3d1d1c6c7e2f")
"""Ids of copies are made from this and from what they are copies of."""


@dataclass(slots=True)
class Share:
    """What is written into one guild."""

    source_guild: str
    tasks: int = 0
    events: int = 0


class HistoryImport:
    """One import. ``progress`` is told (events done, events expected), of both readings together."""

    def __init__(
        self,
        log: Log,
        lines: Lines,
        options: ImportOptions,
        *,
        now: datetime,
        by: str,
        warn: Callable[[TaskDefinition], Sequence[str]] = lambda definition: (),
        progress: Callable[[int, int], None] = lambda done, total: None,
        fresh: UUID = _COPIES,
        spill: Spill = dict,
    ) -> None:
        self._log, self._lines, self._options = log, lines, options
        self._now, self._by, self._warn, self._progress, self._fresh = now, by, warn, progress, fresh
        self._streams, self._planned_tasks = Streams(spill()), ShelvedTasks(spill())
        self._guilds: Counter[str] = Counter()
        self._shares: dict[str, Share] = {}
        self._notes: list[str] = []
        self._digest = ""
        self._events = 0

    # --- the first reading ---

    def plan(self) -> ImportPlan:
        """Read and check the whole file; what would be done. Writes nothing. Raises InvalidImport."""
        reader = HistoryReader(self._lines())
        header = reader.begin()
        for line in reader.events():
            self._stream_of(line).take(line)
            self._told(reader.count, header)
        self._digest, self._events = reader.digest, reader.count
        self._leave_out(reader.left_out)
        self._check_guild()
        for streams in _pages(self._streams):
            self._meet_what_is_here(streams)
        self._check_erasures()
        events = sum(share.events for share in self._shares.values())
        return ImportPlan(self._planned_tasks, tuple(self._notes), events, self._digest)

    def _told(self, done: int, header: Header, *, second: bool = False) -> None:
        if done % _PROGRESS_EVENTS == 0:
            total = self._events or max(header.expected_events, done)
            self._progress(done + (total if second else 0), 2 * total)

    def _stream_of(self, line: EventLine) -> Stream:
        event = line.event
        stream = self._streams.get(event.originator_id)
        if stream is None:
            if not isinstance(event, _BEGINNINGS):
                raise InvalidImport(f"line {line.number}", event.topic, "is of a stream whose beginning is not there")
            stream = self._begun(event, line.number)
            self._streams.add(stream)
            if stream.is_task:
                self._guilds[stream.source_guild] += 1
        return stream

    def _begun(self, event: Event, number: int) -> Stream:
        source, target = event.originator_id, event.originator_id
        kind = event.topic.partition(".")[0]
        guild_id = event.definition.guild_id if isinstance(event, facts.Created) else getattr(event, "guild_id", "")
        own = {"guild": guild_stream, "node": node_stream}.get(kind)
        if own is not None and source != own(getattr(event, "node", guild_id)):
            raise InvalidImport(f"line {number}", str(source), f"is not the stream of that {kind}")
        into = guild_id
        if kind == "task":
            into = guild_id if self._options.guild_id is None else self._options.guild_id
            target = self._target(source)
        renaming = Renaming(source, target, self._options.guild_id)
        return Stream(source, target, kind, guild_id, into, number, renaming)

    def _target(self, source: UUID) -> UUID:
        return uuid5(self._fresh, str(source)) if self._options.new_ids else source

    def _leave_out(self, left_out: dict[str, str]) -> None:
        for text in left_out:
            stream = self._streams.get(UUID(text)) if is_id(text) else None
            if stream is not None:
                stream.outcome = Outcome.LEFT_OUT
                self._guilds[stream.source_guild] -= stream.is_task
        if self._options.new_ids or self._options.guild_id is not None:
            # Copies, and tasks of another guild, come without the settings and the processes of where they are from.
            for stream in self._streams.others:
                stream.outcome = Outcome.LEFT_OUT
        if left_out:
            self._notes.append(f"{len(left_out)} streams could not be read where the file was made, and are left out")

    def _check_guild(self) -> None:
        guilds = +self._guilds
        if self._options.guild_id is not None and len(guilds) > 1:
            raise InvalidImport(
                "--guild", self._options.guild_id, f"cannot take {len(guilds)} guilds at once", "export them one by one"
            )

    # --- what is here already ---

    def _meet_what_is_here(self, streams: Sequence[Stream]) -> None:
        """Decide what becomes of each, count it, and forget the state of tasks: nobody asks for it again."""
        heads = self._log.heads([stream.target for stream in streams])
        for stream in streams:
            if stream.outcome is Outcome.NEW:
                self._decide(stream, heads.get(stream.target))
            if stream.is_written:
                share = self._shares.setdefault(stream.guild_id, Share(stream.source_guild))
                share.tasks += stream.is_task
                share.events += stream.version
            if stream.is_task:
                self._planned_tasks.append(self._planned(stream, heads.get(stream.target)))
                stream.state = None
            self._streams.put(stream)

    def _decide(self, stream: Stream, head: int | None) -> None:
        if head is None:
            stream.outcome = Outcome.NEW_ID if stream.target != stream.source else Outcome.NEW
        elif head >= stream.version and self._begins_with(stream.target, stream):
            stream.outcome = Outcome.SAME
        elif stream.is_task:
            self._met(stream)
        else:
            stream.outcome = Outcome.SKIPPED
            if stream.kind == "guild":
                self._notes.append(f"guild {stream.guild_id or '(the service)'} keeps the settings that it has here")

    def _check_erasures(self) -> None:
        """Nothing comes into a guild that is being erased; what comes back into one that was erased is said."""
        for guild_id in sorted(self._shares.keys() - {""}):
            guild = self._loaded(guild_stream(guild_id))
            if guild is None:
                continue
            if guild.erasing:
                raise InvalidImport("guild_id", guild_id, "is being erased here", "import it when that is done")
            if self._was_erased(guild_id):
                self._notes.append(f"guild {guild_id} was erased here: this brings back what the file holds of it")

    def _was_erased(self, guild_id: str) -> bool:
        return any(isinstance(event, Erased) for _, event in self._stored(guild_stream(guild_id)))

    def _stored(self, stream_id: UUID) -> Iterator[Recorded]:
        """All that is here of a stream, page by page."""
        read = 0
        while page := self._log.stream(stream_id, after_version=read, limit=_PAGE):
            yield from page
            read += len(page)

    def _begins_with(self, target: UUID, stream: Stream) -> bool:
        """Whether the stream that is here begins with exactly the events of the file."""
        digest, read = b"", 0
        while read < stream.version:
            page = self._log.stream(target, after_version=read, limit=min(_PAGE, stream.version - read))
            for _, event in page:
                if isinstance(event, EventUnreadable):
                    return False
                digest = chained(digest, event)
            read += len(page)
            if not page:
                return False
        return digest == stream.digest

    def _met(self, stream: Stream) -> None:
        match self._options.duplicates or Duplicates.REFUSE:
            case Duplicates.SKIP:
                stream.outcome = Outcome.SKIPPED
            case Duplicates.REFUSE:
                stream.outcome = Outcome.REFUSED
            case Duplicates.REPLACE:
                self._replace(stream)

    def _replace(self, stream: Stream) -> None:
        """A log loses nothing: the task that is here ends, and the one of the file comes under another id."""
        here = stream.target
        stream.target = uuid5(here, self._digest)
        stream.renaming = Renaming(stream.source, stream.target, self._options.guild_id)
        if self._log.heads([stream.target]):
            stream.outcome = Outcome.SAME
            return
        stream.outcome = Outcome.REPLACED
        task = self._loaded(here)
        if not isinstance(task, ScheduledTask) or task.guild_id != stream.guild_id:
            raise InvalidImport(
                f"line {stream.line}", str(here), "is the id of another guild's task here", "import with --new-ids"
            )

    def _loaded(self, stream_id: UUID) -> Any:
        """What the events of a stream that is here add up to; None for one that is not."""
        state: Any = None
        for _, event in self._stored(stream_id):
            if isinstance(event, EventUnreadable):
                state = None
            elif state is not None or event.begins_anew or isinstance(event, _BEGINNINGS):
                state = event.mutate(state)
        return state

    def _planned(self, stream: Stream, head: int | None) -> PlannedTask:
        task, place = stream.state, f"line {stream.line}"
        warnings = list(self._warn(task.definition)) if not task.status.ended else [f"it is {task.status.value}"]
        if stream.outcome is Outcome.NEW_ID or stream.outcome is Outcome.REPLACED:
            warnings.insert(0, f"id {short_id(str(stream.source))} becomes {short_id(str(stream.target))}")
        if running := [run for run in task.open_runs.values() if run.owner is not None]:
            warnings.append(f"{len(running)} runs were under way: they are interrupted here, and start again")
        one = planned(
            place,
            task.definition,
            stream.outcome,
            now=self._now,
            task_id=str(stream.target),
            next_slot=task.next_slot if task.is_active else None,
            events=stream.version,
            warnings=warnings,
        )
        if not task.is_active:
            one = replace(one, next_slot=None)
        if stream.outcome is Outcome.REFUSED:
            problem = InvalidImport(
                place,
                task.definition.name,
                f"is here already with {_other(head or 0, stream.version)} (task {stream.target})",
                "choose what becomes of duplicates, or new ids",
            )
            one = replace(one, problem=problem)
        return one

    # --- the second reading ---

    def write(self, plan: ImportPlan) -> int:
        """Write what was planned in one transaction; returns how many events. Raises Conflict, StoreError."""
        plan.check()
        return self._log.append_all(self._appends()) if self._shares else 0

    def _appends(self) -> Iterator[Append]:
        reader = HistoryReader(self._lines())
        header = reader.begin()
        for line in reader.events():
            stream = self._streams.get(line.event.originator_id)
            if stream is not None and stream.is_written:
                yield Append(stream.target, stream.guild_id, (stream.renaming(line.event),))
            self._told(reader.count, header, second=True)
        if reader.digest != self._digest:
            raise InvalidImport("file", reader.digest[:12], "changed while it was read", "import it again")
        yield from self._ends_of_the_replaced()
        yield from self._closing(header)

    def _ends_of_the_replaced(self) -> Iterator[Append]:
        if self._options.duplicates is not Duplicates.REPLACE:
            return
        for stream in self._streams:
            if stream.outcome is Outcome.REPLACED:
                task = self._loaded(self._target(stream.source))
                if not task.status.ended:
                    task.cancel(now=self._now, by=self._by, reason="replaced by an import")
                    yield _append(task)

    def _closing(self, header: Header) -> Iterator[Append]:
        """What the import itself has to say: which processes are not running here, and where all of this is from."""
        others = [stream for stream in self._streams.others if stream.is_written]
        for stream in others:
            if stream.kind == "node" and stream.state.ended_at is None:
                stream.state.lose(now=self._now, last_seen=header.exported_at, noticed_by=self._by)
                yield _append(stream.state)
        guilds = {stream.guild_id: stream.state for stream in others if stream.kind == "guild"}
        for guild_id, share in self._shares.items():
            guild = guilds.get(guild_id) or self._loaded(guild_stream(guild_id)) or Guild.open(guild_id, now=self._now)
            guild.trigger_event(
                HistoryImported,
                timestamp=self._now,
                guild_id=guild_id,
                source_guild=share.source_guild,
                digest=self._digest,
                exported_at=header.exported_at,
                tasks=share.tasks,
                events=share.events,
                new_ids=self._options.new_ids,
                by=self._by,
            )
            yield _append(guild)


def _pages(streams: Streams) -> Iterator[list[Stream]]:
    left = iter(streams)
    while page := list(islice(left, _MET_AT_ONCE)):
        yield page


def _other(here: int, there: int) -> str:
    """What is known of a history that is not that of the file."""
    if here < there:
        return f"{here} events, and {there} in the file: an older state of it, or another history"
    return "another history"


def _append(aggregate: Any) -> Append:
    """What an aggregate has decided and nobody has written yet."""
    return Append(aggregate.id, aggregate.guild_id, tuple(aggregate.collect_events()))
