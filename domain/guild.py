"""A guild's own small stream: its settings, and what was deleted from it on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from eventsourcing.domain import BaseAggregate, CanInitAggregate
from pydantic import BaseModel, ConfigDict

from domain.destination import Destination
from domain.errors import InvalidInput, QuotaExceeded, Refused
from domain.event import Event, Utc
from domain.quotas import UNLIMITED, Quotas
from domain.retention import KEPT, Retention
from domain.zone import zone_info

__all__ = [
    "ArchiveChosen",
    "ContentDeleted",
    "Guild",
    "GuildOpened",
    "GuildSettings",
    "SettingsChanged",
    "TasksAdmitted",
    "guild_stream",
    "too_many_tasks",
]

MOST_MANAGERS = 100

_NAMESPACE = uuid5(NAMESPACE_OID, "daybook.guild")


def guild_stream(guild_id: str) -> UUID:
    """The stream of a guild; the empty id is the service's own."""
    return uuid5(_NAMESPACE, guild_id)


class GuildSettings(BaseModel):
    """What a guild decides for all its tasks.

    ``timezone`` is used for tasks that name none. ``failure_notices`` is where people are told of failures.
    ``managers`` are ids of roles that may manage tasks beside whoever may manage the server.

    ``max_tasks``, ``shortest_interval_seconds`` and ``runs_per_day`` (see domain.quotas) are the guild's own limits.
    ``retention`` is how long summaries, run details and caches are kept.
    ``granted`` is what the operator allows this guild in place of what every guild may; the stricter one counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str | None = None
    failure_notices: tuple[Destination, ...] = ()
    managers: tuple[str, ...] = ()
    max_tasks: int | None = None
    shortest_interval_seconds: float | None = None
    runs_per_day: int | None = None
    granted: Quotas = UNLIMITED
    retention: Retention = KEPT

    @property
    def own_quotas(self) -> Quotas:
        """The limits that the guild has set itself."""
        return Quotas(
            max_tasks=self.max_tasks,
            shortest_interval_seconds=self.shortest_interval_seconds,
            runs_per_day=self.runs_per_day,
        )

    def quotas(self, default: Quotas = UNLIMITED) -> Quotas:
        """The limits in force, where ``default`` is what every guild may."""
        return self.granted.or_else(default).tightened(self.own_quotas)

    def check(self) -> None:
        """Refuse (InvalidInput) settings that no guild may have."""
        if self.timezone is not None:
            zone_info(self.timezone)
        self.own_quotas.check()
        self.granted.check()
        self.retention.check()
        if len(self.managers) > MOST_MANAGERS:
            raise InvalidInput("managers", len(self.managers), "are too many roles", f"give at most {MOST_MANAGERS}")
        for role in self.managers:
            if not (role.isascii() and role.isdigit() and len(role) <= 20):
                raise InvalidInput("managers", role, "is not the id of a role", "give the number that Discord shows")


class GuildEvent(Event):
    """A fact of one guild."""

    def apply(self, guild: Guild) -> None:
        """Move the state of the guild."""


class GuildOpened(GuildEvent, CanInitAggregate[UUID]):
    """Something about this guild was written down for the first time."""

    topic: ClassVar[str] = "guild.opened"
    originator_topic: ClassVar[str] = "guild"  # type: ignore[misc]  # the class is known by the topic, not by a path

    guild_id: str

    def mutate(self, aggregate: None) -> Guild:  # type: ignore[override]
        """The guild as it begins."""
        guild = Guild.__new__(Guild)
        guild.__base_init__(self.originator_id, self.originator_version, self.timestamp)
        guild.guild_id, guild.settings, guild.deletions = self.guild_id, GuildSettings(), 0
        guild.archive, guild.shifts, guild.admitted = None, {}, ()
        return guild


class SettingsChanged(GuildEvent):
    """A person changed the guild's settings."""

    topic: ClassVar[str] = "guild.settings_changed"

    guild_id: str
    settings: GuildSettings
    by: str

    def apply(self, guild: Guild) -> None:
        guild.settings = self.settings


class ContentDeleted(GuildEvent):
    """A cleanup deleted what was kept before ``cutoff``.

    Rebuilding a read model repeats it. ``scope`` None: all guilds.
    """

    topic: ClassVar[str] = "guild.content_deleted"

    scope: str | None = None
    cutoff: Utc
    summaries: int
    run_details: int
    cached: int
    archives_tasks: bool
    deletes_runs: bool
    by: str

    def apply(self, guild: Guild) -> None:
        guild.deletions += 1


