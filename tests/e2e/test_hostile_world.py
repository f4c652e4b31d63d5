"""The hostile world against every HTTP destination, through the real deliverer: what is told, in time; what arrived.

Webhooks of each format meet it as a server nearby that an operator allowed; Discord's channels and direct messages
meet the same acts in the place of answers of the double, through a real discord.py client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest

from adapters.discord_bot import DaybookBot
from adapters.discord_client import rest_client
from adapters.discord_delivery import DiscordChannelDelivery, DiscordDirectDelivery
from adapters.egress import Egress, EgressLimits, EgressPolicy, HostGates, Phase, bounded_answers
from adapters.email_delivery import SmtpServer
from adapters.webhook import FORMATS, WebhookDelivery
from application.deliverer import Deliverer
from application.destinations import trial_request
from application.limits import Limits
from application.ports import DeliveryRequest
from daybook import OPERATOR, TaskExecutor, TaskPersistence, TaskScheduler
from domain.destination import DeliveryOutcome, Destination, DestinationType
from tests.adapters.smtp_servers import HANG, scripted_server
from tests.discord_double import Channel, DiscordDouble, User, discord_double, hurried
from tests.doubles import EARLY, HandClock
from tests.hostile_world import (
    Act,
    HostileWorld,
    answer,
    cut,
    cut_within,
    drip,
    endless,
    garbage,
    gzip_bomb,
    hang,
    huge_headers,
    redirect,
)

DEADLINE, PATIENCE = timedelta(seconds=3.2), 12
"""How long a delivery may take, and after how many seconds it hangs: slack for a machine that is busy, no more."""

MOST_READ = 1024**2
SEND = ("POST", "/channels/*/messages")
PATH = "/api/webhooks/1/token"
DELIVERED, PERMANENT, TRANSIENT, AMBIGUOUS = "delivered", "failed for good", "failed", "unknown"

WEBHOOK_ACTS: dict[str, tuple[Act, str]] = {
    "400": (answer(400, "no"), PERMANENT),
    "403": (answer(403), PERMANENT),
    "404": (answer(404), PERMANENT),
    "410": (answer(410), PERMANENT),
    "redirect": (redirect("http://169.254.169.254/"), PERMANENT),
    "429": (answer(429), TRANSIENT),
    "429 with Retry-After": (answer(429, Retry_After="7"), TRANSIENT),
    "500": (answer(500), TRANSIENT),
    "503 with Retry-After": (answer(503, Retry_After="7"), TRANSIENT),
    "hang": (hang, AMBIGUOUS),
    "slow drip of a head": (drip(None), AMBIGUOUS),
    "cut after accept": (cut, AMBIGUOUS),
    "garbage": (garbage, AMBIGUOUS),
    "huge headers": (huge_headers, AMBIGUOUS),
    "slow drip of a body": (drip(200), DELIVERED),
    "endless body": (endless(200), DELIVERED),
    "cut within the body": (cut_within(200), DELIVERED),
    "gzip bomb": (gzip_bomb(200), DELIVERED),
    "gzip bomb that refuses": (gzip_bomb(403), PERMANENT),
}

DISCORD_ACTS: dict[str, tuple[Act, str]] = {
    "400": (answer(400, "no"), PERMANENT),
    "403": (answer(403), PERMANENT),
    "404": (answer(404), PERMANENT),
    "410": (answer(410), PERMANENT),
    "429 of a proxy": (answer(429), TRANSIENT),
    "429 with Retry-After": (answer(429, Retry_After="7"), TRANSIENT),
    "500": (answer(500), AMBIGUOUS),
    "503": (answer(503), AMBIGUOUS),
    "hang": (hang, AMBIGUOUS),
    "slow drip of a head": (drip(None), AMBIGUOUS),
    "slow drip of a body": (drip(200), AMBIGUOUS),
    "cut after accept": (cut, AMBIGUOUS),
    "cut within the body": (cut_within(200), AMBIGUOUS),
    "garbage": (garbage, AMBIGUOUS),
    "huge headers": (huge_headers, AMBIGUOUS),
    "gzip bomb": (gzip_bomb(200), AMBIGUOUS),
    "endless body": (endless(200), AMBIGUOUS),
    "endless refusal": (endless(403), AMBIGUOUS),
}


def told(outcome: DeliveryOutcome) -> str:
    """An outcome in a word of the tables above."""
    assert bool(outcome.receipt) == (outcome.status == "delivered")
    return PERMANENT if outcome.permanent else str(outcome.status)


async def sent(deliverer: Deliverer, place: Destination, request: DeliveryRequest) -> tuple[DeliveryOutcome, float]:
    """One delivery, which must not hang."""
    async with asyncio.timeout(PATIENCE):
        return await deliverer.send(place, request)


# --- webhooks ---------------------------------------------------------------------------------------------------------


@dataclass
class Hooks:
    """Webhooks of a hostile world."""

    world: HostileWorld
    gates: HostGates
    deliverer: Deliverer

    async def send(self, format: str, url: str | None = None) -> tuple[DeliveryOutcome, float]:
        """One delivery in a format."""
        place = Destination(type=DestinationType.WEBHOOK, target=url or self.world.url(PATH), format=format)
        return await sent(self.deliverer, place, trial_request(place, "42", now=EARLY, timezone="UTC"))


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    clock = HandClock(EARLY)
    gates = HostGates(clock)
    async with HostileWorld() as world:
        policy = EgressPolicy(["127.0.0.1"], ports=range(1, 65_536), plain_http=True)
        egress = Egress(clock, policy, limits=EgressLimits.within(DEADLINE), gates=gates)
        webhook = WebhookDelivery(egress, lambda guild, reference: None)
        yield Hooks(world, gates, Deliverer({webhook.type: webhook}, clock, DEADLINE))
        await egress.close()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", WEBHOOK_ACTS)
async def test_a_webhook_meets_the_hostile_world(hooks: Hooks, name: str, format: str) -> None:
    """One request per delivery, one clear outcome, in time; only receivers that know the id again are not in doubt."""
    act, expected = WEBHOOK_ACTS[name]
    hooks.world.script(PATH, act)
    outcome, wait = await sent_twice(hooks, format) if name == "500" else await hooks.send(format)
    assert told(outcome) == (TRANSIENT if (expected, format) == (AMBIGUOUS, "json") else expected)
    assert wait == (7 if "Retry-After" in name else 0)
    assert len(hooks.world.requests) == (2 if name == "500" else 1)


async def sent_twice(hooks: Hooks, format: str) -> tuple[DeliveryOutcome, float]:
    """A burst of errors: each delivery is one request, and the next one is another's."""
    await hooks.send(format)
    return await hooks.send(format)


