"""Results into channels, threads and direct messages of Discord. REST only: the gateway may be away."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from adapters.egress import Admission, Health, HostGates, Passage, health_of
from adapters.rendering import DiscordMessage, Renderer
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType
from domain.errors import DeliveryFailed, InvalidDestination

if TYPE_CHECKING:
    import discord

__all__ = ["DiscordChannelDelivery", "DiscordClient", "DiscordDirectDelivery", "part_nonce"]

_log = logging.getLogger("daybook.discord")

_FORMATS = ("embed", "markdown", "text")
_MAX_SNOWFLAKE = 2**63 - 1
_KEYS_REMEMBERED = 1000
_NONCE_MEMORY = timedelta(minutes=2)
_CLOCKS_APART = timedelta(minutes=5)
"""How far Discord's clock and ours may be apart without an earlier message being overlooked."""
_LOOKED_THROUGH = 300
"""Messages that are looked through, newest first, for parts that came of an earlier try."""

_PERMANENT_CODES = frozenset(
    {10003, 10004, 10007, 10013, 10015, 40005, 50001, 50006, 50007, 50008, 50013, 50027, 50035, 50083, 200000, 200001}
)
"""Unknown channel, guild, member, user or webhook, too large, no access, empty, no direct messages, no text channel, no
permission, bad token, invalid form, archived thread, AutoMod."""
_TRANSIENT_CODES = frozenset({20016, 20028, 40062, 130000})
"""Slow mode, write limits, and Discord overloaded."""
_PERMANENT_STATUSES = frozenset({400, 403, 404, 405, 410, 413})
_TOKEN_REFUSED = 401
"""Nothing of a bot is served any more: its token was reset or revoked. No destination is to blame."""

VIEW_BELOW = "daybook_view_below"
"""What a client has that answers presses: from a request and its guild to the buttons below the result, or None."""

DISCORD = "discord.com"
"""The name of Discord among the hosts."""

TOKEN = "the bot's token at discord.com"
"""Among the hosts too: while the token is refused every request is, and many of them would lock out the machine."""

_SHARE_OF_DEADLINE = 0.75


class DiscordClient(Protocol):
    """What is used of discord.Client; a host's own client fits as well."""

    def get_channel(self, id: int, /) -> Any:
        """The channel from the cache, or None."""
        ...

    async def fetch_channel(self, channel_id: int, /) -> Any:
        """The channel from Discord."""
        ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _Clock(NamedTuple):
    now: Callable[[], datetime]


@dataclass(slots=True)
class _Trial:
    """One try: how far it came, and what it showed of Discord."""

    admission: Admission | None = None
    sending: bool = False
    passage: Passage = field(default_factory=Passage)
    token: Passage = field(default_factory=Passage)


