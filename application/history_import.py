"""History out of a file into the log: read once to check and to plan, read again to write, all of it or nothing.

Memory grows with the number of tasks, not with the number of events. What the file says is folded as the store would
fold it, so that nothing is written that could not be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID, uuid5

from application.history_file import EventLine, Header, HistoryReader
from application.import_plan import Duplicates, ImportOptions, ImportPlan, Outcome, PlannedTask, planned
from application.ports import Append, Log, Recorded
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
_PROGRESS_EVENTS = 1_000
_BEGINNINGS = (facts.Created, GuildOpened, NodeStarted)
_COPIES = UUID("7d0b1a54-6f0f-4c86-9f43-3d1d1c6c7e2f")
"""Ids of copies are made from this and from what they are copies of."""


@dataclass(slots=True)
class Stream:
    """One stream of the file: what its events add up to, and where they go."""

    source: UUID
    target: UUID
    kind: str
    source_guild: str
    line: int
    renaming: Renaming
    state: Any = None
    version: int = 0
    outcome: Outcome = Outcome.NEW
    _hash: Any = field(default_factory=lambda: blake2b(digest_size=16))

    @property
    def is_task(self) -> bool:
        """Whether these are the events of a task."""
        return self.kind == "task"

    @property
    def guild_id(self) -> str:
        """Whose data key seals it."""
        return str(self.state.guild_id)

    @property
    def digest(self) -> bytes:
        """What tells one history from another."""
        return bytes(self._hash.digest())

    def take(self, line: EventLine) -> None:
        """One event more. Raises InvalidImport for one that does not follow, or does not apply."""
        event = self.renaming(line.event)
        place = f"line {line.number}"
        if event.originator_version != self.version + 1:
            raise InvalidImport(place, event.originator_version, f"is a version where {self.version + 1} must follow")
        if not event.topic.startswith(f"{self.kind}."):
            raise InvalidImport(place, event.topic, f"does not belong into the stream of a {self.kind}")
        definition = getattr(event, "definition", None)
        if self.state is not None and definition is not None and definition.guild_id != self.guild_id:
            raise InvalidImport(place, definition.guild_id, f"is another guild than {self.guild_id} before it")
        try:
            self.state = event.mutate(self.state)
        except Exception as error:
            # Whatever an event that no program wrote does to the state of a task: it is the file that is wrong.
            raise InvalidImport(place, event.topic, f"does not apply: {type(error).__name__}: {error}") from error
        self.version += 1
        self._hash.update(canonical(event))


def canonical(event: Event) -> bytes:
    """An event as bytes, equal for equal events, whatever stream or store they are in."""
    return event.topic.encode() + event.__pydantic_serializer__.to_json(
        event, exclude={"originator_id", "originator_version"}, exclude_none=True
    )


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
    ) -> None:
        self._log, self._lines, self._options = log, lines, options
        self._now, self._by, self._warn, self._progress, self._fresh = now, by, warn, progress, fresh
        self._streams: dict[UUID, Stream] = {}
        self._tail: list[Append] = []
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
        self._meet_what_is_here()
        self._check_erasures()
        tasks = [self._planned(stream) for stream in self._streams.values() if stream.is_task]
        return ImportPlan(tuple(tasks), tuple(self._notes), sum(s.version for s in self._written()), self._digest)

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
            stream = self._streams[event.originator_id] = self._begun(event, line.number)
        return stream

    def _begun(self, event: Event, number: int) -> Stream:
        source, target = event.originator_id, event.originator_id
        kind = event.topic.partition(".")[0]
        guild_id = event.definition.guild_id if isinstance(event, facts.Created) else getattr(event, "guild_id", "")
        own = {"guild": guild_stream, "node": node_stream}.get(kind)
        if own is not None and source != own(getattr(event, "node", guild_id)):
            raise InvalidImport(f"line {number}", str(source), f"is not the stream of that {kind}")
        if kind == "task" and self._options.new_ids:
            target = uuid5(self._fresh, str(source))
        return Stream(source, target, kind, guild_id, number, Renaming(source, target, self._options.guild_id))

    def _leave_out(self, left_out: dict[str, str]) -> None:
        # Copies, and tasks of another guild, come without the settings and the processes of where they are from.
        tasks_only = self._options.new_ids or self._options.guild_id is not None
        for stream in self._streams.values():
            if str(stream.source) in left_out or (tasks_only and not stream.is_task):
                stream.outcome = Outcome.LEFT_OUT
        if left_out:
            self._notes.append(f"{len(left_out)} streams could not be read where the file was made, and are left out")

    def _check_guild(self) -> None:
        guilds = sorted({stream.source_guild for stream in self._tasks()})
        if self._options.guild_id is not None and len(guilds) > 1:
            raise InvalidImport(
                "--guild", self._options.guild_id, f"cannot take {len(guilds)} guilds at once", "export them one by one"
            )

    # --- what is here already ---

    def _meet_what_is_here(self) -> None:
        streams = [s for s in self._streams.values() if s.outcome is Outcome.NEW]
        heads = self._log.heads([stream.target for stream in streams])
        for stream in streams:
            if (head := heads.get(stream.target)) is None:
                stream.outcome = Outcome.NEW_ID if stream.target != stream.source else Outcome.NEW
            elif head >= stream.version and self._begins_with(stream.target, stream):
                stream.outcome = Outcome.SAME
            elif stream.is_task:
                self._met(stream)
            else:
                stream.outcome = Outcome.SKIPPED
                if stream.kind == "guild":
                    self._notes.append(
                        f"guild {stream.guild_id or '(the service)'} keeps the settings that it has here"
                    )

    def _check_erasures(self) -> None:
        """Nothing comes into a guild that is being erased; what comes back into one that was erased is said."""
        for guild_id in sorted({stream.guild_id for stream in self._written()} - {""}):
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
        digest, read = blake2b(digest_size=16), 0
        while read < stream.version:
            page = self._log.stream(target, after_version=read, limit=min(_PAGE, stream.version - read))
            for _, event in page:
                if isinstance(event, EventUnreadable):
                    return False
                digest.update(canonical(event))
            read += len(page)
            if not page:
                return False
        return digest.digest() == stream.digest

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
        if not task.status.ended:
            task.cancel(now=self._now, by=self._by, reason="replaced by an import")
            self._tail.append(_append(task))

    def _loaded(self, stream_id: UUID) -> Any:
        """What the events of a stream that is here add up to; None for one that is not."""
        state: Any = None
        for _, event in self._stored(stream_id):
            if isinstance(event, EventUnreadable):
                state = None
            elif state is not None or event.begins_anew or isinstance(event, _BEGINNINGS):
                state = event.mutate(state)
        return state

    def _tasks(self) -> Iterable[Stream]:
        return [s for s in self._streams.values() if s.is_task and s.outcome is not Outcome.LEFT_OUT]

    def _written(self) -> list[Stream]:
        written = (Outcome.NEW, Outcome.NEW_ID, Outcome.REPLACED)
        return [stream for stream in self._streams.values() if stream.outcome in written]

    def _planned(self, stream: Stream) -> PlannedTask:
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
                f"is here already with another history (task {stream.target})",
                "choose what becomes of duplicates, or new ids",
            )
            one = replace(one, problem=problem)
        return one

    # --- the second reading ---

    def write(self, plan: ImportPlan) -> int:
        """Write what was planned in one transaction; returns how many events. Raises Conflict, StoreError."""
        plan.check()
        if not self._written():
            return 0
        return self._log.append_all(self._appends())

    def _appends(self) -> Iterator[Append]:
        written = {stream.source: stream for stream in self._written()}
        reader = HistoryReader(self._lines())
        header = reader.begin()
        for line in reader.events():
            stream = written.get(line.event.originator_id)
            if stream is not None:
                yield Append(stream.target, stream.guild_id, (stream.renaming(line.event),))
            self._told(reader.count, header, second=True)
        if reader.digest != self._digest:
            raise InvalidImport("file", reader.digest[:12], "changed while it was read", "import it again")
        yield from self._tail
        yield from self._closing(header, list(written.values()))

    def _closing(self, header: Header, written: list[Stream]) -> Iterator[Append]:
        """What the import itself has to say: which processes are not running here, and where all of this is from."""
        for stream in written:
            if stream.kind == "node" and stream.state.ended_at is None:
                stream.state.lose(now=self._now, last_seen=header.exported_at, noticed_by=self._by)
                yield _append(stream.state)
        for guild_id in dict.fromkeys(stream.guild_id for stream in written):
            mine = [stream for stream in written if stream.guild_id == guild_id]
            guild = next((stream.state for stream in mine if stream.kind == "guild"), None)
            guild = guild or self._loaded(guild_stream(guild_id)) or Guild.open(guild_id, now=self._now)
            guild.trigger_event(
                HistoryImported,
                timestamp=self._now,
                guild_id=guild_id,
                source_guild=mine[0].source_guild,
                digest=self._digest,
                exported_at=header.exported_at,
                tasks=sum(stream.is_task for stream in mine),
                events=sum(stream.version for stream in mine),
                new_ids=self._options.new_ids,
                by=self._by,
            )
            yield _append(guild)


def _append(aggregate: Any) -> Append:
    """What an aggregate has decided and nobody has written yet."""
    return Append(aggregate.id, aggregate.guild_id, tuple(aggregate.collect_events()))
