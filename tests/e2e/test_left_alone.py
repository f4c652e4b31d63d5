"""A host that fails again and again is left alone, whichever way leads there. Others can see it; nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.egress import EgressPolicy, Phase
from adapters.email_delivery import SmtpServer
from daybook import Destination, DestinationType, ScheduledTask, ScheduleType, TaskExecutor
from infrastructure.hosts_file import hosts_in_trouble
from tests.adapters.cli_runner import Daybook
from tests.adapters.smtp_servers import CUT, ScriptedServer, scripted_server
from tests.discord_double import Channel, DiscordDouble, User, discord_double, hurried
from tests.doubles import HostEngine, HostMessages
from tests.e2e.machine import HOUR, Machine
from tests.hostile_world import HostileWorld, answer

SEND = ("POST", "/channels/*/messages")
PATH = "/api/webhooks/1/token"
WEBHOOKS = {"json": "json", "slack": "slack", "discord_webhook": "discord", "teams": "teams"}
KINDS = [*WEBHOOKS, "email", "discord", "dm"]
SOON = timedelta(seconds=20)


@dataclass
class Side:
    """The other side of every kind, which can be in trouble, and a service that delivers to it."""

    machine: Machine
    world: HostileWorld
    server: ScriptedServer
    double: DiscordDouble
    square: Channel
    ann: User

    def place(self, kind: str) -> Destination:
        """A destination of a kind."""
        if kind in WEBHOOKS:
            return Destination(type=DestinationType.WEBHOOK, target=self.world.url(PATH), format=WEBHOOKS[kind])
        if kind == "email":
            return Destination(type=DestinationType.EMAIL, target="ann@example.org", format="text")
        if kind == "dm":
            return Destination(type=DestinationType.DISCORD_DM, target=str(self.ann.id))
        return Destination(type=DestinationType.DISCORD_CHANNEL, target=str(self.square.id))

    def host(self, kind: str) -> str:
        """The name of the host of a kind."""
        if kind in WEBHOOKS:
            return f"127.0.0.1:{self.world.port}"
        return f"127.0.0.1:{self.server.port}" if kind == "email" else "discord.com"

    def breaks(self) -> None:
        """Nothing works any more."""
        self.world.script(PATH, answer(503))
        self.server.script["greeting"] = CUT
        self.double.faults.answer(*SEND, 503, times=1000)

    def works(self) -> None:
        """Everything works again."""
        self.world.script(PATH, answer(200))
        self.server.script.clear()
        self.double.faults.clear()

    def heard(self) -> int:
        """How often anybody knocked: requests that came in, of whatever kind."""
        return len(self.world.requests) + len(self.double.wire.sent(*SEND)) + len(self.server.commands)

    def has(self, kind: str) -> int:
        """How many results have arrived."""
        if kind in WEBHOOKS:
            return len(self.world.requests)
        if kind == "email":
            return len(self.server.messages)
        place = self.square if kind == "discord" else self.double.world.conversation(self.ann)
        return len(place.messages)

    async def task(self, kind: str, **more: Any) -> str:
        """An hourly summary for a destination of this kind."""
        task = ScheduledTask(
            name="Digest",
            guild_id=str(self.square.guild_id),
            channel_id="7",
            schedule_type=ScheduleType.HOURLY,
            destinations=[self.place(kind)],
            now=self.machine.clock.now(),
            **more,
        )
        return await self.machine.scheduler.schedule_task(task)

    def phase(self, kind: str) -> Phase | None:
        """The breaker of a kind's host; None while nothing is wrong."""
        view = self.machine.scheduler.get_scheduler_stats()["hosts"].get(self.host(kind))
        return None if view is None else view.phase

    async def is_given_up(self, kind: str) -> None:
        """People ask for runs until the host is left alone."""
        asked = await self.task(kind, max_failures=10)
        for _ in range(6):
            if self.phase(kind) is not Phase.OPEN:
                await self.machine.scheduler.run_task_now(asked)
        assert self.phase(kind) is Phase.OPEN
        await self.machine.scheduler.cancel_task(asked)


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Side]:
    async with AsyncExitStack() as open:
        world = await open.enter_async_context(HostileWorld())
        server = await open.enter_async_context(scripted_server())
        double = await open.enter_async_context(discord_double())
        open.enter_context(hurried())
        machine = Machine(tmp_path / "data")
        guild = double.world.add_guild("Village")
        square, ann = double.world.add_channel(guild, "square"), double.world.add_user("ann")
        double.world.add_member(guild, ann)
        client = await open.enter_async_context(double.rest_client(max_ratelimit_timeout=30))
        machine.executor = TaskExecutor(
            HostEngine(),
            HostMessages(),
            client,
            egress_policy=EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True),
            mail_server=SmtpServer(host="127.0.0.1", port=server.port, security="none", sender="daybook@example.org"),
        )
        await machine.boot()
        await machine.jump(HOUR - SOON)
        yield Side(machine, world, server, double, square, ann)
        await machine.scheduler.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_due_while_its_host_is_left_alone_is_postponed_and_arrives_once(side: Side, kind: str) -> None:
    """Nothing is sent and nothing counts, though one failure would disable the task; later the result arrives."""
    side.breaks()
    task_id = await side.task(kind, max_failures=1)
    await side.is_given_up(kind)
    heard = side.heard()
    await side.machine.jump(SOON)
    queries = side.machine.scheduler.queries
    [run] = queries.runs(task_id=task_id)
    task = await side.machine.scheduler.get_task_status(task_id)
    assert (run.state, task.status, task.consecutive_failures) == ("waiting", "active", 0)
    assert "is left alone for now" in str(run.error)
    assert side.heard() == heard, "nobody knocked"
    assert run.due_at is not None
    assert run.due_at - side.machine.clock.now() >= timedelta(minutes=5)
    side.works()
    before = side.has(kind)
    await side.machine.jump(timedelta(minutes=6))
    [run] = queries.runs(task_id=task_id)
    assert (run.state, run.attempt) == ("executed", 2)
    assert side.has(kind) == before + 1
    assert side.phase(kind) is None
    side.machine.counts()


