"""Delivery into Discord's channels: the right guild, nobody mentioned, nothing twice, errors told apart."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from adapters.discord_delivery import DiscordChannelDelivery, part_nonce
from application.ports import DeliveryRequest
from domain.destination import Destination, DestinationType, delivery_key
from domain.errors import DeliveryFailed, InvalidDestination
from domain.summary import Summary

SLOT = datetime(2026, 3, 29, 7, 0, tzinfo=UTC)
CHANNEL = 1184200000000001024


class Channel:
    """A channel that keeps what it is sent, as Discord would: one message per nonce. ``failures`` come first."""

    def __init__(self, guild_id: int | None = 42, failures: list[Exception | None] | None = None) -> None:
        if guild_id is not None:
            self.guild = SimpleNamespace(id=guild_id)
        self.failures = failures or []
        self.sends: list[dict[str, Any]] = []
        self.messages: dict[str, dict[str, Any]] = {}

    async def send(self, content: str | None = None, **what: Any) -> SimpleNamespace:
        self.sends.append({"content": content} | what)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.messages.setdefault(what["nonce"], {"content": content} | what)
        return SimpleNamespace(id=1000 + list(self.messages).index(what["nonce"]))


class Client:
    """A client that has the channel in its cache, or has to fetch it, or fails to."""

    def __init__(self, channel: Any = None, *, fetched: Any = None) -> None:
        self.channel, self.fetched = channel, fetched

    def get_channel(self, id: int, /) -> Any:
        return self.channel if id == CHANNEL else None

    async def fetch_channel(self, channel_id: int, /) -> Any:
        if isinstance(self.fetched, Exception):
            raise self.fetched
        return self.fetched


def a_request(text: str = "Two people spoke.", format: str = "embed", target: str = str(CHANNEL)) -> DeliveryRequest:
    destination = Destination(type=DestinationType.DISCORD_CHANNEL, target=target, format=format)
    return DeliveryRequest(
        key=delivery_key("run-1", destination.key),
        run_id="run-1",
        task_id="t",
        task_name="Daily",
        guild_id="42",
        destination=destination,
        summary=Summary(id="s", summary_text=text, message_count=2, start_time=SLOT, end_time=SLOT),
        slot=SLOT,
    )


def http_error(status: int, code: int = 0, headers: dict[str, str] | None = None) -> discord.HTTPException:
    kind = {403: discord.Forbidden, 404: discord.NotFound}.get(status, discord.HTTPException)
    if status >= 500:
        kind = discord.DiscordServerError
    response: Any = SimpleNamespace(status=status, reason="r", headers=headers or {})
    return kind(response, {"code": code, "message": "said so"})


async def test_a_summary_arrives_as_one_embed_that_mentions_nobody() -> None:
    """The embed, the nonce and empty allowed mentions are what discord.py is given."""
    channel = Channel()
    request = a_request("@everyone spoke")
    assert await DiscordChannelDelivery(Client(channel)).deliver(request) == "1000"
    (sent,) = channel.sends
    assert isinstance(sent["embed"], discord.Embed)
    assert "@everyone" not in str(sent["embed"].to_dict())
    assert sent["nonce"] == request.key
    assert sent["allowed_mentions"].to_dict() == {"parse": []}


async def test_markdown_arrives_as_text_within_the_limit() -> None:
    """Long text comes in parts, each with a nonce of its own that fits Discord's 25 characters."""
    channel = Channel()
    request = a_request("word " * 1200, format="markdown")
    receipt = await DiscordChannelDelivery(Client(channel)).deliver(request)
    assert len(channel.sends) == len(receipt.split(",")) > 2
    assert all(len(sent["content"]) <= 2000 for sent in channel.sends)
    nonces = [sent["nonce"] for sent in channel.sends]
    assert len(set(nonces)) == len(nonces)
    assert max(map(len, nonces)) <= 25


def test_nonces_of_parts_are_stable_and_distinct() -> None:
    """The same part of the same delivery has the same nonce in every try and every process."""
    key = delivery_key("run-1", "d")
    assert part_nonce(key, 0) == key
    assert part_nonce(key, 9) == part_nonce(key, 9)
    assert len({part_nonce(key, part) for part in range(10)}) == 10


async def test_a_retry_sends_only_the_parts_that_are_missing() -> None:
    """After a failure in the middle the next try goes on there; readers see each part once, in order."""
    channel = Channel(failures=[None, http_error(503)])
    delivery = DiscordChannelDelivery(Client(channel))
    request = a_request("word " * 1200, format="markdown")
    with pytest.raises(DeliveryFailed):
        await delivery.deliver(request)
    await delivery.deliver(request)
    assert len(channel.messages) == len(channel.sends) - 1
    assert [sent["nonce"] for sent in channel.sends].count(request.key) == 1