@pytest.mark.parametrize("format", FORMATS)
async def test_a_webhook_that_refuses_connections_has_nothing(hooks: Hooks, format: str) -> None:
    """Nobody is there: transient, without a doubt."""
    url = f"http://127.0.0.1:{hooks.world.refusing_port}{PATH}"
    outcome, _ = await hooks.send(format, url)
    assert (told(outcome), hooks.world.accepted) == (TRANSIENT, 0)


async def test_a_webhook_that_always_hangs_is_left_alone_like_one_that_refuses(hooks: Hooks) -> None:
    """Five that ended without an answer open the breaker, whatever each of them was told as."""
    paths = [f"/hooks/{number}" for number in range(5)]
    urls = [hooks.world.script(path, drip(None)) for path in paths]
    outcomes = await asyncio.gather(*(hooks.send("slack", url) for url in urls))
    assert {told(outcome) for outcome, _ in outcomes} == {AMBIGUOUS}
    [view] = hooks.gates.states().values()
    assert view.phase is Phase.OPEN
    outcome, wait = await hooks.send("slack")
    assert (told(outcome), outcome.unsent, wait) == (TRANSIENT, True, 60)
    assert len(hooks.world.requests) == 5


# --- Discord ----------------------------------------------------------------------------------------------------------


@dataclass
class Village:
    """A double of Discord whose answers are hostile, and a real client."""

    double: DiscordDouble
    square: Channel
    ann: User
    client: discord.Client
    clock: HandClock
    begun: datetime
    gates: HostGates
    deliverer: Deliverer

    def request(self, kind: str, run: int = 1) -> tuple[Destination, DeliveryRequest]:
        """A result for the square or for ann."""
        if kind == "dm":
            place = Destination(type=DestinationType.DISCORD_DM, target=str(self.ann.id))
        else:
            place = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(self.square.id))
        at = self.begun + timedelta(microseconds=run)
        return place, trial_request(place, str(self.square.guild_id), now=at, timezone="UTC")

    async def send(self, kind: str, run: int = 1) -> tuple[DeliveryOutcome, float]:
        """One delivery."""
        return await sent(self.deliverer, *self.request(kind, run))

    def messages(self, kind: str) -> int:
        """How many messages people see."""
        return len((self.square if kind == "discord" else self.double.world.conversation(self.ann)).messages)


