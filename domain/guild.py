"""A guild's own small stream: its settings, and what was deleted from it on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from eventsourcing.domain import BaseAggregate, CanInitAggregate
from pydantic import BaseModel, ConfigDict

from domain.destination import Destination
from domain.errors import Refused
from domain.event import Event, Utc
from domain.zone import zone_info

__all__ = [
    "ArchiveChosen",
    "ContentDeleted",
    "Guild",
    "GuildOpened",
    "GuildSettings",
    "SettingsChanged",
    "guild_stream",
]

_NAMESPACE = uuid5(NAMESPACE_OID, "daybook.guild")


def guild_stream(guild_id: str) -> UUID:
    """The stream of a guild; the empty id is the service's own."""
    return uuid5(_NAMESPACE, guild_id)


class GuildSettings(BaseModel):
    """What a guild decides for all its tasks.

    ``timezone`` is used for tasks that name none. ``failure_notices`` is where people are told of failures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timezone: str | None = None
    failure_notices: tuple[Destination, ...] = ()


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
        guild.archive, guild.shifts = None, {}
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


class Guild(BaseAggregate[UUID]):
    """The settings of a guild. The guild with the empty id is the service's own."""

    Event = GuildEvent
    GuildOpened = GuildOpened

    guild_id: str
    settings: GuildSettings
    deletions: int
    archive: str | None
    shifts: dict[str, int]

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
        """Replace the settings. Raises InvalidTimezone."""
        if settings.timezone is not None:
            zone_info(settings.timezone)
        if settings == self.settings:
            raise Refused(self.guild_id, "has these settings already")
        self.trigger_event(SettingsChanged, timestamp=now, guild_id=self.guild_id, settings=settings, by=by)

    def choose_archive(self, archive: str, shift: timedelta, *, now: datetime, by: str) -> timedelta:
        """Read local channels from this archive; returns its shift. One that was recorded before stays as it was."""
        microseconds = self.shifts.get(archive, shift // timedelta(microseconds=1))
        if archive != self.archive:
            self.trigger_event(ArchiveChosen, timestamp=now, archive=archive, shift_microseconds=microseconds, by=by)
        return timedelta(microseconds=microseconds)

    def record_deletion(self, *, now: datetime, **what: Any) -> None:
        """Write down what a cleanup deletes."""
        self.trigger_event(ContentDeleted, timestamp=now, **what)


def guild_state(events: Iterable[Event], guild: Guild | None = None) -> Guild | None:
    """The state that events lead to."""
    for event in events:
        guild = event.mutate(guild)
    return guild