class _DiscordDelivery:
    """Sends each result as one embed, or as text in parts; the receipt is the ids of its messages, with commas between.

    Every send mentions nobody and carries a stable nonce, by which Discord leaves out what it has already. It remembers
    a nonce for a few minutes only: ``remembers`` says how long. A result whose slot, or first try, is longer ago than
    that may have been sent by an earlier try: then the bot's own messages since then are looked through (the last 300
    messages of the channel), and parts that stand there are not sent again. Where the bot may not read the history,
    it sees none.
    Parts that are known to have arrived are not sent again by the same process, however late.

    While Discord fails again and again it is left alone for a while; a channel that asked to wait is, too (``gates``,
    by default this channel's own). One try ends before ``deadline``, with time left for a second one.
    """

    type: ClassVar[DestinationType]
    _target: ClassVar[str]

    def __init__(
        self,
        client: Any,
        now: Callable[[], datetime] = _utc_now,
        templates: Path | None = None,
        *,
        gates: HostGates | None = None,
        deadline: timedelta = timedelta(seconds=60),
    ) -> None:
        self._client, self._now, self._renderer = client, now, Renderer(templates)
        self._gates = gates or HostGates(_Clock(now))
        self._seconds = deadline.total_seconds() * _SHARE_OF_DEADLINE
        self._arrived: OrderedDict[str, list[str]] = OrderedDict()

    def remembers(self, destination: Destination) -> timedelta:
        """ "The past few minutes", as Discord says of its nonces: two are safe."""
        return _NONCE_MEMORY

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse a target that is no id, and a format that Discord cannot show."""
        _id_of(destination.target, self._target)
        if destination.format not in _FORMATS:
            raise InvalidDestination(
                "format", destination.format, "is not shown by Discord", f"use one of {', '.join(_FORMATS)}"
            )

    async def deliver(self, request: DeliveryRequest) -> str:
        """Send what of the result has not arrived yet. Raises DeliveryFailed.

        A result in several parts cannot be sent at once: when this is cancelled between two, readers see the first
        ones, and the next try goes on with the rest.
        """
        try:
            self.check(request.destination, request.guild_id)
        except InvalidDestination as error:
            raise DeliveryFailed(str(error), permanent=True) from error
        trial = _Trial()
        try:
            with self._gates.passing(TOKEN, "") as trial.token:
                return await self._within_limits(request, trial)
        except TimeoutError:
            raise self._out_of_time(trial) from None
        finally:
            if trial.admission is not None:
                self._gates.finished(DISCORD, trial.admission, trial.passage.health, trial.passage.error)

    async def _within_limits(self, request: DeliveryRequest, trial: _Trial) -> str:
        async with asyncio.timeout(self._seconds), self._gates.place(DISCORD, request.destination.target):
            trial.admission = self._gates.admit(DISCORD, request.destination.target)
            try:
                receipt = await self._send_all(request, trial)
            except DeliveryFailed as failure:
                self._learn(failure, trial, request)
                raise
            trial.passage.up()
            trial.token.up()
            return receipt

    def _out_of_time(self, trial: _Trial) -> DeliveryFailed:
        if trial.admission is None:
            reason = "other deliveries to this channel took too long; this one was not sent"
            return DeliveryFailed(reason, postponed=True)
        # A client that sleeps through every 429, however long, may have done just that: nothing was seen of Discord.
        patience = getattr(getattr(self._client, "http", None), "max_ratelimit_timeout", None)
        if patience is not None and patience < self._seconds:
            trial.passage.failing(f"it did not answer within {self._seconds:g} s")
        return DeliveryFailed(f"Discord did not answer within {self._seconds:g} s", ambiguous=trial.sending)

    def _learn(self, failure: DeliveryFailed, trial: _Trial, request: DeliveryRequest) -> None:
        """What a failure shows of Discord; one that came of what is known here shows nothing."""
        cause = failure.__cause__
        if cause is None:
            return
        if _is_token_refused(cause):
            trial.token.failing(failure.reason)
            _log.error("nothing can be sent to Discord: %s", failure.reason)
        elif _is_answer(cause):
            trial.token.up()
        if _is_trouble(cause):
            trial.passage.failing(failure.reason)
        else:
            trial.passage.up()
        if failure.retry_after_seconds is not None:
            self._gates.slow_down(DISCORD, request.destination.target, failure.retry_after_seconds, failure.reason)

    async def _send_all(self, request: DeliveryRequest, trial: _Trial) -> str:
        place = await self._place(request)
        messages = self._renderer.discord_messages(
            request.summary,
            request.destination.format,
            timezone=request.timezone,
            task_name=request.task_name,
            run_id=request.run_id,
        )
        arrived = self._arrived_of(request.key)
        if self._now() - _earliest(request) > _NONCE_MEMORY:
            arrived += await self._found(place, request, messages, len(arrived))
        for part in range(len(arrived), len(messages)):
            trial.sending = True
            view = self._below(request, place) if part == len(messages) - 1 else None
            arrived.append(await _send(place, messages[part], part_nonce(request.key, part), view))
        self._arrived.pop(request.key, None)
        return ",".join(arrived)

    def _below(self, request: DeliveryRequest, place: Any) -> Any:
        """The buttons below the last part; None where nobody would answer a press."""
        return None

    async def _place(self, request: DeliveryRequest) -> Any:
        """Where to send it; raises DeliveryFailed."""
        raise NotImplementedError

    async def _found(
        self, place: Any, request: DeliveryRequest, messages: Sequence[DiscordMessage], first: int
    ) -> list[str]:
        """The ids of parts, from ``first`` on without a gap, that stand in the place since the slot."""
        # What does not name its run could be another run's: an engine's own embed with a footer of its own.
        named = bool(messages) and request.run_id in _shown(messages[-1]).replace("\\", "")
        own = getattr(getattr(self._client, "user", None), "id", None)
        if own is None or not named or not hasattr(place, "history"):
            return []
        seen: dict[str, str] = {}
        try:
            async for message in place.history(limit=_LOOKED_THROUGH):
                if message.created_at < _earliest(request) - _CLOCKS_APART:
                    break
                if message.author.id == own:
                    seen[_squeezed(_shown_of(message))] = str(message.id)
        except Exception as error:
            raise _failure(error, sending=False) from error
        found: list[str] = []
        for message in messages[first:]:
            id = seen.get(_squeezed(_shown(message)))
            if id is None:
                break
            found.append(id)
        return found

    def _arrived_of(self, key: str) -> list[str]:
        """The message ids of the parts that have arrived; kept for the keys used last."""
        arrived = self._arrived.setdefault(key, [])
        self._arrived.move_to_end(key)
        while len(self._arrived) > _KEYS_REMEMBERED:
            self._arrived.popitem(last=False)
        return arrived


class DiscordChannelDelivery(_DiscordDelivery):
    """Delivers into the text channels, announcement channels and threads of the task's own guild."""

    type = DestinationType.DISCORD_CHANNEL
    _target = "channel"

    def _below(self, request: DeliveryRequest, place: Any) -> Any:
        # The client of a bot that serves the buttons says what they are; any other client knows of none.
        offered = getattr(self._client, VIEW_BELOW, None)
        return offered(request, getattr(place, "guild", None)) if callable(offered) else None

    async def _place(self, request: DeliveryRequest) -> Any:
        channel_id = _id_of(request.destination.target, self._target)
        channel = self._client.get_channel(channel_id)
        if channel is None:
            try:
                channel = await self._client.fetch_channel(channel_id)
            except Exception as error:
                raise _failure(error, sending=False) from error
        guild_id = getattr(getattr(channel, "guild", None), "id", None)
        if guild_id is None and _is_private(channel):
            raise DeliveryFailed(f"channel {channel_id} is no channel of a guild", permanent=True)
        if guild_id is not None and str(guild_id) != request.guild_id:
            # Another guild's channel looks like one that does not exist: nobody learns of it this way.
            raise DeliveryFailed(f"channel {channel_id} does not exist or may not be seen", permanent=True)
        if not hasattr(channel, "send"):
            raise DeliveryFailed(f"channel {channel_id} takes no messages (a category or a forum)", permanent=True)
        return channel


