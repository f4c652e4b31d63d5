"""A process that dies at each point of a delivery, for every kind: how often the other side gets the result, exactly.

Points: before the send; after the other side has accepted, before we know of it; and when we know, before it is
written down. What dies can neither send nor write from then on. The next process takes the run over at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from adapters.egress import EgressPolicy
from adapters.email_delivery import SmtpServer
from adapters.webhook import FORMATS as WEBHOOK_FORMATS
from application.ports import DeliveryChannel, DeliveryRequest
from daybook import Destination, DestinationType, GuildSettings, ScheduledTask, ScheduleType, TaskExecutor
from domain.destination import UnknownPolicy
from domain.errors import StoreError
from tests.adapters.smtp_servers import Inbox, mail_server
from tests.discord_double import Channel, DiscordDouble, User, discord_double
from tests.doubles import HostEngine, HostMessages
from tests.e2e.machine import HOUR, Machine, until
from tests.hostile_world import HostileWorld, answer

MINUTES = timedelta(minutes=1)


class Point(Enum):
    """Where the process dies."""

    BEFORE_SEND = "before the send"
    AFTER_ACCEPT = "after the other side accepted"
    BEFORE_RECORD = "before the outcome is recorded"


class Mortal:
    """A real delivery channel in a process that dies at a point of it, once."""

    def __init__(self, channel: DeliveryChannel, executor: MortalExecutor) -> None:
        self._channel, self._executor = channel, executor
        self.type = channel.type
        self.remembers, self.check = channel.remembers, channel.check

    async def deliver(self, request: DeliveryRequest) -> str:
        point = self._executor.point
        if point is None:
            return await self._channel.deliver(request)
        if self._executor.dead:
            raise RuntimeError("a dead process sends nothing")
        if point is Point.BEFORE_SEND:
            self._executor.die()
            raise RuntimeError("died before the send")
        receipt = await self._channel.deliver(request)
        self._executor.die()
        if point is Point.AFTER_ACCEPT:
            raise RuntimeError("died after the other side accepted")
        return receipt

    async def close(self) -> None:
        close: Any = getattr(self._channel, "close", None)
        if close is not None and (closing := close()) is not None:
            await closing


class MortalExecutor(TaskExecutor):
    """The real executor, whose channels die with its process. ``point`` None: it lives."""

    point: Point | None = None
    dead = False

    def die(self) -> None:
        """Nothing can be written from here on, and nothing is sent."""
        self.dead = True
        assert self._scheduler is not None
        self._scheduler.stores.writer.close()

    def _default_channels(self, *given: Any) -> list[DeliveryChannel]:
        return [Mortal(channel, self) for channel in super()._default_channels(*given)]


@dataclass
class Town:
    """Real counterparts of every kind, and a service that delivers to them."""

    machine: Machine
    executor: MortalExecutor
    world: HostileWorld
    inbox: Inbox
    double: DiscordDouble
    square: Channel
    ann: User
    printed: list[str]
    capsys: pytest.CaptureFixture[str]

    def place(self, kind: str, on_unknown: UnknownPolicy | None) -> Destination:
        """A destination of a kind."""
        type, target, format = {
            "file": (DestinationType.FILE, "out", "markdown"),
            "console": (DestinationType.CONSOLE, "", "text"),
            "json": (DestinationType.WEBHOOK, self.world.url("/json"), "json"),
            "slack": (DestinationType.WEBHOOK, self.world.url("/slack"), "slack"),
            "discord_webhook": (DestinationType.WEBHOOK, self.world.url("/api/webhooks/1/token"), "discord"),
            "teams": (DestinationType.WEBHOOK, self.world.url("/teams"), "teams"),
            "email": (DestinationType.EMAIL, "ann@example.org", "text"),
            "discord": (DestinationType.DISCORD_CHANNEL, str(self.square.id), "embed"),
            "dm": (DestinationType.DISCORD_DM, str(self.ann.id), "embed"),
        }[kind]
        return Destination(type=type, target=target, format=format, on_unknown=on_unknown)

    def arrived(self, kind: str) -> int:
        """How many results the other side has."""
        self.printed.append(self.capsys.readouterr().out)
        counts: dict[str, Callable[[], int]] = {
            "file": lambda: len(list((self.machine.folder / "summaries").rglob("out/*"))),
            "console": lambda: "".join(self.printed).count("messages in"),
            "json": lambda: len(self.world.requests),
            "slack": lambda: len(self.world.requests),
            "discord_webhook": lambda: len(self.world.requests),
            "teams": lambda: len(self.world.requests),
            "email": lambda: len(self.inbox.messages),
            "discord": lambda: len(self.square.messages),
            "dm": lambda: len(self.double.world.conversation(self.ann).messages),
        }
        return counts[kind]()

    def told(self) -> int:
        """How many notices of failures there are."""
        return len(list((self.machine.folder / "summaries").rglob("owner/*")))

    async def is_told(self) -> None:
        """Until the owner has the notice of a failure, and it is written down that they have it."""
        await until(lambda: self.told() == 1)
        await self.machine.scheduler.dispatcher.notices.close()

    async def begins(self, kind: str, on_unknown: UnknownPolicy | None) -> str:
        """An hourly summary for one destination of this kind, in a guild that wants to be told of failures."""
        await self.machine.boot()
        owner = Destination(type=DestinationType.FILE, target="owner", format="text")
        guild = str(self.square.guild_id)
        await self.machine.scheduler.commands.change_settings(guild, GuildSettings(failure_notices=(owner,)))
        task = ScheduledTask(
            name="Digest",
            guild_id=guild,
            channel_id="7",
            schedule_type=ScheduleType.HOURLY,
            destinations=[self.place(kind, on_unknown)],
            now=self.machine.clock.now(),
        )
        return await self.machine.scheduler.schedule_task(task)

    async def dies(self, point: Point, task_id: str, after: timedelta = HOUR) -> None:
        """The first slot (or a retry) comes, and the process dies in the middle of its delivery."""
        self.executor.point = point
        with suppress(StoreError):  # what still rings in a dying process finds its store closed
            await self.machine.jump(after)
        assert self.executor.dead
        assert self.machine.scheduler.queries.runs(task_id=task_id)[0].state == "running", "nothing was recorded"
        with pytest.raises(StoreError):
            await self.machine.scheduler.stop()
        self.executor.point, self.executor.dead = None, False

    async def comes_back(self, task_id: str, after: timedelta) -> tuple[str, str]:
        """The next process; returns the delivery's status and the run's state."""
        self.machine.clock.move(after)
        self.double.world.pass_time(after)
        await self.machine.boot()
        await self.machine.settled()
        await self.machine.scheduler.dispatcher.notices.close()
        [run] = self.machine.scheduler.queries.runs(task_id=task_id)
        assert run.attempt == 2
        [delivery] = run.deliveries
        self.machine.counts()
        return delivery.status, run.state


@pytest.fixture
async def town(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Town]:
    async with AsyncExitStack() as open:
        world = await open.enter_async_context(HostileWorld())
        inbox = await open.enter_async_context(mail_server())
        double = await open.enter_async_context(discord_double())
        machine = Machine(tmp_path / "data")
        double.world.pass_time(machine.clock.now() - double.world.now())
        guild = double.world.add_guild("Village")
        square, ann = double.world.add_channel(guild, "square"), double.world.add_user("ann")
        double.world.add_member(guild, ann)
        client = await open.enter_async_context(double.rest_client(max_ratelimit_timeout=30))
        executor = MortalExecutor(
            HostEngine(),
            HostMessages(),
            client,
            egress_policy=EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True),
            mail_server=SmtpServer(host="127.0.0.1", port=inbox.port, security="none", sender="daybook@example.org"),
        )
        machine.executor = executor
        yield Town(machine, executor, world, inbox, double, square, ann, [], capsys)
        await machine.scheduler.stop()


HELD, SENT = ("unknown", "failed"), ("delivered", "executed")

EXPECTED = {
    # kind: (results at the other side for each point, and what is written); safe kinds are sent again
    "file": ((1, 1, 1), SENT),  # the name is made from the run: the second write replaces the first
    "console": ((1, 2, 2), SENT),  # a second print does no harm
    "json": ((1, 2, 2), SENT),  # the receiver knows the webhook-id again
    "slack": ((0, 1, 1), HELD),
    "discord_webhook": ((0, 1, 1), HELD),
    "teams": ((0, 1, 1), HELD),
    "email": ((0, 1, 1), HELD),
    "discord": ((1, 1, 1), SENT),  # the nonce is known again
    "dm": ((1, 1, 1), SENT),
}


@pytest.mark.parametrize("point", Point, ids=lambda point: point.name.lower())
@pytest.mark.parametrize("kind", EXPECTED)
async def test_a_death_leaves_exactly_the_expected_results_and_never_silence(
    town: Town, kind: str, point: Point
) -> None:
    """Where the other side knows the key the result is sent again; elsewhere it is held, and the owner is told."""
    counts, written = EXPECTED[kind]
    task_id = await town.begins(kind, None)
    await town.dies(point, task_id)
    assert await town.comes_back(task_id, timedelta(seconds=20)) == written
    assert town.arrived(kind) == counts[list(Point).index(point)]
    assert town.told() == (1 if written == HELD else 0)
    if kind == "json":
        assert len({request.headers["webhook-id"] for request in town.world.requests}) == 1


def test_no_kind_is_left_out() -> None:
    """Every type of destination, and every format of webhooks, dies at every point."""
    webhooks = {"json": "json", "slack": "slack", "discord_webhook": "discord", "teams": "teams"}
    assert {webhooks[kind] for kind in EXPECTED if kind in webhooks} == set(WEBHOOK_FORMATS)
    others = {"file": "file", "console": "console", "email": "email", "discord": "discord_channel", "dm": "discord_dm"}
    assert {*(others.get(kind, "webhook") for kind in EXPECTED)} == set(DestinationType)


@pytest.mark.parametrize("point", Point, ids=lambda point: point.name.lower())
@pytest.mark.parametrize("kind", ["slack", "discord_webhook", "teams", "email"])
async def test_who_prefers_twice_to_never_gets_it_again(town: Town, kind: str, point: Point) -> None:
    """With the policy ``resend`` a result in doubt is sent again, whatever the other side knows."""
    task_id = await town.begins(kind, UnknownPolicy.RESEND)
    await town.dies(point, task_id)
    assert await town.comes_back(task_id, timedelta(seconds=20)) == SENT
    assert town.arrived(kind) == (1 if point is Point.BEFORE_SEND else 2)
    assert town.told() == 0


@pytest.mark.parametrize("point", Point, ids=lambda point: point.name.lower())
@pytest.mark.parametrize(("on_unknown", "written"), [(None, HELD), (UnknownPolicy.RESEND, SENT)])
async def test_a_process_that_comes_back_when_discord_has_forgotten_the_nonce_doubles_nothing(
    town: Town, point: Point, on_unknown: UnknownPolicy | None, written: tuple[str, str]
) -> None:
    """The result is held, or, with ``resend``, looked for in the channel before it is sent again."""
    task_id = await town.begins("discord", on_unknown)
    await town.dies(point, task_id)
    assert await town.comes_back(task_id, 10 * MINUTES) == written
    expected = 0 if written == HELD and point is Point.BEFORE_SEND else 1
    assert town.arrived("discord") == expected
    assert town.told() == (1 if written == HELD else 0)


@pytest.mark.parametrize("point", Point, ids=lambda point: point.name.lower())
async def test_a_death_in_a_retry_sends_nothing_again_to_those_that_have_it(town: Town, point: Point) -> None:
    """What an earlier attempt delivered is left out; only what is missing is delivered, by a third attempt."""
    town.world.script("/json", answer(503), answer(200))
    task_id = await town.begins("json", None)
    places = [town.place("json", None), town.place("email", None)]
    await town.machine.scheduler.update_task(task_id, destinations=places)
    await town.machine.jump(HOUR)
    assert (len(town.world.requests), len(town.inbox.messages)) == (1, 1)
    await town.is_told()  # a notice is delivered too: the process must not die in that
    await town.dies(point, task_id, 10 * MINUTES)
    await town.machine.boot()
    [run] = town.machine.scheduler.queries.runs(task_id=task_id)
    assert (run.state, run.attempt) == ("executed", 3)
    assert {d.type: d.status for d in run.deliveries} == {"webhook": "delivered", "email": "delivered"}
    assert len(town.world.requests) == (2 if point is Point.BEFORE_SEND else 3)
    assert len(town.inbox.messages) == 1


async def test_a_run_on_request_is_looked_up_since_it_was_first_sent(town: Town) -> None:
    """What the first attempt sent is found in the channel by the second."""
    task_id = await town.begins("discord", UnknownPolicy.RESEND)
    await dies_on_request(town, task_id, Point.AFTER_ACCEPT)
    assert town.arrived("discord") == 1
    assert await town.comes_back(task_id, 10 * MINUTES) == SENT
    assert town.arrived("discord") == 1


@pytest.mark.parametrize("point", Point, ids=lambda point: point.name.lower())
async def test_a_run_on_request_leaves_one_file_whenever_its_process_dies(town: Town, point: Point) -> None:
    """Its attempts share an instant, by which the file is named: the second write replaces the first."""
    task_id = await town.begins("file", None)
    await dies_on_request(town, task_id, point)
    assert await town.comes_back(task_id, timedelta(seconds=20)) == SENT
    assert town.arrived("file") == 1


async def dies_on_request(town: Town, task_id: str, point: Point) -> None:
    """The process dies at a point of a run that somebody asked for."""
    town.executor.point = point
    asked = asyncio.create_task(town.machine.scheduler.run_task_now(task_id))
    await until(lambda: town.executor.dead)
    asked.cancel()
    with pytest.raises(StoreError):
        await town.machine.scheduler.stop()
    town.executor.point, town.executor.dead = None, False
