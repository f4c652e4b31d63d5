"""Messages of Discord's channels and threads, through the client of a bot. REST only: the gateway may be away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from domain.errors import ChannelInaccessible, FetchFailed, InvalidInput, SourceRateLimited, SourceUnavailable
from domain.event import epoch_microseconds, utc
from domain.summary import Message, SummaryOptions

if TYPE_CHECKING:
    import discord

__all__ = ["DiscordHistory"]

_EPOCH_MS = 1_420_070_400_000
_MAX_SNOWFLAKE = 2**63 - 1
_WAIT_UNNAMED_SECONDS = 30.0
_NEEDED = {"view_channel": "View Channel", "read_message_history": "Read Message History"}
_MENTION = re.compile(r"<(?:(?P<kind>@[!&]?|#)(?P<id>\d{1,20})|a?(?P<emoji>:\w{1,64}:)\d{1,20})>")
_GONE_CODES = frozenset({10003, 10004})
_GONE = "it does not exist, or is not the bot's to see"
_TEXT_HIDDEN = (
    "the bot may not read what people write: switch on the Message Content Intent of the application in Discord's "
    "developer portal"
)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Found:
    """What was read of a channel and its threads: wanted messages, each with its place; how many were looked at."""

    chosen: list[tuple[discord.Message, Any]] = field(default_factory=list)
    looked_at: int = 0
    readable: bool = False


class DiscordHistory:
    """Reads the history of text channels, announcement channels, voice chats, forums and threads.

    ``client`` is logged in; a gateway spares requests, and is not needed. Messages come in pages of a hundred, newest
    first, within the rate limits that discord.py keeps; at most ``max_messages`` of a channel or thread are looked at,
    and when a span holds more, its oldest are left out and the log says so. Notices of the system (joins, pins, boosts)
    are left out. With ``guild_id`` the channels of other guilds are inaccessible.
    """

    def __init__(self, client: Any, *, guild_id: str | None = None, max_messages: int = 20_000) -> None:
        self._client, self._guild_id, self._max_messages = client, guild_id, max_messages
        self._active: list[discord.Thread] | None = None

    def for_guild(self, guild_id: str) -> DiscordHistory:
        """The same history, of one guild only."""
        return DiscordHistory(self._client, guild_id=guild_id, max_messages=self._max_messages)

    async def channel_name(self, channel_id: str) -> str | None:
        """The name of a channel; None where it is not known (application.ports.ChannelNames)."""
        try:
            return str((await self._channel(channel_id)).name)
        except Exception:  # the port raises nothing: a name is decoration
            return None

    async def process_channel_messages(
        self,
        channel_id: str,
        start_time: datetime,
        end_time: datetime,
        options: SummaryOptions,
        limit: int | None = None,
    ) -> list[Message]:
        """See application.ports.MessageProcessor.

        Raises ChannelInaccessible (unknown, another guild's, a permission is missing), SourceUnavailable (Discord is
        away), FetchFailed (worth trying again) and SourceRateLimited (Discord asked for a longer wait than discord.py
        was told to wait through).
        """
        after, before = _span(start_time, end_time)
        if limit is not None and limit < 0:
            raise InvalidInput("limit", limit, "is negative", "a number from 0 on is right, or None for all")
        try:
            channel = await self._channel(channel_id, with_threads=options.include_threads)
            self._check_cached_permissions(channel_id, channel)
            found = _Found()
            if hasattr(channel, "history"):
                await self._read(channel, after, before, options, limit, found)
            if not found.looked_at and before > after + 1:
                await self._check_permissions(channel_id, channel)
            if options.include_threads and before > after + 1:
                await self._read_threads(channel, after, before, options, limit, found)
        except ChannelInaccessible:
            raise
        except Exception as error:
            raise _failure(channel_id, error) from error
        if found.looked_at and not found.readable and self._text_is_hidden():
            raise ChannelInaccessible(channel_id, _TEXT_HIDDEN)
        found.chosen.sort(key=lambda each: int(each[0].id))
        kept = found.chosen if limit is None else found.chosen[max(0, len(found.chosen) - limit) :]
        return [_message(message, place, options.include_attachments) for message, place in kept]

    async def channels_of(self, category_id: str) -> list[str]:
        """The ids of a category's channels in the order of the sidebar (application.ports.CategoryChannels).

        They are asked of Discord each time; voice channels in which nothing was ever written are left out.
        """
        try:
            category = await self._place(category_id)
            if category.type.name != "category":
                raise ChannelInaccessible(category_id, f"it is no category, but a {category.type}")
            channels = await category.guild.fetch_channels()
        except ChannelInaccessible:
            raise
        except Exception as error:
            raise _failure(category_id, error) from error
        within = [each for each in channels if getattr(each, "category_id", None) == category.id and _is_readable(each)]
        within.sort(key=lambda each: (_is_voice(each), each.position, each.id))
        return [str(each.id) for each in within]

    # --- messages ---

    async def _read_threads(
        self, channel: Any, after: int, before: int, options: SummaryOptions, limit: int | None, found: _Found
    ) -> None:
        """Add what was said in the threads of a channel; one that may not be read is none of the channel's."""
        import discord

        for thread in await self._threads(channel, after):
            try:
                await self._read(thread, after, before, options, limit, found)
            except (discord.Forbidden, discord.NotFound) as error:
                _log.warning("thread_not_read", thread_id=str(thread.id), reason=error.text)

    async def _threads(self, channel: Any, after: int) -> list[discord.Thread]:
        """The threads of a channel in which something may have been said since: active ones, and archived ones."""
        import discord

        if not hasattr(channel, "archived_threads"):
            return []
        found = {thread.id: thread for thread in await self._active_threads(channel) if thread.parent_id == channel.id}
        since = discord.utils.snowflake_time(after)
        async for thread in channel.archived_threads(limit=None):
            if thread.archive_timestamp < since:
                break  # the last archived come first, and nothing is said in an archived thread
            found.setdefault(thread.id, thread)
        if not isinstance(channel, discord.ForumChannel) and not channel.is_news():
            async for thread in channel.archived_threads(private=True, joined=True, limit=None):
                if thread.archive_timestamp >= since:
                    found.setdefault(thread.id, thread)
        return [each for each in found.values() if each.last_message_id is None or each.last_message_id > after]

    async def _active_threads(self, channel: Any) -> list[discord.Thread]:
        """Those of the guild, asked once for a run: what ``for_guild`` returns lives no longer."""
        if self._guild_id is None:
            return list(await channel.guild.active_threads())
        if self._active is None:
            self._active = list(await channel.guild.active_threads())
        return self._active

    async def _read(
        self, channel: Any, after: int, before: int, options: SummaryOptions, limit: int | None, found: _Found
    ) -> None:
        """Add the wanted messages of a channel or thread; the newest are read first."""
        excluded = set(options.excluded_users)
        if not options.include_own and (own := self._own_id()) is not None:
            excluded.add(str(own))
        chosen, looked_at = 0, 0
        async for message in self._newest_first(channel, after, before):
            if limit is not None and chosen >= limit:
                break
            looked_at += 1
            is_bot = _is_bot(message)
            found.readable |= bool(is_bot or message.content or message.attachments or message.embeds)
            if str(message.author.id) not in excluded and (options.include_bots or not is_bot) and _is_said(message):
                found.chosen.append((message, channel))
                chosen += 1
        found.looked_at += looked_at
        if looked_at == self._max_messages:
            _log.warning("channel_history_cut", channel_id=str(channel.id), messages=looked_at)

    def _newest_first(self, channel: Any, after: int, before: int) -> AsyncIterator[discord.Message]:
        import discord

        history: AsyncIterator[discord.Message] = channel.history(
            limit=self._max_messages, before=discord.Object(before), after=discord.Object(after), oldest_first=False
        )
        return history

    def _own_id(self) -> int | None:
        return getattr(getattr(self._client, "user", None), "id", None)

    def _text_is_hidden(self) -> bool:
        """Whether Discord hides what people write from this application."""
        flags = getattr(self._client, "application_flags", None)
        return flags is not None and not (flags.gateway_message_content or flags.gateway_message_content_limited)

    # --- the channel ---

    async def _channel(self, channel_id: str, *, with_threads: bool = True) -> Any:
        channel = await self._place(channel_id)
        if not hasattr(channel, "history") and not (with_threads and hasattr(channel, "archived_threads")):
            raise ChannelInaccessible(channel_id, f"a {channel.type} holds no messages itself")
        return channel

    async def _place(self, channel_id: str) -> Any:
        if not (channel_id.isascii() and channel_id.isdigit() and 0 < int(channel_id[:20]) <= _MAX_SNOWFLAKE):
            raise ChannelInaccessible(channel_id, "a channel id is a number of 17 to 20 digits")
        channel = self._client.get_channel(int(channel_id))
        if channel is None:
            channel = await self._client.fetch_channel(int(channel_id))
        guild_id = getattr(getattr(channel, "guild", None), "id", None)
        if guild_id is None or (self._guild_id is not None and str(guild_id) != self._guild_id):
            # Another guild's channel looks like one that does not exist: nobody learns of it this way.
            raise ChannelInaccessible(channel_id, _GONE)
        return channel

    def _check_cached_permissions(self, channel_id: str, channel: Any) -> None:
        """Name what is missing, as far as the gateway told of it: Discord shows a channel without history as empty."""
        me = getattr(channel.guild, "me", None)
        if me is None or (getattr(channel, "parent_id", None) and getattr(channel, "parent", me) is None):
            return
        granted = channel.permissions_for(me)
        _refuse_missing(channel_id, [words for name, words in _NEEDED.items() if not getattr(granted, name)])

    async def _check_permissions(self, channel_id: str, channel: Any) -> None:
        """The same by REST, asked when a channel without a gateway looks empty."""
        if getattr(channel.guild, "me", None) is not None or self._own_id() is None:
            return
        place = channel
        if (parent_id := getattr(channel, "parent_id", None)) is not None:
            place = await self._client.fetch_channel(parent_id)
        guild = await self._client.fetch_guild(channel.guild.id, with_counts=False)
        me = await guild.fetch_member(self._own_id())
        _refuse_missing(channel_id, [words for name, words in _NEEDED.items() if not _granted(place, me, name)])


