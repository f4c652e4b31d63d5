"""What ended badly is called so, what did not is not, and people are told: over the whole service.

The numbers are those of the defects of the module that this project replaces (its groups "failure handling" and
"delivery"): each test fails on what that one did.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.egress import EgressPolicy
from adapters.email_delivery import SmtpServer
from daybook import CustomRun, Destination, DestinationType, GuildSettings, ScheduledTask, ScheduleType, TaskExecutor
from domain.errors import ChannelInaccessible, InvalidDestination
from tests.adapters.smtp_servers import mail_server
from tests.discord_double import discord_double
from tests.doubles import HostEngine, HostMessage, HostMessages, HostSummary, Quiet
from tests.e2e.machine import HOUR, Machine
from tests.hostile_world import HostileWorld, answer

FILE = Destination(type=DestinationType.FILE, target="out", format="markdown")
OWNER = Destination(type=DestinationType.FILE, target="owner", format="text")


@dataclass
class Channels(HostMessages):
    """A source some of whose channels are quiet or closed."""

    trouble: dict[str, Exception] = field(default_factory=dict)

    async def process_channel_messages(
        self, channel_id: str, start_time: datetime, end_time: datetime, options: Any, limit: int | None = None
    ) -> list[HostMessage]:
        """The messages of a channel, or its trouble."""
        if channel_id in self.trouble:
            raise self.trouble[channel_id]
        return await super().process_channel_messages(channel_id, start_time, end_time, options, limit)


class Service(Machine):
    """A machine with a source, an engine, and a guild that wants to be told of failures in the folder ``owner``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.messages, self.engine = Channels(), HostEngine()
        self.executor = TaskExecutor(self.engine, self.messages)

    async def begins(self, *destinations: Destination, guild: str = "42", **fields: Any) -> str:
        """The service, and an hourly summary."""
        await self.boot()
        await self.scheduler.commands.change_settings(guild, GuildSettings(failure_notices=(OWNER,)))
        fields = {"channel_id": "7", "destinations": destinations or (FILE,), **fields}
        task = ScheduledTask(
            name="Digest", guild_id=guild, schedule_type=ScheduleType.HOURLY, now=self.clock.now(), **fields
        )
        return await self.scheduler.schedule_task(task)

    async def last(self, task_id: str) -> Any:
        """The last run, an hour on."""
        await self.wait(HOUR)
        await self.scheduler.dispatcher.notices.close()
        return self.scheduler.queries.runs(task_id=task_id, limit=1)[0]

    def files(self, folder: str) -> list[str]:
        """The texts of the files in a folder of the guild."""
        return [path.read_text(encoding="utf-8") for path in (self.folder / "summaries").rglob(f"{folder}/*")]


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path / "data")
    yield made
    await made.scheduler.stop()


@pytest.mark.parametrize("path", ["source", "engine", "delivery", "operation"])
async def test_people_are_told_of_a_failure_on_every_path(service: Service, path: str) -> None:
    """Defect 23: whatever failed (messages, engine, delivery, a custom operation), one notice says so."""
    fields: dict[str, Any] = {}
    error = RuntimeError("the oven is cold")
    if path == "source":
        service.messages.error = error
    elif path == "engine":
        service.engine.errors = [error] * 9
    elif path == "delivery":
        (service.folder / "summaries" / "42").mkdir(parents=True)
        (service.folder / "summaries" / "42" / "out").write_text("a file where a folder should be")
    else:

        async def fails(run: CustomRun) -> None:
            raise error

        service.executor.register_operation("bake", fails)
        fields = {"task_type": "custom", "operation": "bake", "channel_id": "", "destinations": ()}
    task_id = await service.begins(**fields)
    run = await service.last(task_id)
    assert run.state in ("waiting", "failed")
    [notice] = service.files("owner")
    assert notice.startswith("Digest is failing" if run.state == "waiting" else "Digest was disabled")


async def test_a_quiet_channel_is_no_failure(service: Service) -> None:
    """Defect 24: too few messages is a skip: nothing is counted, nobody is told, the task goes on."""
    service.messages.error = Quiet(1, 5)
    task_id = await service.begins()
    run = await service.last(task_id)
    assert (run.state, run.reason) == ("skipped", "quiet")
    status = await service.scheduler.get_task_status(task_id)
    assert (status.consecutive_failures, status.metadata.failure_count, status.is_active) == (0, 0, True)
    assert service.files("owner") == []


async def test_quiet_and_closed_channels_do_not_fail_the_others_and_are_named(service: Service) -> None:
    """Defect 25: the summary is made of what there is, and says what is missing."""
    service.messages.trouble = {"8": Quiet(0, 5), "9": ChannelInaccessible("9", "no permission to read it")}
    task_id = await service.begins(channel_id="", channel_ids=("7", "8", "9"))
    run = await service.last(task_id)
    assert run.state == "executed"
    assert run.messages == 12
    assert "no permission to read it" in run.note
    assert "8: " in run.note
    assert service.engine.calls == 1


