"""From claim to delivery over the real stores: several destinations, a hostile webhook, deaths, and secrets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.egress import EgressPolicy
from daybook import (
    Destination,
    DestinationType,
    GuildSettings,
    ScheduledTask,
    ScheduleType,
    TaskExecutor,
    TaskPersistence,
    TaskScheduler,
)
from domain.errors import StoreError
from tests.adapters.cli_runner import Daybook
from tests.doubles import HostEngine, HostMessages
from tests.e2e.machine import HOUR, Machine, until
from tests.hostile_world import HostileWorld, Received, answer, cut

CANARY = "canary-7f3a9c-token"


class Post(Machine):
    """A machine with an hourly summary for a file and a webhook of a hostile world."""

    def __init__(self, folder: Path, world: HostileWorld) -> None:
        super().__init__(folder)
        self.world, self.engine = world, HostEngine()
        self.executor = self.make_executor()

    def make_executor(self) -> TaskExecutor:
        policy = EgressPolicy([f"127.0.0.1:{self.world.port}"], plain_http=True)
        return TaskExecutor(self.engine, HostMessages(), egress_policy=policy)

    async def summary(self, format: str = "json", **changes: Any) -> str:
        webhook = Destination(type=DestinationType.WEBHOOK, target=self.world.url(f"/hook/{CANARY}"), format=format)
        file = Destination(type=DestinationType.FILE, format="markdown")
        task = ScheduledTask(
            name="Digest",
            guild_id="42",
            channel_id="7",
            schedule_type=ScheduleType.HOURLY,
            destinations=[webhook, file],
            now=self.clock.now(),
            **changes,
        )
        return await self.scheduler.schedule_task(task)

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "summaries").rglob("*.md"))

    def last(self, task_id: str) -> Any:
        return self.scheduler.queries.runs(task_id=task_id, limit=1)[0]

    def statuses(self, task_id: str) -> dict[str, str]:
        return {delivery.type: delivery.status for delivery in self.last(task_id).deliveries}


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    async with HostileWorld() as world:
        machine = Post(tmp_path / "data", world)
        await machine.boot()
        yield machine
        await machine.scheduler.stop()


async def test_a_run_is_no_success_until_every_destination_has_the_result(post: Post) -> None:
    """One destination fails: the retry goes to that one alone, with the summary already made."""
    post.world.script(f"/hook/{CANARY}", answer(503), answer(200))
    task_id = await post.summary()
    await post.wait(HOUR)
    assert post.last(task_id).state == "waiting"
    assert post.statuses(task_id) == {"webhook": "failed", "file": "delivered"}
    await post.wait(timedelta(minutes=10))
    assert post.last(task_id).state == "executed"
    assert post.statuses(task_id) == {"webhook": "delivered", "file": "delivered"}
    assert post.engine.calls == 1
    assert len(post.files()) == 1
    ids = [request.headers["webhook-id"] for request in post.world.requests]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    post.counts()


async def test_a_destination_that_refuses_for_good_is_left_alone_and_the_others_go_on(post: Post) -> None:
    """A 410 disables the webhook; the next hour delivers the file and is a success."""
    post.world.script(f"/hook/{CANARY}", answer(410))
    task_id = await post.summary()
    await post.wait(HOUR)
    assert post.last(task_id).state == "failed"
    await post.wait(HOUR)
    assert post.last(task_id).state == "executed"
    assert len(post.world.requests) == 1
    assert len(post.files()) == 2


@pytest.mark.parametrize(("format", "sent"), [("json", 2), ("slack", 1)])
async def test_an_answer_that_was_lost_is_sent_again_only_where_that_is_safe(
    post: Post, format: str, sent: int
) -> None:
    """A receiver that knows the webhook-id gets it again; Slack would post twice, so the delivery stays unknown."""
    post.world.script(f"/hook/{CANARY}", cut, answer(200))
    task_id = await post.summary(format)
    await post.wait(HOUR + timedelta(minutes=10))
    assert len(post.world.requests) == sent
    assert post.statuses(task_id)["webhook"] == ("delivered" if sent == 2 else "unknown")
    assert post.last(task_id).state == ("executed" if sent == 2 else "failed")
    view = await post.scheduler.get_task_status(task_id)
    assert view.disabled_destinations == ()


async def test_a_task_cancelled_while_it_waits_sends_nothing_new(post: Post) -> None:
    """Its retry is closed as cancelled, and the webhook hears no more."""
    post.world.script(f"/hook/{CANARY}", answer(503))
    task_id = await post.summary()
    await post.wait(HOUR)
    await post.scheduler.cancel_task(task_id)
    await post.wait(3 * HOUR)
    assert len(post.world.requests) == 1
    assert (post.last(task_id).state, post.last(task_id).reason) == ("skipped", "cancelled")


async def test_a_cancel_by_another_process_stops_the_parts_that_are_left(post: Post) -> None:
    """A summary for each of three channels: the first is on its way when somebody cancels, and no other is sent."""
    task_id = await post.summary(channel_ids=["8", "9"], category_mode="individual")

    async def cancels(writer: Any, received: Received) -> None:
        said = await asyncio.to_thread(Daybook(post.folder), "tasks", "cancel", task_id)
        assert said.code == 0, said
        await post.timer.check()  # the poll sees what others commit
        await answer(200)(writer, received)

    post.world.script(f"/hook/{CANARY}", cancels, answer(200))
    await post.wait(HOUR)
    assert len(post.world.requests) == 1
    run = post.last(task_id)
    assert (run.state, run.reason) == ("skipped", "cancelled")
    assert [delivery.status for delivery in run.deliveries if delivery.type == "file"] == ["delivered"] * 3
    await post.wait(2 * HOUR)
    assert len(post.world.requests) == 1
    post.counts()


async def test_a_long_wait_of_one_destination_delays_the_retry_of_no_other(post: Post) -> None:
    """One asks for two hours, the other is back in five minutes: each gets its result at its own time, once."""
    hook, other = f"/hook/{CANARY}", "/hook/other"
    post.world.script(hook, answer(429, Retry_After="7200"), answer(200))
    post.world.script(other, answer(500), answer(200))
    task_id = await post.summary(max_failures=2)
    webhook, _ = (await post.scheduler.get_task_status(task_id)).definition.destinations
    second = Destination(type=DestinationType.WEBHOOK, target=post.world.url(other), format="json")
    await post.scheduler.update_task(task_id, destinations=[webhook, second])

    def asked() -> list[int]:
        return [sum(request.path == path for request in post.world.requests) for path in (hook, other)]

    await post.wait(HOUR + timedelta(minutes=4))
    assert asked() == [1, 1]
    await post.wait(timedelta(minutes=3))
    assert asked() == [1, 2]
    run = post.last(task_id)
    assert (run.state, run.attempt) == ("waiting", 2)
    assert run.due_at >= post.clock.now() + timedelta(minutes=113)
    status = await post.scheduler.get_task_status(task_id)
    assert (status.status, status.consecutive_failures) == ("active", 1), "to be left alone is no failure"
    await post.scheduler.stop()
    await post.boot()  # a new process knows who asked to wait, too
    await post.wait(timedelta(minutes=100))
    assert asked() == [1, 2]
    await post.wait(timedelta(minutes=30))
    assert asked()[0] >= 2
    runs = post.scheduler.queries.runs(task_id=task_id)
    assert (runs[-1].run_id, runs[-1].state, runs[-1].attempt) == (run.run_id, "executed", 3)
    ids = [request.headers["webhook-id"] for request in post.world.requests]
    assert len(set(ids[:4])) == 2
    post.counts()


async def test_what_arrived_before_its_task_was_cancelled_stands_in_the_log_with_its_receipt(post: Post) -> None:
    """The file was written while the webhook hung: the run is closed as cancelled, and says where the file is."""
    task_id = await post.summary()

    async def cancels(writer: Any, received: Received) -> None:
        [active] = post.scheduler.dispatcher.runner._active.values()
        await until(lambda: len(active.progress) == 1)
        await post.scheduler.cancel_task(task_id)

    post.world.script(f"/hook/{CANARY}", cancels)
    await post.wait(HOUR)
    run = post.last(task_id)
    assert (run.state, run.reason) == ("skipped", "cancelled")
    [delivery] = [delivery for delivery in run.deliveries if delivery.status == "delivered"]
    assert delivery.type == "file"
    assert delivery.receipt is not None
    assert delivery.receipt.endswith(post.files()[0])


async def test_a_process_that_dies_between_send_and_record_sends_again_only_where_that_is_safe(
    tmp_path: Path,
) -> None:
    """The intent is durable before the send: after the death, JSON is sent again with its key, Slack is held."""
    for format, expected in (("json", 2), ("slack", 1)):
        async with HostileWorld() as world:
            post = Post(tmp_path / format, world)
            await post.boot()
            task_id = await post.summary(format)

            async def dies(writer: Any, received: Received, post: Post = post) -> None:
                # What was accepted can no longer be recorded: the process is gone from here on.
                post.scheduler.stores.writer.close()
                await answer(200)(writer, received)

            world.script(f"/hook/{CANARY}", dies, answer(200))
            with suppress(StoreError):  # a look at the log may come after the death, too
                await post.jump(HOUR)
            await post.settled()
            with pytest.raises(StoreError):
                await post.scheduler.stop()
            await post.boot()
            assert len(world.requests) == expected
            assert post.statuses(task_id)["webhook"] == ("delivered" if expected == 2 else "unknown")
            await post.scheduler.stop()


async def test_a_token_in_a_webhook_stays_in_the_vault(
    post: Post, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The canary stands in no event, export, view, receipt, log line or file but the vault's, which is encrypted."""
    post.world.script(f"/hook/{CANARY}", answer(503), answer(200, body=f"posted to {CANARY}"))
    task_id = await post.summary()
    notices = (Destination(type=DestinationType.WEBHOOK, target=post.world.url(f"/n/{CANARY}"), format="json"),)
    await post.scheduler.commands.change_settings("42", GuildSettings(failure_notices=notices))
    await post.scheduler.update_task(task_id, destinations=[notices[0]])
    await post.wait(HOUR + timedelta(minutes=10))
    assert post.world.requests
    view = await post.scheduler.get_task_status(task_id)
    texts = [
        json.dumps(post.scheduler.transfer.export_tasks()),
        json.dumps(view.to_dict()),
        repr(view),
        *(repr(record.event) for record in post.scheduler.stores.log.read(0, 1000)),
        *(json.dumps(run.to_dict()) for run in post.scheduler.queries.runs(task_id=task_id)),
        caplog.text,
        capsys.readouterr().out,
    ]
    assert [text for text in texts if CANARY in text] == []
    assert view.definition.destinations[0].label == "127.0.0.1"
    await post.scheduler.stop()
    for path in post.folder.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path.name
    await post.boot()


async def test_a_hanging_destination_delays_no_other(post: Post) -> None:
    """The file is there while the webhook has not answered."""
    task_id = await post.summary()

    async def look(writer: Any, received: Received) -> None:
        await until(lambda: len(post.files()) == 1)
        await answer(200)(writer, received)

    post.world.script(f"/hook/{CANARY}", look)
    await post.wait(HOUR)
    assert post.statuses(task_id) == {"webhook": "delivered", "file": "delivered"}


async def test_a_private_address_is_refused_when_the_task_is_made(tmp_path: Path) -> None:
    """Without an operator's leave no webhook reaches inside, and nothing is kept in the vault for it."""
    scheduler = TaskScheduler(TaskExecutor(), TaskPersistence(tmp_path / "data", environment={}))
    webhook = Destination(type=DestinationType.WEBHOOK, target="https://169.254.169.254/latest", format="json")
    task = ScheduledTask(name="Leak", guild_id="42", channel_id="7", destinations=[webhook])
    with pytest.raises(ValueError, match=r"target"):
        await scheduler.schedule_task(task)
    assert await scheduler.get_scheduled_tasks() == []
    await scheduler.stop()
