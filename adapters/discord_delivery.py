"""Results into channels and threads of Discord, through the client of a bot. REST only: the gateway may be away."""

from __future__ import annotations

from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from adapters.rendering import DiscordMessage, discord_messages
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType
from domain.errors import DeliveryFailed, InvalidDestination

if TYPE_CHECKING:
    import discord

__all__ = ["DiscordChannelDelivery", "DiscordClient", "part_nonce"]

_FORMATS = ("embed", "markdown", "text")
_MAX_SNOWFLAKE = 2**63 - 1
_KEYS_REMEMBERED = 1000

_PERMANENT_CODES = frozenset({10003, 10015, 40005, 50001, 50006, 50007, 50013, 50027, 50035, 50083, 200000, 200001})
"""Unknown channel or webhook, too large, no access, empty, no direct messages, no permission, bad token, invalid form,
archived thread, AutoMod."""
_TRANSIENT_CODES = frozenset({20016, 20028, 40062, 130000})
"""Slow mode, write limits, and Discord overloaded."""
_PERMANENT_STATUSES = frozenset({400, 401, 403, 404, 405, 413})


class DiscordClient(Protocol):
    """What is used of discord.Client; a host's own client fits as well."""

    def get_channel(self, id: int, /) -> Any:
        """The channel from the cache, or None."""
        ...

    async def fetch_channel(self, channel_id: int, /) -> Any:
        """The channel from Discord."""
        ...


_NONCE_MEMORY = timedelta(minutes=2)


class DiscordChannelDelivery:
    """Sends each result as one embed, or as text in parts; the receipt is the ids of its messages, with commas between.

    Every send mentions nobody and carries a stable nonce, by which Discord leaves out what it has already. It remembers
    a nonce for a few minutes only: ``remembers`` says how long. Parts
    that are known to have arrived are not sent again by the same process, however late.
    """

    type = DestinationType.DISCORD_CHANNEL

    def __init__(self, client: DiscordClient) -> None:
        self._client = client
        self._arrived: OrderedDict[str, list[str]] = OrderedDict()

    def remembers(self, destination: Destination) -> timedelta:
        """ "The past few minutes", as Discord says of its nonces: two are safe."""
        return _NONCE_MEMORY

    def check(self, destination: Destination, guild_id: str) -> None:
        """Refuse a target that is no channel id, and a format that Discord cannot show."""
        _channel_id(destination.target)
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
        channel = await self._channel(request)
        messages = discord_messages(
            request.summary,
            request.destination.format,
            timezone=request.timezone,
            task_name=request.task_name,
            run_id=request.run_id,
        )
        arrived = self._arrived_of(request.key)
        for part in range(len(arrived), len(messages)):
            arrived.append(await _send(channel, messages[part], part_nonce(request.key, part)))
        self._arrived.pop(request.key, None)
        return ",".join(arrived)

    async def _channel(self, request: DeliveryRequest) -> Any:
        channel_id = _channel_id(request.destination.target)
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

    def _arrived_of(self, key: str) -> list[str]:
        """The message ids of the parts that have arrived; kept for the keys used last."""
        arrived = self._arrived.setdefault(key, [])
        self._arrived.move_to_end(key)
        while len(self._arrived) > _KEYS_REMEMBERED:
            self._arrived.popitem(last=False)
        return arrived


def part_nonce(key: str, part: int) -> str:
    """The nonce of one part, equal in every try: the key itself for the first, at most 25 characters for all."""
    return key[:24] if part == 0 else f"{key[:22]}-{part:02d}"


def _channel_id(target: str) -> int:
    if target.isascii() and target.isdigit() and len(target) <= 20 and 0 < int(target) <= _MAX_SNOWFLAKE:
        return int(target)
    raise InvalidDestination("target", target, "is not a channel id", "a channel id is a number of 17 to 20 digits")


def _is_private(channel: Any) -> bool:
    import discord

    return isinstance(channel, discord.abc.PrivateChannel)


async def _send(channel: Any, message: DiscordMessage, nonce: str) -> str:
    import discord

    what: dict[str, Any] = {"allowed_mentions": discord.AllowedMentions.none(), "nonce": nonce}
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
    return DeliveryFailed(f"the Discord client failed: {_named(error)}", ambiguous=sending)


def _http_failure(error: discord.HTTPException, *, sending: bool) -> DeliveryFailed:
    reason = f"Discord answered {error.status} (code {error.code}): {error.text[:200]}"
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