class DiscordDirectDelivery(_DiscordDelivery):
    """Delivers to people, each by a user id, as direct messages; only to members of the task's own guild."""

    type = DestinationType.DISCORD_DM
    _target = "user"

    async def _place(self, request: DeliveryRequest) -> Any:
        import discord

        user_id = _id_of(request.destination.target, self._target)
        try:
            if not await self._is_member(request.guild_id, user_id):
                # A guild cannot make the bot write to people who have nothing to do with it.
                raise DeliveryFailed(f"user {user_id} is no member of the guild", permanent=True)
            return await self._client.create_dm(discord.Object(user_id))
        except DeliveryFailed:
            raise
        except Exception as error:
            raise _failure(error, sending=False) from error

    async def _is_member(self, guild_id: str, user_id: int) -> bool:
        import discord

        if not (guild_id.isascii() and guild_id.isdigit()):
            return False
        guild = self._client.get_guild(int(guild_id))
        if guild is not None and guild.get_member(user_id) is not None:
            return True
        try:
            guild = guild or await self._client.fetch_guild(int(guild_id), with_counts=False)
            await guild.fetch_member(user_id)
        except discord.NotFound:
            return False
        return True


def _earliest(request: DeliveryRequest) -> datetime:
    """Since when parts of this result may stand in the channel: a run on request has a new slot with each attempt."""
    return min(request.slot, request.first_sent_at or request.slot)


def part_nonce(key: str, part: int) -> str:
    """The nonce of one part, equal in every try: the key itself for the first, at most 25 characters for all."""
    return key[:24] if part == 0 else f"{key[:22]}-{part:02d}"