def _refuse_missing(channel_id: str, missing: Iterable[str]) -> None:
    if names := " and ".join(missing):
        raise ChannelInaccessible(channel_id, f"the bot lacks the permission {names} there")


def _granted(channel: Any, member: discord.Member, name: str) -> bool:
    """Whether a member has a permission in a channel, from what REST told: roles, then the channel's overwrites."""
    base = member.guild_permissions
    if base.administrator:
        return True
    granted = bool(getattr(base, name))
    others = [role for role in member.roles if not role.is_default()]
    for subjects in ([member.guild.default_role], others, [member]):
        told = [getattr(channel.overwrites_for(subject), name) for subject in subjects]
        if True in told:
            granted = True
        elif False in told:
            granted = False
    return granted


# --- pure parts -----------------------------------------------------------------------------------------------------


def _span(start: datetime, end: datetime) -> tuple[int, int]:
    """Ids just outside a half-open span: after < id < before. Ids count whole milliseconds."""
    lowest, highest = (
        max(0, -(-_microseconds(name, instant) // 1000) - _EPOCH_MS) << 22
        for name, instant in (("start_time", start), ("end_time", end))
    )
    return max(0, lowest - 1), min(highest, _MAX_SNOWFLAKE)


def _microseconds(name: str, instant: datetime) -> int:
    try:
        return epoch_microseconds(utc(instant))
    except ValueError:
        raise InvalidInput(name, instant.isoformat(), "has no time zone", "give it one, such as UTC") from None


def _is_voice(channel: Any) -> bool:
    return channel.type.name in ("voice", "stage_voice")


def _is_readable(channel: Any) -> bool:
    """Whether a channel of a category holds messages or threads."""
    if _is_voice(channel):
        return channel.last_message_id is not None
    return hasattr(channel, "history") or hasattr(channel, "archived_threads")


def _is_bot(message: discord.Message) -> bool:
    return message.author.bot or message.webhook_id is not None


def _is_said(message: discord.Message) -> bool:
    """Whether somebody said it, in contrast to a notice of the system."""
    return message.type.name in ("default", "reply", "chat_input_command", "context_menu_command")


def _message(message: discord.Message, channel: Any, with_attachments: bool) -> Message:
    reference = message.reference.message_id if message.reference is not None else None
    return Message(
        id=str(message.id),
        channel_id=str(channel.id),
        author_id=str(message.author.id),
        author_name=message.author.display_name,
        timestamp=message.created_at,
        content=_readable(message, channel.guild),
        is_bot=_is_bot(message),
        reply_to=str(reference) if reference and message.type.name == "reply" else None,
        reactions=sum(reaction.count for reaction in message.reactions),
        attachments=tuple(each.filename for each in message.attachments) if with_attachments else (),
        url=f"https://discord.com/channels/{channel.guild.id}/{channel.id}/{message.id}",
    )


def _readable(message: discord.Message, guild: Any) -> str:
    """What was written (or forwarded), with names in place of mentions; unknown ones stay as they are."""
    forwarded = [snapshot.content for snapshot in message.message_snapshots]
    text = "\n".join(part for part in (message.content, *forwarded) if part)
    people = {user.id: user.display_name for user in message.mentions}

    def name(mention: re.Match[str]) -> str:
        if mention["emoji"]:
            return mention["emoji"]
        kind, id = mention["kind"], int(mention["id"])
        if kind == "#":
            found = guild.get_channel_or_thread(id)
            return f"#{found.name}" if found is not None else mention[0]
        if kind == "@&":
            role = guild.get_role(id)
            return f"@{role.name}" if role is not None else mention[0]
        return f"@{people[id]}" if id in people else mention[0]

    return _MENTION.sub(name, text) if "<" in text else text


def _failure(channel_id: str, error: Exception) -> Exception:
    """What an error of the library means for a run."""
    import aiohttp
    import discord

    if isinstance(error, discord.RateLimited):
        return SourceRateLimited(error.retry_after)
    if isinstance(error, discord.HTTPException):
        if error.status == 429:
            return SourceRateLimited(_asked_wait(error))
        if error.code in _GONE_CODES or error.status == 404:
            return ChannelInaccessible(channel_id, _GONE)
        if error.status == 403:
            return ChannelInaccessible(channel_id, f"the bot lacks the permission View Channel there ({error.text})")
        away = SourceUnavailable if error.status >= 500 else FetchFailed
        return away(channel_id, f"Discord answered {error.status} (code {error.code}): {error.text[:200]}")
    if isinstance(error, (aiohttp.ClientError, TimeoutError, OSError)) or _is_logged_out(error):
        return SourceUnavailable(channel_id, f"Discord could not be reached: {type(error).__name__}: {error}"[:200])
    return FetchFailed(channel_id, f"the Discord client failed: {type(error).__name__}: {error}"[:200])


def _is_logged_out(error: Exception) -> bool:
    """Whether the client has no open session: it is between two tries of logging in."""
    return isinstance(error, RuntimeError) and str(error) == "Session is closed"


def _asked_wait(error: discord.HTTPException) -> float:
    try:
        return max(0.0, float(error.response.headers.get("Retry-After", "")))
    except ValueError:
        return _WAIT_UNNAMED_SECONDS
