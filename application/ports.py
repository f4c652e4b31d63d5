"""What the application needs of the world, as Protocols. Each has one contract suite in tests/contracts.

Storage ports are synchronous: they are called by the writer thread, or by queries that take well under a millisecond.
Ports that talk to others are asynchronous.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

from application.rows import DeliveryRow, GuildRow, NodeRow, RunRow, SkipRow, TaskRow, TextRow
from domain.destination import Destination, DestinationType
from domain.errors import EventUnreadable
from domain.event import Event, Snapshot
from domain.summary import Summary, SummaryContext, SummaryOptions

__all__ = [
    "NOTHING",
    "Aggregate",
    "Append",
    "Clock",
    "Command",
    "Content",
    "ContentCounts",
    "DeliveryChannel",
    "DeliveryRequest",
    "Exclusions",
    "Loaded",
    "Log",
    "MessageProcessor",
    "Presence",
    "ReadModel",
    "Recorded",
    "SummarizationEngine",
    "Timer",
    "Vault",
    "Writer",
]


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present instant (aware, UTC)."""
        ...


# --- the log ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Append:
    """Events to be added to one stream, contiguous; the first one's version less one is the head they expect.

    ``guild_id`` names the data key that seals the payloads; the empty string is the service's own.
    """

    stream_id: UUID
    guild_id: str
    events: Sequence[Event]


