"""Channels as people choose them: what they are, and what the person who chose may do there.

Who manages tasks must not read, by way of a summary, what Discord keeps from them, nor speak where they may not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import discord
from discord import app_commands

from adapters.discord_bot.draft_changes import with_category, with_excluded
from domain.definition import TaskDefinition
from domain.destination import DestinationType
from domain.errors import InvalidInput

__all__ = [
    "CHANNEL_TYPES",
    "CategoryOption",
    "Place",
    "PlaceOption",
    "bot_lacks",
    "category_of",
    "channels_of",
    "check_may_read",
    "check_may_read_all",
    "check_may_send",
    "lacking",
    "place_here",
    "place_of",
    "place_seen",
]

CHANNEL_TYPES = [
    discord.ChannelType.text,
    discord.ChannelType.news,
    discord.ChannelType.voice,
    discord.ChannelType.public_thread,
    discord.ChannelType.private_thread,
    discord.ChannelType.news_thread,
]
"""The kinds of channel that hold messages themselves."""

_READ = {"view_channel": "View Channel", "read_message_history": "Read Message History"}
_SEND = {"view_channel": "View Channel", "send_messages": "Send Messages"}
_BOT_SENDS = {**_SEND, "embed_links": "Embed Links"}


@dataclass(frozen=True, slots=True)
class Place:
    """A channel or thread, with what the person who chose it may do there."""

    id: str
    name: str
    permissions: discord.Permissions
    is_thread: bool = False


class PlaceOption(app_commands.Transformer):
    """An option that takes a channel that holds messages."""

    @property
    def type(self) -> discord.AppCommandOptionType:
        """A channel."""
        return discord.AppCommandOptionType.channel

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        """Those that Discord offers."""
        return CHANNEL_TYPES

    async def transform(self, interaction: discord.Interaction[Any], value: Any, /) -> Place:
        """What Discord resolved it to; nothing is asked of the bot's cache."""
        thread = isinstance(value, app_commands.AppCommandThread)
        return Place(str(value.id), value.name, value.permissions, thread)


class CategoryOption(PlaceOption):
    """An option that takes a category of channels."""

    @property
    def channel_types(self) -> list[discord.ChannelType]:
        """Those that Discord offers."""
        return [discord.ChannelType.category]


def place_here(interaction: discord.Interaction[Any]) -> Place:
    """The channel that somebody types in. Raises InvalidInput where it holds no messages."""
    channel = interaction.channel
    if channel is None or channel.type not in CHANNEL_TYPES:
        raise InvalidInput("channel", None, "is not said, and this one holds no messages", "choose a channel")
    name = getattr(channel, "name", None) or str(channel.id)
    return Place(str(channel.id), name, interaction.permissions, isinstance(channel, discord.Thread))


def place_of(chosen: dict[str, Any]) -> Place:
    """A channel that was chosen in a menu, from Discord's own words."""
    kind = int(chosen.get("type", 0))
    permissions = discord.Permissions(int(chosen.get("permissions") or 0))
    return Place(str(chosen["id"]), str(chosen.get("name") or chosen["id"]), permissions, kind in (10, 11, 12))


def place_seen(guild: discord.Guild | None, channel_id: str, user: discord.abc.User) -> Place:
    """A channel that a task names, with what a person may do there as far as the bot knows; of an unknown one nothing.

    For what is not chosen anew in the interaction, where Discord itself says what the person may do.
    """
    channel = guild.get_channel_or_thread(int(channel_id)) if guild is not None and channel_id.isdigit() else None
    if channel is None or not isinstance(user, discord.Member):
        return Place(channel_id, channel_id, discord.Permissions.none())
    granted = channel.permissions_for(user)
    if isinstance(channel, discord.Thread) and channel.is_private() and not granted.manage_threads:
        granted = discord.Permissions.none()  # who is in a private thread is not known here
    return Place(channel_id, channel.name, granted, isinstance(channel, discord.Thread))


