"""The REST half: users, channels, conversations, messages, guilds. Every refusal is one of Discord's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.discord_double.errors import (
    ApiError,
    invalid_form,
    missing_access,
    missing_permissions,
    unknown,
)
from tests.discord_double.limits import check_message
from tests.discord_double.payloads import (
    application_json,
    channel_json,
    guild_json,
    member_json,
    message_json,
    role_json,
    user_json,
)
from tests.discord_double.permissions import Permission, permissions_in
from tests.discord_double.wire import Call, Wire
from tests.discord_double.world import Channel, ChannelType, Guild, Message, World

__all__ = ["Rest", "apply_edit", "made_message"]

_PAGE, _MOST = 50, 100


class Rest:
    """The handlers of the routes; ``wire`` is what they are hung on."""

    def __init__(self, world: World, wire: Wire) -> None:
        self.world = world
        for method, path, handler in (
            ("GET", "/users/@me", self._me),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/users/{user}", self._user),
            ("POST", "/users/@me/channels", self._open_conversation),
            ("GET", "/channels/{channel}", self._channel),
            ("GET", "/channels/{channel}/messages", self._history),
            ("POST", "/channels/{channel}/messages", self._send),
            ("GET", "/channels/{channel}/messages/{message}", self._message),
            ("PATCH", "/channels/{channel}/messages/{message}", self._edit),
            ("DELETE", "/channels/{channel}/messages/{message}", self._delete),
            ("POST", "/channels/{channel}/typing", self._typing),
            ("GET", "/guilds/{guild}", self._guild),
            ("GET", "/guilds/{guild}/channels", self._channels),
            ("GET", "/guilds/{guild}/roles", self._roles),
            ("GET", "/guilds/{guild}/members/{user}", self._member),
            ("GET", "/guilds/{guild}/threads/active", self._active_threads),
            ("GET", "/channels/{channel}/threads/archived/public", self._archived_threads),
            ("GET", "/channels/{channel}/users/@me/threads/archived/private", self._private_threads),
        ):
            wire.route(method, path, handler)

    # --- users ---

    async def _me(self, call: Call) -> Any:
        return user_json(self.world.bot)

    async def _application(self, call: Call) -> Any:
        return application_json(self.world)

    async def _user(self, call: Call) -> Any:
        user = self.world.users.get(call.id("user"))
        if user is None:
            raise unknown("User")
        return user_json(user)

    async def _open_conversation(self, call: Call) -> Any:
        text = str((call.payload or {}).get("recipient_id", ""))
        user = self.world.users.get(int(text)) if text.isdigit() else None
        if user is None:
            raise invalid_form({"recipient_id": ("USER_NOT_FOUND", "Unknown user")})
        if user is self.world.bot:
            raise ApiError(400, 50007, "Cannot send messages to this user")
        return channel_json(self.world, self.world.conversation(user))

    # --- channels and messages ---

    async def _channel(self, call: Call) -> Any:
        return channel_json(self.world, self._seen(call))

    async def _history(self, call: Call) -> Any:
        channel = self._seen(call)
        if not channel.takes_messages:
            raise ApiError(400, 50008, "Cannot execute action on this channel type")
        limit = int(call.query.get("limit", _PAGE))
        if not 1 <= limit <= _MOST:
            raise invalid_form({"limit": ("NUMBER_TYPE_MAX", f"int value should be between 1 and {_MOST}.")})
        if not permissions_in(self.world, channel, self.world.bot.id) & Permission.READ_MESSAGE_HISTORY:
            return []  # Discord says nothing: the channel looks empty
        kept = [message for message in channel.messages if message.visible_to is None]
        return [message_json(self.world, message) for message in reversed(_page(kept, call.query, limit))]

    async def _message(self, call: Call) -> Any:
        return message_json(self.world, self._found(call))

    async def _send(self, call: Call) -> Any:
        channel, payload = self._seen(call), call.payload or {}
        self._may_send(channel, payload, bool(call.files))
        check_message(payload, [len(data) for _, data in call.files])
        nonce = str(payload["nonce"]) if payload.get("nonce") is not None else None
        if nonce is not None and payload.get("enforce_nonce"):
            known = self.world.remembered(self.world.bot.id, nonce)
            if known is not None:
                return message_json(self.world, known, nonce=True)
        message = made_message(self.world, channel, payload, call.files)
        self.world.remember(message)
        self.world.put(channel, message)
        return message_json(self.world, message, nonce=True)

    async def _edit(self, call: Call) -> Any:
        message, payload = self._found(call), call.payload or {}
        if message.author is not self.world.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        channel = self.world.channels[message.channel_id]
        if channel.is_thread and channel.archived:
            raise ApiError(400, 50083, "Thread is archived")
        check_message(payload, editing=True)
        apply_edit(self.world, message, payload)
        self.world.tell("MESSAGE_UPDATE", channel, message)
        return message_json(self.world, message)

    async def _delete(self, call: Call) -> Any:
        message = self._found(call)
        channel = self.world.channels[message.channel_id]
        own = message.author is self.world.bot
        if not own and not permissions_in(self.world, channel, self.world.bot.id) & Permission.MANAGE_MESSAGES:
            raise missing_permissions()
        channel.messages.remove(message)
        self.world.tell("MESSAGE_DELETE", channel, message)

    async def _typing(self, call: Call) -> Any:
        self._may_send(self._seen(call), {}, False)

    def _seen(self, call: Call) -> Channel:
        """The channel of the path, if the bot sees it."""
        channel = self.world.channels.get(call.id("channel"))
        if channel is None:
            raise unknown("Channel")
        if not permissions_in(self.world, channel, self.world.bot.id) & Permission.VIEW_CHANNEL:
            raise missing_access()
        return channel

    def _found(self, call: Call) -> Message:
        channel = self._seen(call)
        message = channel.message(call.id("message"))
        if message is None:
            raise unknown("Message")
        return message

    def _may_send(self, channel: Channel, payload: Any, with_files: bool) -> None:
        """Refuse what the bot may not send there."""
        if not channel.takes_messages:
            raise ApiError(400, 50008, "Cannot send messages in a non-text channel")
        if channel.type is ChannelType.DM:
            user = self.world.users[channel.recipients[0]]
            shared = any({user.id, self.world.bot.id} <= set(each.members) for each in self.world.guilds.values())
            if user.bot or not user.accepts_direct_messages or not shared:
                raise ApiError(403, 50007, "Cannot send messages to this user")
            return
        bits = permissions_in(self.world, channel, self.world.bot.id)
        needed = Permission.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permission.SEND_MESSAGES
        if with_files:
            needed |= Permission.ATTACH_FILES
        if payload.get("embeds"):
            needed |= Permission.EMBED_LINKS
        if bits & needed != needed:
            raise missing_permissions()
        if channel.is_thread and channel.archived and channel.locked and not bits & Permission.MANAGE_THREADS:
            raise ApiError(400, 50083, "Thread is archived")

    # --- guilds ---

    async def _guild(self, call: Call) -> Any:
        return guild_json(self.world, self._own(call))

    async def _channels(self, call: Call) -> Any:
        guild = self._own(call)
        channels = [each for each in self.world.channels.values() if each.guild_id == guild.id and not each.is_thread]
        return [channel_json(self.world, channel) for channel in channels]

    async def _roles(self, call: Call) -> Any:
        return [role_json(role, position) for position, role in enumerate(self._own(call).roles.values())]

    async def _member(self, call: Call) -> Any:
        member = self._own(call).members.get(call.id("user"))
        if member is None:
            raise unknown("Member" if call.id("user") in self.world.users else "User")
        return member_json(member)

    async def _active_threads(self, call: Call) -> Any:
        guild = self._own(call)
        threads = [
            each
            for each in self.world.channels.values()
            if each.is_thread
            and each.guild_id == guild.id
            and not each.archived
            and permissions_in(self.world, each, self.world.bot.id)
        ]
        return {"threads": [channel_json(self.world, thread) for thread in threads], "members": []}

    async def _archived_threads(self, call: Call) -> Any:
        """The last archived first; ``before`` is an instant."""
        threads = self._archived_of(call, ChannelType.PUBLIC_THREAD)
        threads.sort(key=self._archived_at, reverse=True)
        if (before := call.query.get("before")) is not None:
            threads = [each for each in threads if self._archived_at(each) < datetime.fromisoformat(before)]
        return self._some_threads(call, threads)

    async def _private_threads(self, call: Call) -> Any:
        """Those that the bot has joined, the youngest first; ``before`` is an id."""
        threads = self._archived_of(call, ChannelType.PRIVATE_THREAD)
        threads = [each for each in threads if each.owner_id == self.world.bot.id]
        threads.sort(key=lambda each: each.id, reverse=True)
        if (before := call.query.get("before")) is not None:
            threads = [each for each in threads if each.id < int(before)]
        return self._some_threads(call, threads)

    def _archived_of(self, call: Call, kind: ChannelType) -> list[Channel]:
        channel = self._seen(call)
        if not permissions_in(self.world, channel, self.world.bot.id) & Permission.READ_MESSAGE_HISTORY:
            raise missing_permissions()
        every = self.world.channels.values()
        return [each for each in every if each.parent_id == channel.id and each.type is kind and each.archived]

    def _archived_at(self, thread: Channel) -> datetime:
        return thread.archived_at or self.world.now()

    def _some_threads(self, call: Call, threads: list[Channel]) -> Any:
        limit = int(call.query.get("limit", _PAGE))
        if not 2 <= limit <= _MOST:
            raise invalid_form({"limit": ("NUMBER_TYPE_MIN", "int value should be greater than or equal to 2.")})
        told = [channel_json(self.world, thread) for thread in threads[:limit]]
        return {"threads": told, "members": [], "has_more": len(threads) > limit}

    def _own(self, call: Call) -> Guild:
        """The guild of the path, if the bot is in it; others are unknown to it."""
        guild = self.world.guilds.get(call.id("guild"))
        if guild is None or self.world.bot.id not in guild.members:
            raise unknown("Guild")
        return guild


def made_message(world: World, channel: Channel, payload: Any, files: list[tuple[str, bytes]]) -> Message:
    """The bot's message of a payload that has been checked; it stands nowhere yet."""
    content = payload.get("content") or ""
    return Message(
        world.new_id(),
        channel.id,
        world.bot,
        content,
        embeds=[_rich(each) for each in payload.get("embeds") or []],
        attachments=[world.attachment(name, data) for name, data in files],
        components=payload.get("components") or [],
        reply_to=_replied(channel, payload.get("message_reference")),
        flags=int(payload.get("flags") or 0),
        nonce=str(payload["nonce"]) if payload.get("nonce") is not None else None,
        pinged=world.pings(channel, world.bot, content, payload.get("allowed_mentions")),
    )