class Recorded(NamedTuple):
    """One event as it stands in the log. ``event`` is the error where the payload cannot be read: reading goes on."""

    position: int
    event: Event | EventUnreadable


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one stream is made of: the last usable snapshot, if any, and all events after it, in order."""

    snapshot: Snapshot | None = None
    events: Sequence[Recorded] = ()


class Log(Protocol):
    """The append-only log. Positions start at 1, grow with every event over all streams, and are never reused."""

    def append(self, appends: Sequence[Append]) -> list[int]:
        """Write all events of all streams in one durable transaction and return their positions, in order.

        Raises Conflict (naming every stale stream; nothing written), StoreUnavailable (nothing written) or
        AppendUnknown (written or not is unknown: read again before deciding).
        """
        ...

    def heads(self, stream_ids: Sequence[UUID]) -> dict[UUID, int]:
        """The last version of each stream; streams that do not exist are left out."""
        ...

    def load(self, stream_ids: Sequence[UUID]) -> dict[UUID, Loaded]:
        """Each stream from its last usable snapshot on, in a bounded number of queries; unknown streams are left out."""
        ...

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int | None = None) -> list[Recorded]:
        """The events of one stream in order, from the first one after ``after_version``."""
        ...

    def read(self, after_position: int, limit: int) -> list[Recorded]:
        """At most ``limit`` events of all streams in order of position, from the first one after ``after_position``."""
        ...

    def last_position(self) -> int:
        """The position of the newest event; 0 for an empty log."""
        ...

    def save_snapshots(self, snapshots: Sequence[tuple[str, Snapshot]]) -> None:
        """Keep these (guild id, snapshot) pairs. A snapshot is a cache: losing one loses nothing."""
        ...

    def last_foreign_change(self) -> object:
        """A token that differs from the last one when another process may have committed since. Cheap."""
        ...

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        ...


# --- commands and read models -----------------------------------------------------------------------------------------


class Aggregate(Protocol):
    """What a stream of events adds up to."""

    @property
    def id(self) -> UUID:
        """The stream."""

    @property
    def version(self) -> int:
        """How many events it is made of."""

    @property
    def guild_id(self) -> str:
        """Whose data key seals its events."""

    @property
    def pending_events(self) -> list[Any]:
        """What was decided and is not written yet."""


@dataclass(frozen=True, slots=True)
class Command:
    """One decision on one stream. ``decide`` is called in the writer's thread with the stream's present state.

    It may be called again on fresher state when another writer was first, so it must not do anything but decide. With
    ``create`` it is called with what that makes, and the stream must not exist yet.
    """

    stream_id: UUID
    decide: Callable[[Any], Any]
    create: Callable[[], Any] | None = None
    or_create: bool = False


class Writer(Protocol):
    """The one place that writes the log in this process. Everything that waits is committed in one transaction."""

    async def execute(self, command: Command) -> Any:
        """What ``decide`` returned, once it is durable and visible in the read model. Raises what it raised."""
        ...

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """The outcome of each command, errors as values: one that is refused fails alone."""
        ...

    async def catch_up(self) -> int:
        """Bring the read model to the end of the log; returns how many events others had written."""
        ...

    def close(self) -> None:
        """Write what waits, then stop. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What a node does not want to hear of as due: tasks, whole guilds, and custom operations other than ``operations``."""

    tasks: Sequence[str] = ()
    guilds: Sequence[str] = ()
    operations: Sequence[str] | None = None


NOTHING = Exclusions()
"""Everything that is due is of interest."""


class ReadModel(Protocol):
    """Rows derived from the log, and how far they are."""

    def position(self) -> int:
        """How far the log was read."""
        ...

    def apply(self, recorded: Sequence[Recorded]) -> None:
        """Project these events and move the position, in one transaction."""
        ...

    def get(self, kind: type[Any], *key: str | int) -> Any:
        """One row by its key, or None."""
        ...

    def tasks(
        self,
        *,
        guild_id: str | None = None,
        statuses: Sequence[str] = (),
        name_contains: str = "",
        archived: bool = False,
        limit: int = 1000,
        offset: int = 0,
    ) -> list[tuple[TaskRow, TextRow]]:
        """Tasks by name."""
        ...

    def due(self, until: int, limit: int, exclude: Exclusions = NOTHING) -> list[tuple[str, str, int]]:
        """(task id, guild id, due at) of what is due at ``until`` (microseconds), the longest due first."""
        ...

    def next_due(self, exclude: Exclusions = NOTHING) -> int | None:
        """When something is next due (microseconds)."""
        ...

    def upcoming(self, limit: int, guild_id: str | None = None) -> list[tuple[str, str, int]]:
        """(task id, name, next slot) of active tasks, the soonest first."""
        ...

    def runs(
        self,
        *,
        task_id: str | None = None,
        guild_id: str | None = None,
        states: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> list[RunRow]:
        """Runs, the newest first."""
        ...

    def deliveries(self, run_ids: Sequence[str]) -> list[DeliveryRow]:
        """The deliveries of these runs."""
        ...

    def skips(self, task_id: str, limit: int = 100) -> list[SkipRow]:
        """Skipped ranges of a task, the newest first."""
        ...

    def running(self) -> list[RunRow]:
        """Runs that some node holds now."""
        ...

    def guilds(self) -> list[GuildRow]:
        """All guilds."""
        ...

    def nodes(self, *, running_only: bool = False, limit: int = 100) -> list[NodeRow]:
        """Processes that served, the newest first."""
        ...

    def counts(self, guild_id: str | None = None) -> dict[str, int]:
        """How many tasks there are by status."""
        ...

    def faults(self) -> list[dict[str, Any]]:
        """Events that could not be read: stream, version, topic, reason."""
        ...

    def close(self) -> None:
        """Release files. Idempotent."""
        ...


# --- other stores ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContentCounts:
    """How many items of each kind a deletion took away."""

    summaries: int = 0
    run_details: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """All kinds together."""
        return self.summaries + self.run_details + self.cached


class Content(Protocol):
    """Summaries, run details and caches: personal data that people may want deleted. Thread-safe."""

    def save_summary(self, run_id: str, summary: Summary, at: datetime) -> None:
        """Keep the summary made by a run, replacing an earlier one of the same run."""
        ...

    def summary_of_run(self, run_id: str) -> Summary | None:
        """The summary that a run made, if it is (still) there."""
        ...

    def summary(self, summary_id: str) -> Summary | None:
        """A summary by its own id."""
        ...

    def save_run_detail(self, run_id: str, guild_id: str, detail: Mapping[str, Any], at: datetime) -> None:
        """Keep what is worth knowing of a run but does not belong into the log (JSON values only)."""
        ...

    def run_detail(self, run_id: str) -> dict[str, Any] | None:
        """What was kept of a run."""
        ...

    def cache_put(self, key: str, guild_id: str, value: Mapping[str, Any], at: datetime) -> None:
        """Keep a value that can be made again (JSON values only)."""
        ...

    def cache_get(self, key: str) -> dict[str, Any] | None:
        """A cached value."""
        ...

    def delete_before(
        self,
        cutoff: datetime,
        *,
        guild_id: str | None,
        summaries: bool = True,
        run_details: bool = True,
        cached: bool = True,
        dry_run: bool = False,
    ) -> ContentCounts:
        """Delete what was kept before ``cutoff`` (strictly), of one guild or (None) of all, and say how many."""
        ...

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        ...


class Vault(Protocol):
    """Data keys, secrets and references to people; encrypted under the master key. Thread-safe.

    A vault whose master key does not fit what is stored raises StoreUnavailable when it is opened.
    """

    def data_key(self, guild_id: str) -> tuple[bytes, bytes]:
        """The (key id of 8 bytes, AES-256 key) that seals new payloads of a guild; made when first asked for."""
        ...

    def key_by_id(self, key_id: bytes) -> bytes | None:
        """The AES-256 key of this id; None when it was destroyed or never existed."""
        ...

    def destroy_keys(self, guild_id: str) -> int:
        """Destroy all data keys of a guild for good and say how many; what they sealed is unreadable from now on."""
        ...

    def put_secret(self, guild_id: str, secret: str) -> str:
        """Keep a secret and return its reference (``secret:`` and 16 hexadecimal digits), which may stand in events."""
        ...

    def secret(self, guild_id: str, reference: str) -> str | None:
        """The secret behind a reference of this guild; None when there is none."""
        ...

    def delete_secret(self, guild_id: str, reference: str) -> bool:
        """Forget a secret."""
        ...

    def person_reference(self, guild_id: str, user_id: str) -> str:
        """The stable reference (``person:`` and 12 hexadecimal digits) of a person in a guild; made when first asked for."""
        ...

    def person(self, guild_id: str, reference: str) -> str | None:
        """The user id behind a reference; None when it was erased."""
        ...

    def forget_person(self, guild_id: str, user_id: str) -> bool:
        """Erase the link between a person and the reference."""
        ...

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        ...


class Presence(Protocol):
    """Which nodes are alive. On one folder that is the lock of the operating system; on PostgreSQL a short lease."""

    def join(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Announce this node; returns nodes found dead, each with the instant it was last seen alive (UTC).

        Raises StoreInUse where only one node may hold the store.
        """
        ...

    def beat(self, node: str, now: datetime) -> list[tuple[str, datetime]]:
        """Say that this node is alive; returns nodes newly found dead. Raises StoreUnavailable when the lease is lost."""
        ...

    def dead(self, nodes: Sequence[str], now: datetime) -> list[str]:
        """Those of ``nodes`` that are certainly not running any more."""
        ...

    def leave(self, node: str) -> None:
        """Take this node off, cleanly. Idempotent."""
        ...


