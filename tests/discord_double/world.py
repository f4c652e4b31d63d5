"""What exists: users, guilds, roles, members, channels, threads, conversations, messages. Tests fill it and look at it.

Nothing here knows of HTTP or of sockets. Changes that Discord would tell of are handed to ``World.listeners``.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from tests.discord_double.permissions import EVERYDAY, Permission, permissions_in

__all__ = [
    "Channel",
    "ChannelType",
    "Guild",
    "Member",
    "Message",
    "Overwrite",
    "Role",
    "User",
    "World",
    "snowflake",
    "snowflake_time",
]

EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
_MENTION = re.compile(r"<@(?P<kind>[!&]?)(?P<id>\d{1,20})>")


def snowflake(at: datetime, number: int = 0) -> int:
    """The id of something made at ``at`` (aware), the ``number``-th of its millisecond."""
    return ((at - EPOCH) // timedelta(milliseconds=1) << 22) + number


def snowflake_time(id: int) -> datetime:
    """When an id was made (aware UTC)."""
    return EPOCH + timedelta(milliseconds=id >> 22)


class ChannelType(IntEnum):
    """The kinds of channel, by Discord's numbers."""

    TEXT = 0
    DM = 1
    VOICE = 2
    CATEGORY = 4
    ANNOUNCEMENT = 5
    PUBLIC_THREAD = 11
    PRIVATE_THREAD = 12
    FORUM = 15


@dataclass
class User:
    """A person or a bot. Who does not accept direct messages answers them with 50007, as bots always do."""

    id: int
    name: str
    bot: bool = False
    global_name: str | None = None
    accepts_direct_messages: bool = True


@dataclass
class Role:
    """A role; the one with the guild's id is @everyone."""

    id: int
    name: str
    permissions: int = 0
    mentionable: bool = False


@dataclass
class Member:
    """A user in a guild."""

    user: User
    roles: list[int] = field(default_factory=list)
    nick: str | None = None
    joined_at: datetime = EPOCH


@dataclass
class Overwrite:
    """What a channel changes for a role or a member."""

    id: int
    is_member: bool = False
    allow: int = 0
    deny: int = 0


@dataclass
class Message:
    """A message. ``pinged`` is who it notified: user ids, role ids and "everyone" (everyone and here alike)."""

    id: int
    channel_id: int
    author: User
    content: str = ""
    type: int = 0
    embeds: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    reactions: dict[str, int] = field(default_factory=dict)
    reply_to: int | None = None
    flags: int = 0
    nonce: str | None = None
    webhook_id: int | None = None
    edited_at: datetime | None = None
    pinged: frozenset[int | str] = frozenset()
    visible_to: int | None = None
    """Of an ephemeral answer: the only user who sees it."""

    @property
    def timestamp(self) -> datetime:
        """When it was sent (aware UTC, to the millisecond)."""
        return snowflake_time(self.id)


@dataclass
class Channel:
    """A channel, a category, a thread or a conversation with one person.

    ``archived_at`` is since when a thread is archived (aware UTC); None: since just now.
    """

    id: int
    type: ChannelType
    name: str = ""
    guild_id: int | None = None
    parent_id: int | None = None
    owner_id: int = 0
    overwrites: dict[int, Overwrite] = field(default_factory=dict)
    recipients: list[int] = field(default_factory=list)
    archived: bool = False
    archived_at: datetime | None = None
    locked: bool = False
    messages: list[Message] = field(default_factory=list)

    @property
    def is_thread(self) -> bool:
        """Whether it hangs below another channel and follows its permissions."""
        return self.type in (ChannelType.PUBLIC_THREAD, ChannelType.PRIVATE_THREAD)

    @property
    def takes_messages(self) -> bool:
        """Whether messages can be sent to it; not so categories and forums."""
        return self.type not in (ChannelType.CATEGORY, ChannelType.FORUM)

    def message(self, id: int) -> Message | None:
        """The message of this id, if it is still there."""
        return next((message for message in self.messages if message.id == id), None)


@dataclass
class Guild:
    """A server."""

    id: int
    name: str
    owner_id: int
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, Member] = field(default_factory=dict)