def _id_of(text: str, kind: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 20 and 0 < int(text) <= _MAX_SNOWFLAKE:
        return int(text)
    raise InvalidDestination("target", text, f"is not a {kind} id", f"a {kind} id is a number of 17 to 20 digits")


def _shown(message: DiscordMessage) -> str:
    """What people read of a message that is to be sent."""
    return message.content or "" if message.embed is None else _words(message.embed)


def _shown_of(message: discord.Message) -> str:
    """What people read of a message that stands in a channel."""
    return message.content + "".join(_words(embed.to_dict()) for embed in message.embeds)


def _words(embed: Any) -> str:
    fields = [f"{entry['name']}{entry['value']}" for entry in embed.get("fields", ())]
    footer = str((embed.get("footer") or {}).get("text", ""))
    return "".join((str(embed.get("title") or ""), str(embed.get("description") or ""), *fields, footer))


def _squeezed(text: str) -> str:
    """The text without its spaces, of which Discord leaves some out."""
    return "".join(text.split())


def _is_private(channel: Any) -> bool:
    import discord

    return isinstance(channel, discord.abc.PrivateChannel)


async def _send(channel: Any, message: DiscordMessage, nonce: str, view: Any = None) -> str:
    import discord

    what: dict[str, Any] = {"allowed_mentions": discord.AllowedMentions.none(), "nonce": nonce}
    if view is not None:
        what["view"] = view
    if message.embed is not None:
        what["embed"] = discord.Embed.from_dict(message.embed)
    else:
        what |= {"content": message.content, "suppress_embeds": True}
    try:
        sent = await channel.send(**what)
    except Exception as error:
        raise _failure(error, sending=True) from error
    return str(getattr(sent, "id", "sent"))


def _failure(error: Exception, *, sending: bool) -> DeliveryFailed:
    """What an error of the library means. ``sending`` says that a message was on its way: it may have arrived."""
    import aiohttp
    import discord

    if isinstance(error, discord.RateLimited):
        return DeliveryFailed("Discord asked to wait", retry_after_seconds=error.retry_after)
    if isinstance(error, discord.HTTPException):
        return _http_failure(error, sending=sending)
    if isinstance(error, discord.InvalidData):
        return DeliveryFailed(f"Discord's answer was not understood: {error}", permanent=True)
    if isinstance(error, (aiohttp.ClientError, TimeoutError, OSError)):
        ambiguous = sending and not _never_connected(error)
        return DeliveryFailed(f"Discord could not be reached: {_named(error)}", ambiguous=ambiguous)
    if _is_closed(error) and not sending:
        return DeliveryFailed("the client is not logged in at Discord", postponed=True)
    return DeliveryFailed(f"the Discord client failed: {_named(error)}", ambiguous=sending)


def _is_trouble(error: BaseException) -> bool:
    """Whether an error says that Discord itself is in trouble, and not that it does not want this."""
    import discord

    if isinstance(error, discord.HTTPException):
        return health_of(error.status) is Health.FAILING
    return not isinstance(error, discord.RateLimited) and not _is_closed(error)


def _is_answer(error: BaseException) -> bool:
    import discord

    return isinstance(error, discord.HTTPException)


def _is_token_refused(error: BaseException) -> bool:
    import discord

    return isinstance(error, discord.HTTPException) and error.status == _TOKEN_REFUSED


def _is_closed(error: BaseException) -> bool:
    """Whether the client is not logged in, or not any more: aiohttp says so before anything is sent."""
    return isinstance(error, RuntimeError) and str(error) in ("Session is closed", "Connector is closed.")


def _http_failure(error: discord.HTTPException, *, sending: bool) -> DeliveryFailed:
    reason = f"Discord answered {error.status} (code {error.code}): {error.text[:200]}"
    if error.status == _TOKEN_REFUSED:
        return DeliveryFailed(f"{reason}; the operator has to mend DISCORD_TOKEN", postponed=True)
    if error.code in _TRANSIENT_CODES or error.status == 429:
        return DeliveryFailed(reason, retry_after_seconds=_retry_after(error))
    if error.code in _PERMANENT_CODES or error.status in _PERMANENT_STATUSES:
        return DeliveryFailed(reason, permanent=True)
    return DeliveryFailed(reason, ambiguous=sending and error.status >= 500)


def _retry_after(error: discord.HTTPException) -> float | None:
    headers = getattr(error.response, "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def _never_connected(error: BaseException) -> bool:
    import aiohttp

    return isinstance(error, (aiohttp.ClientConnectorError, ConnectionRefusedError))


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__
