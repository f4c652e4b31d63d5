"""Permission bits, and what a member may do in a channel: Discord's documented algorithm."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.discord_double.world import Channel, World

__all__ = ["EVERYDAY", "Permission", "permissions_in", "permissions_of"]


class Permission(IntFlag):
    """The bits that the double looks at, by Discord's names and values."""

    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    MANAGE_ROLES = 1 << 28
    USE_APPLICATION_COMMANDS = 1 << 31
    MANAGE_THREADS = 1 << 34
    SEND_MESSAGES_IN_THREADS = 1 << 38


EVERYDAY = (
    Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.USE_APPLICATION_COMMANDS
    | Permission.SEND_MESSAGES_IN_THREADS
)
"""What @everyone of a new guild may do."""

ALL = (1 << 50) - 1


def permissions_of(world: World, guild_id: int, user_id: int) -> int:
    """What a member may do in the guild as a whole; 0 for those who are not in it."""
    guild = world.guilds.get(guild_id)
    member = guild.members.get(user_id) if guild else None
    if guild is None or member is None:
        return 0
    if guild.owner_id == user_id:
        return ALL
    bits = guild.roles[guild.id].permissions
    for role_id in member.roles:
        bits |= guild.roles[role_id].permissions
    return ALL if bits & Permission.ADMINISTRATOR else bits


def permissions_in(world: World, channel: Channel, user_id: int) -> int:
    """What a user may do in a channel; a thread follows its parent. Without VIEW_CHANNEL there is nothing else."""
    if channel.guild_id is None:
        return EVERYDAY if user_id in channel.recipients or user_id == world.bot.id else 0
    bits = permissions_of(world, channel.guild_id, user_id)
    if bits == ALL or not bits:
        return bits
    place = world.channels[channel.parent_id] if channel.is_thread and channel.parent_id else channel
    roles = world.guilds[channel.guild_id].members[user_id].roles
    bits = _overwritten(bits, place, [channel.guild_id])
    bits = _overwritten(bits, place, roles)
    bits = _overwritten(bits, place, [user_id])
    return bits if bits & Permission.VIEW_CHANNEL else 0


def _overwritten(bits: int, channel: Channel, ids: list[int]) -> int:
    """The bits after the overwrites of these ids: all that is denied goes first, then all that is allowed comes."""
    chosen = [channel.overwrites[id] for id in ids if id in channel.overwrites]
    for overwrite in chosen:
        bits &= ~overwrite.deny
    for overwrite in chosen:
        bits |= overwrite.allow
    return bits