async def test_a_webhook_is_delivered_when_the_other_side_has_taken_it_and_not_before(tmp_path: Path) -> None:
    """Defect 28: success is an answer of the other side, which has the whole result; an error is none."""
    async with HostileWorld() as world:
        service = Service(tmp_path / "data")
        policy = EgressPolicy([f"127.0.0.1:{world.port}"], plain_http=True)
        service.executor = TaskExecutor(service.engine, service.messages, egress_policy=policy)
        world.script("/hook", answer(500), answer(200))
        hook = Destination(type=DestinationType.WEBHOOK, target=world.url("/hook"), format="json")
        task_id = await service.begins(hook)
        await service.jump(HOUR)
        [run] = service.scheduler.queries.runs(task_id=task_id)
        assert (run.state, run.deliveries[0].status) == ("waiting", "failed")
        assert "500" in str(run.deliveries[0].reason)
        await service.wait(timedelta(minutes=10))
        [run] = service.scheduler.queries.runs(task_id=task_id)
        assert (run.state, run.deliveries[0].receipt) == ("executed", "HTTP 200")
        assert b"12 messages in 7" in world.requests[-1].body
        await service.scheduler.stop()


async def test_email_and_files_arrive_and_what_cannot_be_delivered_is_refused_at_once(tmp_path: Path) -> None:
    """Defect 29: nothing is skipped in silence: a service without a mail server takes no task that needs one."""
    mail = Destination(type=DestinationType.EMAIL, target="ann@example.org", format="text")
    async with mail_server() as inbox:
        service = Service(tmp_path / "data")
        server = SmtpServer(host="127.0.0.1", port=inbox.port, security="none", sender="daybook@example.org")
        service.executor = TaskExecutor(service.engine, service.messages, mail_server=server)
        task_id = await service.begins(mail, FILE)
        run = await service.last(task_id)
        assert {d.type: d.status for d in run.deliveries} == {"email": "delivered", "file": "delivered"}
        assert "12 messages in 7" in inbox.only.text()
        assert len(service.files("out")) == 1
        await service.scheduler.stop()
    without = Service(tmp_path / "other")
    with pytest.raises(InvalidDestination, match="has no delivery here"):
        await without.begins(mail)
    await without.scheduler.stop()


async def test_a_run_whose_discord_delivery_failed_is_no_success(tmp_path: Path) -> None:
    """Defect 30: the file arrived, the channel refused: the run failed, the channel is left alone from then on."""
    async with discord_double() as double, double.rest_client() as client:
        guild = double.world.add_guild("Village")
        square = double.world.add_channel(guild, "square")
        double.faults.answer("POST", "/channels/*/messages", 403, 50013, times=9)
        service = Service(tmp_path / "data")
        service.executor = TaskExecutor(service.engine, service.messages, client)
        place = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(square.id))
        task_id = await service.begins(place, FILE, guild=str(guild.id))
        run = await service.last(task_id)
        assert run.state == "failed"
        assert {d.type: d.status for d in run.deliveries} == {"discord_channel": "failed", "file": "delivered"}
        status = await service.scheduler.get_task_status(task_id)
        assert (status.metadata.get_success_rate(), status.disabled_destinations) == (0, (place.key,))
        assert len(service.files("owner")) == 1
        await service.scheduler.stop()


async def test_long_markdown_is_split_where_a_reader_would_split_it(tmp_path: Path) -> None:
    """Defect 32: no part is over Discord's limit, no word is cut in two, and code stays code in every part."""

    class Verbose(HostEngine):
        async def summarize_messages(self, *arguments: Any) -> HostSummary:
            made = await super().summarize_messages(*arguments)
            words = " ".join(f"word{n:04}" for n in range(400))
            code = "\n".join(f"print({n})" for n in range(400))
            text = f"{words}\n\n```python\n{code}\n```\n"
            return HostSummary(made.id, text, made.message_count, made.participants, made.start_time, made.end_time)

    async with discord_double() as double, double.rest_client() as client:
        guild = double.world.add_guild("Village")
        square = double.world.add_channel(guild, "square")
        service = Service(tmp_path / "data")
        service.executor = TaskExecutor(Verbose(), service.messages, client)
        place = Destination(type=DestinationType.DISCORD_CHANNEL, target=str(square.id), format="markdown")
        task_id = await service.begins(place, guild=str(guild.id))
        assert (await service.last(task_id)).state == "executed"
        parts = [message.content for message in square.messages]
        await service.scheduler.stop()
    assert len(parts) > 2
    assert all(len(part) <= 2000 and part.count("```") % 2 == 0 for part in parts)
    whole = " ".join(parts).split()
    assert all(f"print({n})" in whole for n in range(400))
    assert all(f"word{n:04}" in whole for n in range(400))