class ArchiveChosen(GuildEvent):
    """Local mode reads its channels from this archive, with every date moved by the shift."""

    topic: ClassVar[str] = "guild.archive_chosen"

    archive: str
    shift_microseconds: int
    by: str

    def apply(self, guild: Guild) -> None:
        guild.archive = self.archive
        guild.shifts = {**guild.shifts, self.archive: self.shift_microseconds}


class TasksAdmitted(GuildEvent):
    """New tasks were counted against the guild's limit; written together with them, or not at all.

    ``count`` is how many there are with them. ``admitted`` are those, and earlier ones that the writer's read model did
    not know yet: whoever counts next counts these too.
    """

    topic: ClassVar[str] = "guild.tasks_admitted"

    tasks: int
    count: int
    limit: int
    admitted: tuple[str, ...]
    by: str

    def apply(self, guild: Guild) -> None:
        guild.admitted = self.admitted


class Guild(BaseAggregate[UUID]):
    """The settings of a guild. The guild with the empty id is the service's own."""

    Event = GuildEvent
    GuildOpened = GuildOpened

    guild_id: str
    settings: GuildSettings
    deletions: int
    archive: str | None
    shifts: dict[str, int]
    admitted: tuple[str, ...]
    erasing: bool = False

    @classmethod
    def open(cls, guild_id: str, *, now: datetime) -> Guild:
        """A guild that nothing was written about before."""
        opened = GuildOpened(
            originator_id=guild_stream(guild_id), originator_version=1, timestamp=now, guild_id=guild_id
        )
        guild = opened.mutate(None)
        guild.pending_events.append(opened)
        return guild

    def change_settings(self, settings: GuildSettings, *, now: datetime, by: str) -> None:
        """Replace the settings. Raises InvalidInput."""
        settings.check()
        self.check_not_erasing()
        if settings == self.settings:
            raise Refused(self.guild_id, "has these settings already")
        self.trigger_event(SettingsChanged, timestamp=now, guild_id=self.guild_id, settings=settings, by=by)

    def admit(
        self,
        tasks: Sequence[str],
        *,
        alive: int,
        unknown: Callable[[str], bool],
        default: Quotas,
        now: datetime,
        by: str,
    ) -> None:
        """Count new tasks against the guild's limit. Raises QuotaExceeded.

        ``alive`` is how many tasks the read model knows that have not ended; ``unknown`` says whether it lacks a task.
        """
        limit = self.settings.quotas(default).max_tasks
        if limit is None:
            return
        waiting = tuple(task for task in self.admitted if unknown(task))
        before = alive + len(waiting)
        if before + len(tasks) > limit:
            raise too_many_tasks(self.guild_id, limit, before, len(tasks))
        self.trigger_event(
            TasksAdmitted,
            timestamp=now,
            tasks=len(tasks),
            count=before + len(tasks),
            limit=limit,
            admitted=(*waiting, *tasks),
            by=by,
        )

    def check_not_erasing(self) -> None:
        """Refuse whatever would outlive the guild's erasure."""
        if self.erasing:
            raise Refused(self.guild_id, "is being erased; nothing new is kept until that is done")

    def choose_archive(self, archive: str, shift: timedelta, *, now: datetime, by: str) -> timedelta:
        """Read local channels from this archive; returns its shift. One that was recorded before stays as it was."""
        microseconds = self.shifts.get(archive, shift // timedelta(microseconds=1))
        if archive != self.archive:
            self.trigger_event(ArchiveChosen, timestamp=now, archive=archive, shift_microseconds=microseconds, by=by)
        return timedelta(microseconds=microseconds)

    def record_deletion(self, *, now: datetime, **what: Any) -> None:
        """Write down what a cleanup deletes."""
        self.trigger_event(ContentDeleted, timestamp=now, **what)


def too_many_tasks(guild_id: str, limit: int, current: int, more: int = 0) -> QuotaExceeded:
    """The refusal of a task that would be one too many, or that may not go on while there are too many."""
    wanted = f"; {more} more were asked for" if more > 1 else ""
    return QuotaExceeded(
        guild_id,
        "max_tasks",
        limit,
        current,
        f"this guild has {current} {'task that has' if current == 1 else 'tasks that have'} not ended, "
        f"and may have {limit}{wanted}",
        "cancel one that is not needed, or ask the operator for more",
    )


def guild_state(events: Iterable[Event], guild: Guild | None = None) -> Guild | None:
    """The state that events lead to."""
    for event in events:
        guild = event.mutate(guild)
    return guild
