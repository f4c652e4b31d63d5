"""Local mode: channels from an archive whose dates are moved to now, and example tasks to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from application.ports import CategoryChannels, ChannelNames, Command, GuildBound, MessageProcessor, Writer
from application.queries import Queries
from application.scheduler import Scheduler
from domain.definition import TaskDefinition
from domain.destination import Destination, DestinationType
from domain.draft import define
from domain.errors import ChannelInaccessible
from domain.guild import Guild, guild_stream
from domain.principal import OPERATOR, Principal
from domain.summary import SummaryOptions

__all__ = ["LocalChannel", "LocalMessages", "chosen_archive", "place_examples", "recorded_shift"]

FIRST_SLOT = timedelta(seconds=10)
_SERVICE = ""


@dataclass(frozen=True, slots=True)
class LocalChannel:
    """A channel that example tasks may be about."""

    id: str
    name: str
    guild_id: str


class LocalMessages:
    """A MessageProcessor whose archive is known only once the store is open, for the store knows the shift."""

    def __init__(self) -> None:
        self.archive: MessageProcessor | None = None

    async def process_channel_messages(
        self,
        channel_id: str,
        start_time: datetime,
        end_time: datetime,
        options: SummaryOptions,
        limit: int | None = None,
    ) -> list[Any]:
        """The archive's messages. Raises ChannelInaccessible before there is an archive."""
        if self.archive is None:
            raise ChannelInaccessible(channel_id, "no archive was chosen")
        return await self.archive.process_channel_messages(channel_id, start_time, end_time, options, limit)

    async def channel_name(self, channel_id: str) -> str | None:
        """The name of a channel, where the archive knows names."""
        archive: object = self.archive
        return await archive.channel_name(channel_id) if isinstance(archive, ChannelNames) else None

    async def channels_of(self, category_id: str) -> Sequence[str]:
        """The channels of a category, where the archive knows categories."""
        archive: object = self.archive
        if not isinstance(archive, CategoryChannels):
            raise ChannelInaccessible(category_id, "this source of messages knows no categories")
        return await archive.channels_of(category_id)

    def for_guild(self, guild_id: str) -> MessageProcessor:
        """Only this guild's channels, where the archive keeps guilds apart; otherwise itself."""
        archive: object = self.archive
        return archive.for_guild(guild_id) if isinstance(archive, GuildBound) else self


async def recorded_shift(
    writer: Writer, archive: str, latest: datetime, now: datetime, principal: Principal = OPERATOR
) -> timedelta:
    """How far the archive's dates are moved: so that its ``latest`` message is when it was first used here.

    Written into the log the first time; from then on it is what was written.
    """
    shift: timedelta = await writer.execute(
        Command(
            guild_stream(_SERVICE),
            lambda guild: guild.choose_archive(archive, now - latest, now=now, by=principal.reference),
            create=lambda: Guild.open(_SERVICE, now=now),
            or_create=True,
        )
    )
    return shift


async def chosen_archive(writer: Writer, now: datetime) -> tuple[str, timedelta] | None:
    """The archive that the service last used, with its shift; None where local mode never ran. Writes nothing."""

    def chosen(guild: Guild) -> tuple[str, timedelta] | None:
        if guild.archive is None:
            return None
        return guild.archive, timedelta(microseconds=guild.shifts[guild.archive])

    try:
        found: tuple[str, timedelta] | None = await writer.execute(Command(guild_stream(_SERVICE), chosen))
    except LookupError:
        return None
    return found


async def place_examples(
    commands: Scheduler,
    queries: Queries,
    channels: Sequence[LocalChannel],
    *,
    now: datetime,
    timezone: str,
    principal: Principal = OPERATOR,
) -> int:
    """Schedule the example tasks where no task ever was, all of them or (when killed meanwhile) none; says how many."""
    if not channels or any(queries.counts().values()):
        return 0
    definitions = example_tasks(channels, now=now, timezone=timezone)
    await commands.put_in_place([(definition, None, False, None) for definition in definitions], principal=principal)
    return len(definitions)


def example_tasks(channels: Sequence[LocalChannel], *, now: datetime, timezone: str) -> list[TaskDefinition]:
    """One summary every minute, one a day and one a week, of the first channels; the first is due at once."""
    first = channels[0]
    second, third = channels[1 % len(channels)], channels[2 % len(channels)]
    kinds: list[tuple[LocalChannel, str, dict[str, Any]]] = [
        (
            first,
            "every minute",
            {"schedule_type": "interval", "interval": timedelta(minutes=1), "time_range_hours": 24},
        ),
        (second, "every day", {"schedule_type": "daily", "schedule_time": "09:00", "time_range_hours": 24}),
        (third, "every week", {"schedule_type": "weekly", "schedule_days": [0], "time_range_hours": 168}),
    ]
    return [
        define(
            {
                "name": f"#{channel.name}, {often}"[:100],
                "guild_id": channel.guild_id,
                "channel_id": channel.id,
                "destinations": (Destination(type=DestinationType.FILE, format="markdown"),),
                "created_at": (now + FIRST_SLOT).replace(microsecond=0),
                "timezone": timezone,
                **schedule,
            },
            now=now,
        )
        for channel, often, schedule in kinds
    ]