@pytest.mark.parametrize("kind", ["json", "email", "discord"])
async def test_another_process_sees_which_host_is_left_alone_and_until_when(side: Side, kind: str) -> None:
    """``daybook destinations status`` and ``daybook doctor`` beside the service; when all is well, they say so."""
    cli, folder = Daybook(side.machine.folder), side.machine.folder
    await side.machine.timer.check()
    assert hosts_in_trouble(folder) == {}
    assert "no host is in trouble" in cli("destinations", "status").out
    side.breaks()
    await side.is_given_up(kind)
    await side.machine.timer.check()
    now = side.machine.clock.now()
    [(name, seen)] = cli("destinations", "status", "--json").json["hosts"].items()
    assert name == side.host(kind)
    assert (seen["phase"], seen["since"]) == ("open", now.isoformat())
    assert seen["next_try"] == (now + timedelta(seconds=60)).isoformat()
    assert seen["consecutive_failures"] >= 5
    assert seen["last_error"]
    shown = cli("destinations", "status").out
    assert (name in shown, "left alone" in shown) == (True, True)
    said = await asyncio.to_thread(cli, "doctor")
    assert f"{name} (left alone" in said.out
    side.works()
    await side.machine.jump(2 * SOON + SOON)
    await side.task(kind)
    await side.machine.jump(HOUR)
    await side.machine.timer.check()
    assert cli("destinations", "status", "--json").json == {"running": True, "hosts": {}}


async def test_what_an_ended_service_said_of_hosts_is_not_believed(side: Side) -> None:
    """The file stays behind; without its process, and beside the next one, it says nothing."""
    side.breaks()
    await side.is_given_up("json")
    await side.machine.timer.check()
    folder = side.machine.folder
    stale = (folder / "daybook.hosts").read_bytes()
    assert hosts_in_trouble(folder)
    await side.machine.scheduler.stop()
    assert hosts_in_trouble(folder) is None
    assert "no service is running" in Daybook(folder)("destinations", "status").out
    await side.machine.boot()
    assert (folder / "daybook.hosts").read_bytes() == stale
    assert hosts_in_trouble(folder) is None
    await side.machine.timer.check()
    assert hosts_in_trouble(folder) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"node": 1}', "[" * 100_000, '{"node": "NODE", "hosts": [1]}'])
async def test_a_damaged_file_of_hosts_says_nothing(side: Side, text: str) -> None:
    """Whatever stands there, nobody who asks fails."""
    await side.machine.timer.check()
    (side.machine.folder / "daybook.hosts").write_text(text.replace("NODE", side.machine.scheduler.node))
    assert hosts_in_trouble(side.machine.folder) is None
    assert Daybook(side.machine.folder)("destinations", "status").code == 0


async def test_trouble_at_one_host_leaves_the_others_alone(side: Side) -> None:
    """Mail is down: a webhook of the same task takes its result, and only what is missing is retried."""
    side.server.script["greeting"] = CUT
    await side.is_given_up("email")
    both = await side.task("json", max_failures=1)
    await side.machine.scheduler.update_task(both, destinations=[side.place("json"), side.place("email")])
    await side.machine.jump(SOON)
    assert (side.has("json"), side.has("email")) == (1, 0)
    side.works()
    await side.machine.jump(timedelta(minutes=6))
    assert (side.has("json"), side.has("email")) == (1, 1)
    [run] = side.machine.scheduler.queries.runs(task_id=both)
    assert run.state == "executed"
