"""The world as Discord's JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.discord_double.permissions import permissions_in
from tests.discord_double.world import Channel, ChannelType, Guild, Member, Message, Role, User, World

__all__ = [
    "application_json",
    "channel_json",
    "guild_json",
    "instant",
    "member_json",
    "message_json",
    "role_json",
    "user_json",
]

Json = dict[str, Any]

_MESSAGE_CONTENT_FLAG = 1 << 18
_EPHEMERAL = 1 << 6


def instant(at: datetime | None) -> str | None:
    """An instant as Discord writes it."""
    return at.isoformat() if at else None


def user_json(user: User) -> Json:
    """A user object."""
    return {
        "id": str(user.id),
        "username": user.name,
        "discriminator": "0",
        "global_name": user.global_name,
        "avatar": None,
        "bot": user.bot,
    }


def application_json(world: World) -> Json:
    """The application of the bot."""
    return {
        "id": str(world.application_id),
        "name": world.bot.name,
        "description": "",
        "icon": None,
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": _MESSAGE_CONTENT_FLAG if world.message_content_intent else 0,
        "owner": user_json(world.bot),
        "team": None,
        "summary": "",
        "redirect_uris": [],
        "interactions_endpoint_url": None,
    }


def role_json(role: Role, position: int) -> Json:
    """A role object."""
    return {
        "id": str(role.id),
        "name": role.name,
        "color": 0,
        "hoist": False,
        "position": position,
        "permissions": str(int(role.permissions)),
        "managed": False,
        "mentionable": role.mentionable,
        "flags": 0,
    }


def member_json(member: Member) -> Json:
    """A member object."""
    return {
        "user": user_json(member.user),
        "nick": member.nick,
        "roles": [str(id) for id in member.roles],
        "joined_at": instant(member.joined_at),
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
    }


def channel_json(world: World, channel: Channel) -> Json:
    """A channel, thread or conversation object."""
    last = str(channel.messages[-1].id) if channel.messages else None
    made: Json = {"id": str(channel.id), "type": int(channel.type), "last_message_id": last, "flags": 0}
    if channel.type is ChannelType.DM:
        return made | {"recipients": [user_json(world.users[id]) for id in channel.recipients]}
    made |= {
        "guild_id": str(channel.guild_id),
        "name": channel.name,
        "parent_id": str(channel.parent_id) if channel.parent_id else None,
    }
    if channel.is_thread:
        return made | _thread_part(world, channel)
    return made | {
        "position": 0,
        "nsfw": False,
        "topic": None,
        "bitrate": 64_000,
        "user_limit": 0,
        "available_tags": [],
        "permission_overwrites": [
            {"id": str(each.id), "type": int(each.is_member), "allow": str(each.allow), "deny": str(each.deny)}
            for each in channel.overwrites.values()
        ],
    }


def _thread_part(world: World, thread: Channel) -> Json:
    return {
        "owner_id": str(thread.owner_id),
        "message_count": len(thread.messages),
        "member_count": 1,
        "total_message_sent": len(thread.messages),
        "thread_metadata": {
            "archived": thread.archived,
            "locked": thread.locked,
            "auto_archive_duration": 1440,
            "archive_timestamp": instant(thread.archived_at or world.now()),
        },
    }


def guild_json(world: World, guild: Guild, *, full: bool = False) -> Json:
    """A guild object; ``full`` adds what GUILD_CREATE carries: members, channels, the threads that are not archived."""
    made: Json = {
        "id": str(guild.id),
        "name": guild.name,
        "owner_id": str(guild.owner_id),
        "roles": [role_json(role, position) for position, role in enumerate(guild.roles.values())],
        "emojis": [],
        "stickers": [],
        "features": [],
        "preferred_locale": "en-US",
        "premium_tier": 0,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "afk_timeout": 300,
        "system_channel_flags": 0,
    }
    if not full:
        return made
    channels = [channel for channel in world.channels.values() if channel.guild_id == guild.id]
    # A thread is told only to those who can see it; other channels are told to everybody.
    threads = [each for each in channels if each.is_thread and permissions_in(world, each, world.bot.id)]
    return made | {
        "member_count": len(guild.members),
        "large": False,
        "unavailable": False,
        "members": [member_json(member) for member in guild.members.values()],
        "channels": [channel_json(world, channel) for channel in channels if not channel.is_thread],
        "threads": [channel_json(world, thread) for thread in threads if not thread.archived],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def message_json(world: World, message: Message, *, nonce: bool = False) -> Json:
    """A message object, as the bot sees it. The nonce is told when a message is made, not when history is read."""
    channel = world.channels[message.channel_id]
    hidden = not _readable(world, channel, message)
    made: Json = {
        "id": str(message.id),
        "channel_id": str(message.channel_id),
        "author": user_json(message.author),
        "content": "" if hidden else message.content,
        "timestamp": instant(message.timestamp),
        "edited_timestamp": instant(message.edited_at),
        "tts": False,
        "mention_everyone": "everyone" in message.pinged,
        "mentions": [user_json(user) for user in world.users.values() if f"<@{user.id}>" in message.content],
        "mention_roles": [],
        "attachments": [] if hidden else message.attachments,
        "embeds": [] if hidden else message.embeds,
        "components": [] if hidden else message.components,
        "pinned": False,
        "type": message.type,
        "flags": message.flags | (_EPHEMERAL if message.visible_to else 0),
        "reactions": [_reaction(name, count) for name, count in message.reactions.items()],
    }
    if nonce and message.nonce is not None:
        made["nonce"] = message.nonce
    if message.webhook_id is not None:
        made["webhook_id"] = str(message.webhook_id)
    if message.reply_to is not None:
        made["type"] = message.type or 19
        made["message_reference"] = {"message_id": str(message.reply_to), "channel_id": str(message.channel_id)}
        if channel.guild_id:
            made["message_reference"]["guild_id"] = str(channel.guild_id)
        made["referenced_message"] = None
    return made


def _reaction(name: str, count: int) -> Json:
    return {
        "count": count,
        "count_details": {"burst": 0, "normal": count},
        "me": False,
        "me_burst": False,
        "burst_colors": [],
        "emoji": {"id": None, "name": name},
    }


def _readable(world: World, channel: Channel, message: Message) -> bool:
    """Whether the bot gets the text: with the intent always, else of its own, of conversations and where mentioned."""
    if world.message_content_intent or channel.guild_id is None or message.author.id == world.bot.id:
        return True
    return f"<@{world.bot.id}>" in message.content