async def test_a_channel_outside_the_cache_is_fetched() -> None:
    """Delivery needs no gateway: REST alone finds the channel."""
    channel = Channel()
    await DiscordChannelDelivery(Client(None, fetched=channel)).deliver(a_request())
    assert len(channel.sends) == 1


@pytest.mark.parametrize("cached", [True, False])
async def test_a_channel_of_another_guild_gets_nothing(cached: bool) -> None:
    """A task of one guild cannot send into another, whatever its target says."""
    channel = Channel(guild_id=43)
    client = Client(channel) if cached else Client(None, fetched=channel)
    with pytest.raises(DeliveryFailed, match="does not exist or may not be seen") as failure:
        await DiscordChannelDelivery(client).deliver(a_request())
    assert failure.value.permanent
    assert channel.sends == []


async def test_a_private_channel_gets_nothing() -> None:
    """A conversation with one person is no channel of the guild."""

    class Private(Channel, discord.abc.PrivateChannel):
        me = None  # type: ignore[assignment]

    channel = Private(guild_id=None)
    with pytest.raises(DeliveryFailed, match="no channel of a guild"):
        await DiscordChannelDelivery(Client(channel)).deliver(a_request())
    assert channel.sends == []


async def test_a_category_takes_no_messages() -> None:
    """A channel without a way to send is a permanent failure, said in words."""
    with pytest.raises(DeliveryFailed, match="takes no messages") as failure:
        await DiscordChannelDelivery(Client(SimpleNamespace(guild=SimpleNamespace(id=42)))).deliver(a_request())
    assert failure.value.permanent


@pytest.mark.parametrize(
    "error",
    [
        http_error(403, 50001),
        http_error(403, 50013),
        http_error(403, 50007),
        http_error(404, 10003),
        http_error(404, 10015),
        http_error(400, 50035),
        http_error(400, 50006),
        http_error(413, 40005),
        http_error(400, 200000),
        http_error(400, 50083),
    ],
)
async def test_what_waiting_does_not_mend_is_permanent(error: Exception) -> None:
    """No access, gone, malformed, blocked: not tried again, and certainly not arrived."""
    with pytest.raises(DeliveryFailed, match="said so") as failure:
        await DiscordChannelDelivery(Client(Channel(failures=[error]))).deliver(a_request())
    assert failure.value.permanent
    assert not failure.value.ambiguous


@pytest.mark.parametrize(
    ("error", "ambiguous", "retry_after"),
    [
        (discord.RateLimited(12.5), False, 12.5),
        (http_error(429, headers={"Retry-After": "7"}), False, 7.0),
        (http_error(429), False, None),
        (http_error(400, 20016), False, None),
        (http_error(403, 20028), False, None),
        (http_error(429, 40062), False, None),
        (http_error(503, 130000), False, None),
        (http_error(500), True, None),
        (http_error(503), True, None),
        (aiohttp.ServerDisconnectedError(), True, None),
        (TimeoutError(), True, None),
        (ConnectionResetError(), True, None),
        (ConnectionRefusedError(), False, None),
        (RuntimeError("Session is closed"), True, None),
    ],
)
async def test_what_may_pass_is_transient(error: Exception, ambiguous: bool, retry_after: float | None) -> None:
    """Limits, outages and broken connections may be tried again; a message on its way may have arrived."""
    with pytest.raises(DeliveryFailed) as failure:
        await DiscordChannelDelivery(Client(Channel(failures=[error]))).deliver(a_request())
    assert not failure.value.permanent
    assert failure.value.ambiguous is ambiguous
    assert failure.value.retry_after_seconds == retry_after


@pytest.mark.parametrize("error", [http_error(500), TimeoutError(), aiohttp.ServerDisconnectedError()])
async def test_an_error_while_looking_up_the_channel_is_not_ambiguous(error: Exception) -> None:
    """Nothing was on its way yet."""
    with pytest.raises(DeliveryFailed) as failure:
        await DiscordChannelDelivery(Client(None, fetched=error)).deliver(a_request())
    assert not failure.value.ambiguous
    assert not failure.value.permanent


@pytest.mark.parametrize(
    "target", ["", "general", "-1", "0", "1.5", "١٢٣", "9" * 21, "9" * 20, "1\n", " 1", "<#1>", "../1"]
)
async def test_a_target_that_is_no_channel_id_is_refused(target: str) -> None:
    """The error says what an id looks like; delivering to it fails for good."""
    delivery = DiscordChannelDelivery(Client())
    with pytest.raises(InvalidDestination, match="a channel id is a number"):
        delivery.check(a_request(target=target).destination, "42")
    with pytest.raises(DeliveryFailed) as failure:
        await delivery.deliver(a_request(target=target))
    assert failure.value.permanent


def test_a_format_that_discord_cannot_show_is_refused() -> None:
    """The error names the formats that there are."""
    with pytest.raises(InvalidDestination, match="embed, markdown, text"):
        DiscordChannelDelivery(Client()).check(a_request(format="html").destination, "42")