# --- time ----------------------------------------------------------------------------------------------------------------


class Timer(Protocol):
    """Rings. A ring is a hint: what is due is decided anew from the log. Callbacks are coroutines of the same event loop."""

    def start(self) -> None:
        """Begin ringing, on the running event loop."""
        ...

    def wake_at(self, instant: datetime | None, callback: Callable[[], Awaitable[None]]) -> None:
        """Ring once at ``instant`` (aware), replacing the wake-up armed before; None disarms. The past rings at once."""
        ...

    def every(self, name: str, interval_seconds: float, callback: Callable[[], Awaitable[None]]) -> None:
        """Ring periodically; a ring is dropped while the callback of the same name still runs."""
        ...

    def stop(self) -> None:
        """Stop ringing. Callbacks that run are not cancelled. Idempotent."""
        ...


# --- doing the work ------------------------------------------------------------------------------------------------------


@runtime_checkable
class MessageProcessor(Protocol):
    """Where messages come from. A host bot plugs its own in."""

    async def process_channel_messages(
        self,
        channel_id: str,
        start_time: datetime,
        end_time: datetime,
        options: SummaryOptions,
        limit: int | None = None,
    ) -> list[Any]:
        """The messages of a channel with start_time <= timestamp < end_time (aware UTC), oldest first.

        Messages have at least ``author_id``, ``timestamp`` and ``content``; Daybook's own are domain.summary.Message.
        Bots and excluded users are left out as ``options`` says; ``limit`` keeps the newest.
        Raises ChannelInaccessible, FetchFailed, SourceRateLimited, or InsufficientContent (or errors of a host that carry
        ``message_count`` and ``min_required``).
        """
        ...


@runtime_checkable
class SummarizationEngine(Protocol):
    """What turns messages into a summary. A host bot plugs its own in."""

    async def summarize_messages(
        self,
        messages: Sequence[Any],
        options: SummaryOptions,
        context: SummaryContext,
        channel_id: str = "",
        guild_id: str = "",
    ) -> Any:
        """A domain.summary.Summary, or a host's object with ``id``, ``summary_text``, ``message_count``, ``participants``,
        ``start_time``, ``end_time`` and, if it renders itself, ``to_embed_dict()`` and ``to_markdown()``."""
        ...


@dataclass(frozen=True, slots=True)
class DeliveryRequest:
    """One result for one destination.

    ``key`` is the idempotency key, equal in every try; ``timezone`` is the task's, for the times that people read;
    ``slot`` is the instant the run stands for (aware UTC).
    """

    key: str
    run_id: str
    task_id: str
    task_name: str
    guild_id: str
    destination: Destination
    summary: Summary
    slot: datetime
    timezone: str = "UTC"
    extra: Mapping[str, str] = field(default_factory=dict)


class DeliveryChannel(Protocol):
    """One technology that results are delivered through."""

    type: DestinationType

    deduplicates: bool
    """Whether sending again with the same key leaves one result at the other side."""

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse (InvalidDestination) a destination that this channel can never deliver to. No I/O."""
        ...

    async def deliver(self, request: DeliveryRequest) -> str:
        """Deliver, and return the receipt (a message id, a status, a path). Raises DeliveryFailed.

        May be cancelled (a deadline, a shutdown); then it must leave nothing half-done that a reader could see.
        """
        ...