def apply_edit(world: World, message: Message, payload: Any) -> None:
    """Change what the payload names; what it does not name stays."""
    message.content = payload["content"] or "" if "content" in payload else message.content
    message.embeds = [_rich(each) for each in payload["embeds"] or []] if "embeds" in payload else message.embeds
    message.components = payload["components"] or [] if "components" in payload else message.components
    message.flags = int(payload["flags"] or 0) if "flags" in payload else message.flags
    message.edited_at = world.now()


def _rich(embed: dict[str, Any]) -> dict[str, Any]:
    """An embed as Discord keeps it: typed, and without the spaces around its texts."""
    kept = _stripped(embed) | {"type": "rich"}
    return kept | ({"fields": [_stripped(each) for each in embed["fields"]]} if "fields" in embed else {})


def _stripped(thing: dict[str, Any]) -> dict[str, Any]:
    return {key: value.strip() if isinstance(value, str) else value for key, value in thing.items()}


def _replied(channel: Channel, reference: Any) -> int | None:
    if not reference:
        return None
    id = int(reference["message_id"])
    if channel.message(id) is None:
        if reference.get("fail_if_not_exists", True):
            raise invalid_form({"message_reference": ("REPLIES_UNKNOWN_MESSAGE", "Unknown message")})
        return None
    return id


def _page(messages: list[Message], query: dict[str, str], limit: int) -> list[Message]:
    """At most ``limit`` messages, oldest first: the newest, those just before or after an id, or those around it."""
    if "after" in query:
        return [message for message in messages if message.id > int(query["after"])][:limit]
    if "before" in query:
        return [message for message in messages if message.id < int(query["before"])][-limit:]
    if "around" in query:
        middle = int(query["around"])
        older = [message for message in messages if message.id < middle][-(limit // 2) :]
        return older + [message for message in messages if message.id >= middle][: limit - len(older)]
    return messages[-limit:]
