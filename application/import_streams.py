"""The streams of a file that is imported: what their events add up to, and where they go.

A file may be about more tasks than fit into memory. Those that its last lines were about are held as they are, all
others as the few hundred bytes of a snapshot, in a mapping that is on the disk.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from uuid import UUID

from application.history_file import EventLine
from application.import_plan import Outcome
from application.renaming import Renaming
from domain.errors import InvalidImport
from domain.event import Event
from domain.task_snapshot import TaskSnapshot, snapshot_of

__all__ = ["Stream", "Streams", "chained"]

MOST_HELD = 5_000
"""So many tasks are held as they are, at some 10 KB each."""


@dataclass(slots=True)
class Stream:
    """One stream of the file. ``state`` is what its events add up to; it is forgotten when nobody needs it any more.

    ``packed`` is how it lay on the shelf: one that is the same when it goes back stays there as it is.
    """

    source: UUID
    target: UUID
    kind: str
    source_guild: str
    guild_id: str
    line: int
    renaming: Renaming
    state: Any = None
    version: int = 0
    outcome: Outcome = Outcome.NEW
    digest: bytes = b""
    packed: bytes = b""

    @property
    def is_task(self) -> bool:
        """Whether these are the events of a task."""
        return self.kind == "task"

    @property
    def is_written(self) -> bool:
        """Whether its events go into the log."""
        return self.outcome in (Outcome.NEW, Outcome.NEW_ID, Outcome.REPLACED)

    def take(self, line: EventLine) -> None:
        """One event more. Raises InvalidImport for one that does not follow, or does not apply."""
        event = self.renaming(line.event)
        place = f"line {line.number}"
        if event.originator_version != self.version + 1:
            raise InvalidImport(place, event.originator_version, f"is a version where {self.version + 1} must follow")
        if not event.topic.startswith(f"{self.kind}."):
            raise InvalidImport(place, event.topic, f"does not belong into the stream of a {self.kind}")
        definition = getattr(event, "definition", None)
        if definition is not None and definition.guild_id != self.guild_id:
            raise InvalidImport(place, definition.guild_id, f"is another guild than {self.guild_id} before it")
        try:
            self.state = event.mutate(self.state)
        except Exception as error:
            # Whatever an event that no program wrote does to the state of a task: it is the file that is wrong.
            raise InvalidImport(place, event.topic, f"does not apply: {type(error).__name__}: {error}") from error
        self.version += 1
        self.digest = chained(self.digest, event)


def chained(digest: bytes, event: Event) -> bytes:
    """What tells one history from another: a hash of an event and of all before it, whatever stream they are in."""
    text = event.topic.encode() + event.__pydantic_serializer__.to_json(
        event, exclude={"originator_id", "originator_version"}, exclude_none=True
    )
    return blake2b(digest + text, digest_size=16).digest()


@dataclass(slots=True)
class Streams:
    """All streams of a file by their ids in it. ``shelf`` keeps the tasks that are not held; the others always are."""

    shelf: MutableMapping[bytes, bytes]
    _held: dict[UUID, Stream] = field(default_factory=dict)
    _others: dict[UUID, Stream] = field(default_factory=dict)

    def add(self, stream: Stream) -> None:
        """One stream more; they keep the order in which they came."""
        if not stream.is_task:
            self._others[stream.source] = stream
            return
        self.shelf[stream.source.bytes] = b""
        self.put(stream)

    def get(self, source: UUID) -> Stream | None:
        """The stream of this id, to be read, and changed before another one is asked for; later changes are ``put``."""
        if (other := self._others.get(source)) is not None:
            return other
        if (held := self._held.pop(source, None)) is not None:
            self._held[source] = held
            return held
        packed = self.shelf.get(source.bytes)
        if packed is None:
            return None
        stream = _unpacked(source, packed)
        self.put(stream)
        return stream

    def __iter__(self) -> Iterator[Stream]:
        """Every one as ``get`` gives it: guilds and processes, then tasks."""
        yield from list(self._others.values())
        for key in self.shelf:
            stream = self.get(UUID(bytes=key))
            assert stream is not None
            yield stream

    @property
    def others(self) -> list[Stream]:
        """The guilds and processes."""
        return list(self._others.values())

    def put(self, stream: Stream) -> None:
        """Keep a stream as it is now."""
        if not stream.is_task:
            return
        self._held[stream.source] = stream
        if len(self._held) > MOST_HELD:
            longest_unused = self._held.pop(next(iter(self._held)))
            if (packed := _packed(longest_unused)) != longest_unused.packed:
                self.shelf[longest_unused.source.bytes] = packed


def _packed(stream: Stream) -> bytes:
    snapshot = None
    if stream.state is not None:
        taken = snapshot_of(stream.state, fingerprint="")
        snapshot = taken.__pydantic_serializer__.to_json(taken, exclude_defaults=True)
    fields = (stream.target.bytes, stream.source_guild, stream.guild_id, stream.line, stream.version)
    # Read by nobody but this process, and made of nothing but texts, numbers and bytes.
    return pickle.dumps((*fields, stream.outcome.value, stream.digest, stream.renaming.open_runs, snapshot))


def _unpacked(source: UUID, packed: bytes) -> Stream:
    target, source_guild, guild_id, line, version, outcome, digest, open_runs, snapshot = pickle.loads(packed)
    target = UUID(bytes=target)
    renaming = Renaming(source, target, guild_id if guild_id != source_guild else None, open_runs)
    stream = Stream(source, target, "task", source_guild, guild_id, line, renaming)
    stream.version, stream.outcome, stream.digest, stream.packed = version, Outcome(outcome), digest, packed
    if snapshot is not None:
        stream.state = TaskSnapshot.__pydantic_validator__.validate_json(snapshot).restore()
    return stream