@pytest.fixture
async def village() -> AsyncIterator[Village]:
    async with AsyncExitStack() as open:
        double = await open.enter_async_context(discord_double())
        open.enter_context(hurried())
        guild = double.world.add_guild("Village")
        square, ann = double.world.add_channel(guild, "square"), double.world.add_user("ann")
        double.world.add_member(guild, ann)
        client = await open.enter_async_context(
            double.rest_client(max_ratelimit_timeout=30, http_trace=bounded_answers(MOST_READ))
        )
        clock = HandClock(double.world.now())
        gates = HostGates(clock)
        kinds: list[Any] = [DiscordChannelDelivery, DiscordDirectDelivery]
        channels = [kind(client, double.world.now, gates=gates, deadline=DEADLINE) for kind in kinds]
        deliverer = Deliverer({channel.type: channel for channel in channels}, clock, DEADLINE)
        yield Village(double, square, ann, client, clock, clock.now(), gates, deliverer)


@pytest.mark.parametrize("kind", ["discord", "dm"])
@pytest.mark.parametrize("name", DISCORD_ACTS)
async def test_discord_meets_the_hostile_world(village: Village, name: str, kind: str) -> None:
    """Nothing was done, and nothing arrives; what could have been done is told as unknown, and everything in time."""
    act, expected = DISCORD_ACTS[name]
    village.double.faults.play(*SEND, act, times=1000)
    outcome, wait = await village.send(kind)
    assert told(outcome) == expected
    assert wait == (7 if "Retry-After" in name else 0)
    assert village.messages(kind) == 0
    assert len({sent.payload["nonce"] for sent in village.double.wire.sent(*SEND)}) == 1


@pytest.mark.parametrize("applied", [True, False])
async def test_an_endless_answer_of_discord_is_read_to_a_limit_and_no_further(village: Village, applied: bool) -> None:
    """It breaks off at the limit and not at the deadline: no memory is filled by who answers in place of Discord."""
    village.double.faults.play(*SEND, endless(200), applied=applied, times=1000)
    outcome, _ = await village.send("discord")
    assert (told(outcome), village.messages("discord")) == (AMBIGUOUS, int(applied))
    assert f"longer than {MOST_READ:,} bytes" in str(outcome.reason)


async def test_the_clients_that_are_made_here_read_to_a_limit(village: Village) -> None:
    """The bot of the service, and the client that tests a destination."""
    bot = DaybookBot(lambda client: None)  # type: ignore[arg-type,return-value]  # no service is started
    assert bot.http.http_trace is not None
    async with rest_client(village.double.world.token) as client:
        village.double.faults.play("GET", "/users/*", endless(200))
        with pytest.raises(aiohttp.ClientPayloadError, match="longer than 16,777,216 bytes"):
            await client.fetch_user(village.ann.id)


@pytest.mark.parametrize("kind", ["discord", "dm"])
@pytest.mark.parametrize("name", ["hang", "500", "cut after accept", "slow drip of a body", "garbage"])
async def test_discord_has_one_message_however_often_its_answer_is_lost(village: Village, name: str, kind: str) -> None:
    """All was done each time and the answer is lost each time: unknown, and one message by its nonce."""
    village.double.faults.play(*SEND, DISCORD_ACTS[name][0], applied=True, times=1000)
    outcome, _ = await village.send(kind)
    assert (told(outcome), village.messages(kind)) == (AMBIGUOUS, 1)


@pytest.mark.parametrize("kind", ["discord", "dm"])
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("name", ["500", "503", "cut after accept", "cut within the body", "garbage", "gzip bomb"])
async def test_discord_is_asked_again_at_once_and_has_one_message(
    village: Village, name: str, applied: bool, kind: str
) -> None:
    """Once hostile, then well: delivered, with one message, whether the first was done or not."""
    village.double.faults.play(*SEND, DISCORD_ACTS[name][0], applied=applied)
    outcome, _ = await village.send(kind)
    assert (told(outcome), village.messages(kind)) == (DELIVERED, 1)