class World:
    """Everything there is, and the bot whose token opens it.

    ``pass_time`` moves its clock: for the memory of nonces, for interactions and for ids made from then on.
    """

    def __init__(self, token: str = "token-of-the-double") -> None:
        self.token = token
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.files: dict[str, bytes] = {}
        """What is in the files that were sent, by the ids of the attachments."""
        self.listeners: list[Callable[[str, Channel | None, Any], None]] = []
        self.nonce_memory = timedelta(minutes=3)
        """How long a nonce is remembered. Discord says "the past few minutes"."""
        self.message_content_intent = True
        """Whether the application may read what people write without mentioning it."""
        self._nonces: dict[tuple[int, str], tuple[datetime, Message]] = {}
        self._skew = timedelta()
        self._last_id = 0
        self.bot = self.add_user("daybook", bot=True)
        self.application_id = self.bot.id

    # --- time and ids ---

    def now(self) -> datetime:
        """The present instant of this world (aware UTC)."""
        return datetime.now(UTC) + self._skew

    def pass_time(self, by: timedelta) -> None:
        """Let time pass without waiting."""
        self._skew += by

    def new_id(self, at: datetime | None = None) -> int:
        """An id that nothing has yet, made at ``at`` (now, if left out)."""
        if at is not None:
            id = snowflake(at)
            while id in self.users or any(channel.message(id) for channel in self.channels.values()):
                id += 1
            return id
        self._last_id = max(self._last_id + 1, snowflake(self.now()))
        return self._last_id

    # --- filling it ---

    def add_user(self, name: str, *, id: int | None = None, bot: bool = False, **more: Any) -> User:
        """A user who is in no guild yet."""
        user = User(id or self.new_id(), name, bot, **more)
        self.users[user.id] = user
        return user

    def add_guild(
        self, name: str = "Guild", *, id: int | None = None, everyone: int = EVERYDAY, with_bot: bool = True
    ) -> Guild:
        """A guild owned by a user of its own, with the bot in it."""
        owner = self.add_user(f"owner of {name}")
        guild = Guild(id or self.new_id(), name, owner.id)
        guild.roles[guild.id] = Role(guild.id, "@everyone", everyone)
        self.guilds[guild.id] = guild
        guild.members[owner.id] = Member(owner)
        if with_bot:
            guild.members[self.bot.id] = Member(self.bot)
            self.tell("GUILD_CREATE", None, (guild, guild))
        return guild

    def add_role(self, guild: Guild, name: str, permissions: int = 0, *, mentionable: bool = False) -> Role:
        """A role that nobody has yet."""
        role = Role(self.new_id(), name, permissions, mentionable)
        guild.roles[role.id] = role
        self.tell("GUILD_ROLE_CREATE", None, (guild, role))
        return role

    def add_member(self, guild: Guild, user: User, roles: Iterable[Role] = (), nick: str | None = None) -> Member:
        """The user joins the guild, or is there from now on with these roles."""
        member = Member(user, [role.id for role in roles], nick, self.now())
        event = "GUILD_MEMBER_UPDATE" if user.id in guild.members else "GUILD_MEMBER_ADD"
        guild.members[user.id] = member
        self.tell(event, None, (guild, member))
        return member

    def add_channel(
        self,
        guild: Guild,
        name: str,
        *,
        type: ChannelType = ChannelType.TEXT,
        id: int | None = None,
        parent: Channel | None = None,
    ) -> Channel:
        """A channel of the guild (a text channel, if not said otherwise), maybe in a category."""
        channel = Channel(id or self.new_id(), type, name, guild.id, parent.id if parent else None)
        self.channels[channel.id] = channel
        self.tell("CHANNEL_CREATE", channel, channel)
        return channel

    def add_thread(
        self, parent: Channel, name: str, *, archived: bool = False, locked: bool = False, private: bool = False
    ) -> Channel:
        """A thread of the bot below a text channel or a forum. What is said in it opens it again."""
        kind = ChannelType.PRIVATE_THREAD if private else ChannelType.PUBLIC_THREAD
        thread = Channel(self.new_id(), kind, name, parent.guild_id, parent.id, self.bot.id)
        thread.archived, thread.locked = archived, locked
        self.channels[thread.id] = thread
        self.tell("THREAD_CREATE", thread, thread)
        return thread

    def overwrite(self, channel: Channel, who: Role | Member, *, allow: int = 0, deny: int = 0) -> None:
        """What the channel changes for a role or a member, in place of what it changed for them before."""
        is_member = isinstance(who, Member)
        id = who.user.id if isinstance(who, Member) else who.id
        channel.overwrites[id] = Overwrite(id, is_member, allow, deny)
        self.tell("CHANNEL_UPDATE", channel, channel)

    def deny(self, channel: Channel, permissions: int) -> None:
        """Take permissions from the bot in one channel."""
        assert channel.guild_id is not None
        self.overwrite(channel, self.guilds[channel.guild_id].members[self.bot.id], deny=permissions)

    def say(
        self, channel: Channel, author: User, content: str = "", *, at: datetime | None = None, **more: Any
    ) -> Message:
        """A message of anybody, at any instant; ``more`` are fields of Message."""
        message = Message(more.pop("id", None) or self.new_id(at), channel.id, author, content, **more)
        return self.put(channel, message)

    def attachment(self, name: str, data: bytes = b"") -> dict[str, Any]:
        """A file as it hangs on a message."""
        id = self.new_id()
        self.files[str(id)] = data
        url = f"https://cdn.discordapp.com/attachments/{id}/{name}"
        return {"id": str(id), "filename": name, "size": len(data), "url": url, "proxy_url": url}

    # --- what happens in it ---

    def put(self, channel: Channel, message: Message) -> Message:
        """The message is in the channel from now on; listeners are told."""
        insort(channel.messages, message, key=lambda each: each.id)
        if channel.is_thread and not channel.locked:
            channel.archived = False
        self.tell("MESSAGE_CREATE", channel, message)
        return message

    def remove_channel(self, channel: Channel) -> None:
        """The channel is deleted, and its threads with it."""
        for each in [c for c in self.channels.values() if c is channel or (c.is_thread and c.parent_id == channel.id)]:
            del self.channels[each.id]
            self.tell("THREAD_DELETE" if each.is_thread else "CHANNEL_DELETE", each, each)

    def tell(self, event: str, channel: Channel | None, what: Any) -> None:
        """Tell the listeners. ``what`` is the channel or message; of a guild's parts, the guild and the part."""
        for listener in list(self.listeners):
            listener(event, channel, what)

    def conversation(self, user: User) -> Channel:
        """The conversation of the bot with a user; the same every time."""
        for channel in self.channels.values():
            if channel.type is ChannelType.DM and channel.recipients == [user.id]:
                return channel
        channel = Channel(self.new_id(), ChannelType.DM, recipients=[user.id])
        self.channels[channel.id] = channel
        return channel

    def remembered(self, author_id: int, nonce: str) -> Message | None:
        """The message that was made with this nonce lately, in whatever channel, as Discord's reference has it."""
        at, message = self._nonces.get((author_id, nonce), (EPOCH, None))
        return message if self.now() - at <= self.nonce_memory else None

    def remember(self, message: Message) -> None:
        """Keep the message's nonce in mind."""
        if message.nonce is not None:
            self._nonces[message.author.id, message.nonce] = (self.now(), message)

    def pings(self, channel: Channel, author: User, content: str, allowed: Mapping[str, Any] | None) -> frozenset[Any]:
        """Whom a text notifies; ``allowed`` is the allowed_mentions of the request, None where it had none."""
        parse = {"users", "roles", "everyone"} if allowed is None else set(allowed.get("parse", ()))
        may_all = bool(permissions_in(self, channel, author.id) & Permission.MENTION_EVERYONE)
        guild = self.guilds.get(channel.guild_id) if channel.guild_id else None
        found: set[int | str] = set()
        if "everyone" in parse and may_all and re.search("@(everyone|here)", content):
            found.add("everyone")
        for mention in _MENTION.finditer(content):
            id, is_role = int(mention["id"]), mention["kind"] == "&"
            named = {int(each) for each in (allowed or {}).get("roles" if is_role else "users", ())}
            if ("roles" if is_role else "users") not in parse and id not in named:
                continue
            role = guild.roles.get(id) if guild and is_role else None
            if (id in self.users and not is_role) or (role is not None and (role.mentionable or may_all)):
                found.add(id)
        return frozenset(found)
