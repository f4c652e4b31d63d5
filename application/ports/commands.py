"""Commands and the one writer of a process; the read models that it keeps up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self
from uuid import UUID

if TYPE_CHECKING:
    from application.ports.log import Stretch
    from application.rows import DeliveryRow, GuildRow, NodeRow, RunRow, SkipRow, TaskRow, TextRow

__all__ = ["NOTHING", "Aggregate", "Command", "Exclusions", "ReadModel", "Writer"]


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


class Command(NamedTuple):
    """One decision on one stream. ``decide`` is called in the writer's thread with the stream's present state.

    It may be called again on fresher state when another writer was first, so it must not do anything but decide. With
    ``create`` it is called with what that makes, and the stream must not exist yet. It is acknowledged once it is
    durable; its rows follow within a moment, and whoever reads rows in this process waits for them. Those of one that
    is not ``awaited`` may follow a little later, together with the rows of what comes next.
    """

    stream_id: UUID
    decide: Callable[[Any], Any]
    create: Callable[[], Any] | None = None
    or_create: bool = False
    awaited: bool = True


class Change(NamedTuple):
    """Rows that followed: those of all events up to ``position``.

    ``due`` is the earliest instant (microseconds since 1970) at which one of the tasks that changed is due, if any is.
    """

    position: int
    due: int | None


class Writer(Protocol):
    """The one place that writes the log in this process. Everything that waits is committed in one transaction."""

    @property
    def position(self) -> int:
        """Where the last events stand that this writer has committed; 0 before the first."""
        ...

    async def execute(self, command: Command) -> Any:
        """What ``decide`` returned, once it is durable, and visible to whoever asks then. Raises what it raised."""
        ...

    async def execute_many(self, commands: Sequence[Command]) -> list[Any]:
        """The outcome of each command, errors as values: one that is refused fails alone."""
        ...

    async def execute_together(self, commands: Sequence[Command]) -> list[Any]:
        """The outcome of each command, all of them written in one transaction, or none.

        When any outcome is an error nothing was written: an error stands where its command did, and None elsewhere.
        """
        ...

    @property
    def others(self) -> int:
        """How many events of others this process has come across."""
        ...

    @property
    def idle(self) -> bool:
        """Whether no command has come for a moment, so that there is time for what can wait."""
        ...

    async def catch_up(self) -> int:
        """Bring the read model to the end of the log; returns how many events others had written."""
        ...

    async def prepare(self, stream_ids: Sequence[UUID]) -> int:
        """Have these streams in memory before they are decided on; returns how many were not."""
        ...

    def close(self) -> None:
        """Write what waits, then stop. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What a node does not want to hear of as due.

    Tasks, whole guilds, and custom operations other than ``operations``.
    """

    tasks: Sequence[str] = ()
    guilds: Sequence[str] = ()
    operations: Sequence[str] | None = None


NOTHING = Exclusions()
"""Everything that is due is of interest."""


class ReadModel(Protocol):
    """Rows derived from the log, and how far they are."""

    def lagging(self) -> Self:
        """The same, for whoever is told of changes: it does not wait for rows that have yet to follow."""
        ...

    def position(self) -> int:
        """How far the log was read."""
        ...

    def get(self, kind: type[Any], *key: str | int) -> Any:
        """One row by its key, or None."""
        ...

    def settings(self, guild_ids: Iterable[str]) -> dict[str, str]:
        """The settings of each of these guilds as JSON."""
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

    def ids_beginning(self, text: str, guild_id: str | None = None) -> list[str]:
        """Ids of tasks that begin with this text, 100 at most."""
        ...

    def ids_named(self, name: str, guild_id: str | None = None) -> list[str]:
        """Ids of tasks of this name, whatever its case, 100 at most."""
        ...

    def ids_once_named(self, name: str, guild_id: str | None = None) -> list[str]:
        """Ids of tasks that had this name before they were renamed, whatever its case, 100 at most."""
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

    def definitions_ahead(self, limit: int) -> list[tuple[str, str]]:
        """(definition as JSON, keys of destinations that were disabled) of active tasks, the soonest due first."""
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

    def to_be_told(self, limit: int) -> list[TaskRow]:
        """Tasks of whose trouble people are still to be told, in guilds that want to be told."""
        ...

    def guilds(self) -> list[GuildRow]:
        """All guilds."""
        ...

    def nodes(self, *, running_only: bool = False, limit: int = 100) -> list[NodeRow]:
        """Processes that served, the newest first."""
        ...

    def heads(self, streams: Sequence[UUID]) -> dict[UUID, int]:
        """The number of the last event of guilds and processes, as far as the log was read."""
        ...

    def stretches(self) -> list[Stretch]:
        """Between which instants each stretch of the log was written, in order, as far as the log was read."""
        ...

    def counts(self, guild_id: str | None = None) -> dict[str, int]:
        """How many tasks there are by status."""
        ...

    def faults(self) -> list[dict[str, Any]]:
        """Events that could not be read, or are missing: stream, version, topic, reason."""
        ...

    def unreadable(self) -> dict[str, int]:
        """By stream, how many of these there are."""
        ...

    def close(self) -> None:
        """Release files. Idempotent."""
        ...