def check_may_read(place: Place) -> None:
    """Refuse (InvalidInput) to summarize what the person who asks may not read."""
    _check(place, _READ, "cannot be summarized for you")


def channels_of(guild: discord.Guild | None, category_id: str) -> list[str]:
    """The channels that a category holds now, as far as the bot knows."""
    category = guild.get_channel(int(category_id)) if guild is not None and category_id.isdigit() else None
    return [str(each.id) for each in category.channels] if isinstance(category, discord.CategoryChannel) else []


def category_of(guild: discord.Guild | None, category: Place, user: discord.abc.User) -> dict[str, Any]:
    """A category as the source of a task, without the channels that the person who chose may not read themselves.

    Raises InvalidInput where the category itself is kept from them.
    """
    check_may_read(category)
    kept_from = [id for id in channels_of(guild, category.id) if _missing(place_seen(guild, id, user), _READ)]
    return {**with_category(category.id), **with_excluded(kept_from)}


def check_may_read_all(
    guild: discord.Guild | None, definition: TaskDefinition, user: discord.abc.User, *, chosen: Collection[str] = ()
) -> None:
    """Refuse (InvalidInput) who may not read all that a task summarizes, as far as the bot knows.

    The channels of a category are found at run time, for the bot; so one looks at what the category holds now. Those
    ``chosen`` were checked already, by what Discord itself said.
    """
    category = definition.category_id
    within = channels_of(guild, category) if category else []
    wanted = [*definition.all_channel_ids, *([category] if category else [])]
    for id in (*wanted, *(each for each in within if each not in definition.excluded_channel_ids)):
        if id not in chosen:
            check_may_read(place_seen(guild, id, user))


def check_may_send(place: Place) -> None:
    """Refuse (InvalidInput) to deliver where the person who asks may not write."""
    needed = dict(_SEND)
    if place.is_thread:
        needed["send_messages_in_threads"] = "Send Messages in Threads"
        del needed["send_messages"]
    _check(place, needed, "cannot be delivered to for you")


def _missing(place: Place, needed: dict[str, str]) -> list[str]:
    if place.permissions.administrator:
        return []
    return [words for name, words in needed.items() if not getattr(place.permissions, name)]


def _check(place: Place, needed: dict[str, str], problem: str) -> None:
    if missing := _missing(place, needed):
        remedy = f"you lack {' and '.join(missing)} there; choose another channel"
        raise InvalidInput("channel", f"#{place.name}", problem, remedy)


def bot_lacks(guild: discord.Guild | None, channel_id: str, *, reads: bool) -> list[str]:
    """The permissions that the bot lacks in a channel, as far as it was told; a warning, not a verdict."""
    channel = guild.get_channel_or_thread(int(channel_id)) if guild is not None and channel_id.isdigit() else None
    if guild is None or channel is None or guild.me is None:
        return []
    granted = channel.permissions_for(guild.me)
    needed = dict(_READ if reads else _BOT_SENDS)
    if isinstance(channel, discord.Thread) and not reads:
        needed.pop("send_messages")
        needed["send_messages_in_threads"] = "Send Messages in Threads"
    return _names(needed.items(), granted)


def lacking(guild: discord.Guild | None, definition: TaskDefinition) -> dict[str, list[str]]:
    """What the bot lacks, by channel, as far as it was told: where it reads, and where it writes."""
    within = channels_of(guild, definition.category_id) if definition.category_id else []
    sources = [*definition.all_channel_ids, *(id for id in within if id not in definition.excluded_channel_ids)]
    found = {id: bot_lacks(guild, id, reads=True) for id in sources}
    for each in definition.destinations:
        if each.type is DestinationType.DISCORD_CHANNEL and each.enabled:
            own = bot_lacks(guild, each.target, reads=False)
            found[each.target] = [*dict.fromkeys([*found.get(each.target, []), *own])]
    return {id: names for id, names in found.items() if names}


def _names(needed: Iterable[tuple[str, str]], granted: discord.Permissions) -> list[str]:
    return [words for name, words in needed if not getattr(granted, name)]