@pytest.mark.parametrize("kind", ["discord", "dm"])
async def test_discord_that_refuses_connections_has_nothing(
    village: Village, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is there: transient, without a doubt."""
    async with HostileWorld() as world:
        monkeypatch.setattr(discord.http.Route, "BASE", f"http://127.0.0.1:{world.refusing_port}/api/v10")
        outcome, _ = await village.send(kind)
    assert (told(outcome), village.messages(kind)) == (TRANSIENT, 0)


@pytest.mark.parametrize("kind", ["discord", "dm"])
async def test_a_redirect_takes_the_token_of_the_bot_nowhere(village: Village, kind: str) -> None:
    """The library follows it, unlike our own client; what it sends there holds no token, and nothing is delivered."""
    async with HostileWorld() as elsewhere:
        village.double.faults.play(*SEND, redirect(elsewhere.url("/trap")), times=1000)
        outcome, _ = await village.send(kind)
        assert elsewhere.requests
        assert village.double.world.token not in repr(elsewhere.requests)
    assert (told(outcome), village.messages(kind)) == (AMBIGUOUS, 0)


@pytest.mark.parametrize("applied", [True, False])
async def test_discord_that_hangs_is_left_alone_and_later_has_each_message_once(
    village: Village, applied: bool
) -> None:
    """Five tries that ended in silence; from then on nobody waits for Discord in vain, and nothing is doubled."""
    village.client.http.max_ratelimit_timeout = 1.1  # less than a try may take here, as 30 s are less than 45 s
    village.double.faults.hang(*SEND, applied=applied, times=1000)
    for runs in ((1, 2), (3, 4)):
        both = await asyncio.gather(*(village.send(kind, run) for run in runs for kind in ("discord", "dm")))
        assert {told(outcome) for outcome, _ in both} == {AMBIGUOUS}
    view = village.gates.states()["discord.com"]
    assert (view.phase, view.last_error) == (Phase.OPEN, "it did not answer within 2.4 s")
    asked = len(village.double.wire.sent(*SEND))
    outcome, wait = await village.send("dm", 99)
    assert (told(outcome), outcome.unsent, wait) == (TRANSIENT, True, 60)
    assert len(village.double.wire.sent(*SEND)) == asked
    village.double.faults.clear()
    village.clock.move(timedelta(seconds=61))
    for run in range(1, 5):
        for kind in ("discord", "dm"):
            outcome, _ = await village.send(kind, run)
            assert (told(outcome), village.messages(kind) >= run) == (DELIVERED, True)
    assert [village.messages(kind) for kind in ("discord", "dm")] == [4, 4]


async def test_a_429_of_one_channel_slows_down_that_channel_only(village: Village) -> None:
    """The channel is not asked before it said; a person gets a direct message meanwhile."""
    village.double.faults.rate_limit(*SEND, retry_after_seconds=120)
    outcome, wait = await village.send("discord")
    assert (told(outcome), wait) == (TRANSIENT, 120)
    for run in range(2, 5):
        outcome, wait = await village.send("discord", run)
        assert (told(outcome), outcome.unsent, wait) == (TRANSIENT, True, 120)
    assert len(village.double.wire.sent(*SEND)) == 1
    outcome, _ = await village.send("dm", 9)
    assert (told(outcome), village.messages("dm")) == (DELIVERED, 1)
    assert village.gates.states()["discord.com"].phase is Phase.CLOSED


async def test_what_discord_refuses_does_not_close_the_gate(village: Village) -> None:
    """Ten deliveries to a channel that the bot may not write to: Discord is there, and the others get theirs."""
    village.double.faults.answer(*SEND, 403, 50013, times=10)
    for run in range(10):
        outcome, _ = await village.send("discord", run)
        assert told(outcome) == PERMANENT
    outcome, _ = await village.send("dm", 20)
    assert told(outcome) == DELIVERED
    assert village.gates.states() == {}


# --- as it is put together --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "slack", "email", "discord", "dm"])
async def test_a_slow_host_is_told_by_its_channel_before_the_deadline_strikes(
    kind: str, village: Village, tmp_path: Path
) -> None:
    """Whatever deadline an operator sets: the channel says how far it came, instead of hearing that time is up."""
    async with HostileWorld() as world, scripted_server(DATA=HANG) as mail:
        world.script(PATH, hang)
        village.double.faults.hang("GET", "/channels/*", times=1000)
        village.double.faults.hang("GET", "/guilds/*/members/*", times=1000)
        executor = TaskExecutor(
            discord_client=village.client,
            egress_policy=EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True),
            mail_server=SmtpServer(host="127.0.0.1", port=mail.port, security="none", sender="daybook@example.org"),
        )
        limits = Limits(delivery_deadline=DEADLINE)
        scheduler = TaskScheduler(executor, TaskPersistence(tmp_path / "data", environment={}), limits=limits)
        await scheduler.open()
        if kind in ("discord", "dm"):
            place, _ = village.request(kind)
        elif kind == "email":
            place = Destination(type=DestinationType.EMAIL, target="ann@example.org", format="text")
        else:
            place = Destination(type=DestinationType.WEBHOOK, target=world.url(PATH), format=kind)
        guild = str(village.square.guild_id)
        async with asyncio.timeout(PATIENCE):
            outcome, _ = await scheduler.commands.test_destination(guild, place, principal=OPERATOR)
        assert told(outcome) == (AMBIGUOUS if kind == "slack" else TRANSIENT)
        words = {"email": "the mail server did not answer", "discord": "Discord did not answer"}
        assert words.get(kind.replace("dm", "discord"), "the answer timed out") in str(outcome.reason)
        village.double.faults.release()
        await scheduler.stop()
