"""What a host plugs in may hang, swallow its cancellation or cancel itself; the service goes on and tells the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.limits import Limits
from application.ports import Change, Command, DeliveryRequest
from daybook import CustomRun, Destination, DestinationType, TaskExecutor
from domain.errors import StoreUnavailable
from domain.task_events import DeliveredLate, InterruptionReason
from tests.doubles import HostEngine, HostMessages
from tests.e2e.machine import HOUR, Machine, until


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path / "data")
    await machine.boot()
    yield machine
    await machine.scheduler.stop()


def doing(machine: Machine, handler: Any) -> None:
    machine.executor.register_operation("note", handler)


def last(machine: Machine, task_id: str) -> Any:
    return machine.scheduler.queries.runs(task_id=task_id, limit=1)[0]


async def test_work_that_is_cancelled_from_within_has_failed(machine: Machine) -> None:
    """It waits for its retry like any failure, instead of being started again at once and for ever."""
    begun = []

    async def cancels_itself(run: CustomRun) -> None:
        begun.append(run.attempt)
        raise asyncio.CancelledError

    doing(machine, cancels_itself)
    task_id = await machine.task()
    await machine.wait(HOUR)
    assert begun == [1]
    assert (last(machine, task_id).state, last(machine, task_id).reason) == ("waiting", "cancelled")


async def test_a_stop_does_not_wait_for_work_that_swallows_its_cancellation(machine: Machine) -> None:
    """The run is recorded as interrupted and the process ends in time."""
    going = asyncio.Event()
    released = asyncio.Event()

    async def stubborn(run: CustomRun) -> None:
        going.set()
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    doing(machine, stubborn)
    machine.release = released  # the machine does not wait for the run to end
    task_id = await machine.task()
    machine.clock.move(HOUR)
    await machine.timer.check()
    await asyncio.wait_for(going.wait(), 10)
    machine.scheduler.dispatcher.limits = Limits(drain=timedelta(seconds=0.2))
    before = time.monotonic()
    await asyncio.wait_for(machine.scheduler.stop(), 10)
    assert time.monotonic() - before < 9
    released.set()
    machine.release = None
    doing(machine, machine._note)
    await machine.boot()
    assert last(machine, task_id).state == "executed"
    assert last(machine, task_id).attempt == 2
    topics = [recorded.event.topic for recorded in machine.scheduler.queries.history(task_id)]
    assert "task.interrupted" in topics


async def test_work_that_hangs_ends_at_its_deadline(machine: Machine) -> None:
    """That is a failure that may pass: the run waits for its retry."""
    machine.scheduler.dispatcher.limits = Limits(attempt_deadline=timedelta(seconds=0.05))
    ended = []

    async def hang(run: CustomRun) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(run.attempt)

    doing(machine, hang)
    task_id = await machine.task()
    await machine.wait(HOUR)
    assert ended == [1]
    assert (last(machine, task_id).state, last(machine, task_id).reason) == ("waiting", "deadline")


async def test_each_run_ends_at_its_own_deadline(machine: Machine) -> None:
    """One timer watches over all: what began before, and may take longer, goes on when a later one is cut off."""
    machine.release = released = asyncio.Event()  # the machine does not wait for runs to end

    async def becomes(task_id: str, state: str) -> None:
        await until(lambda: [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == [state])

    async def begun(name: str) -> str:
        task_id = await machine.task(name=name)
        machine.clock.move(HOUR)
        await machine.timer.check()
        return task_id

    patient = await begun("Patient")
    await becomes(patient, "running")
    machine.scheduler.dispatcher.limits = Limits(attempt_deadline=timedelta(seconds=0.05))
    for name in ("Hasty", "Hastier"):
        await becomes(await begun(name), "waiting")
        await becomes(patient, "running")
    released.set()
    await becomes(patient, "executed")


async def test_work_that_ignores_its_deadline_has_failed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it returns in the end does not count."""
    monkeypatch.setattr("application.runner.OVERTIME_SECONDS", 0.05)
    machine.scheduler.dispatcher.limits = Limits(attempt_deadline=timedelta(seconds=0.05))
    released = asyncio.Event()

    async def stubborn(run: CustomRun) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    doing(machine, stubborn)
    task_id = await machine.task()
    await machine.wait(HOUR)
    assert (last(machine, task_id).state, last(machine, task_id).reason) == ("waiting", "deadline")
    released.set()


class Stubborn:
    """A delivery channel that swallows its cancellation, and delivers in the end all the same."""

    type = DestinationType.CONSOLE

    def __init__(self) -> None:
        self.going, self.released = asyncio.Event(), asyncio.Event()
        self.taken: list[str] = []

    def remembers(self, destination: Destination) -> timedelta:
        return timedelta(0)

    def check(self, destination: Destination, guild_id: str) -> None:
        """Every place is fine here."""

    async def deliver(self, request: DeliveryRequest) -> str:
        self.going.set()
        for _ in range(5):  # a test that fails must come to its end
            with suppress(asyncio.CancelledError):
                await self.released.wait()
                break
        self.taken.append(request.key)
        return f"page {len(self.taken)}"


async def summarizing(machine: Machine, channel: Stubborn) -> str:
    """A machine that delivers by this channel, with an hourly summary whose attempt has begun to deliver."""
    await machine.scheduler.stop()
    machine.executor = TaskExecutor(HostEngine(), HostMessages(), delivery_channels=[channel])
    await machine.boot()
    place = Destination(type=DestinationType.CONSOLE, target="wall")
    task_id = await machine.task(task_type="summary", operation=None, channel_id="7", destinations=[place])
    machine.release = channel.released  # the machine does not wait for the run to end
    return task_id


def late(machine: Machine, task_id: str) -> list[tuple[int, str | None]]:
    """What was written down late: the attempt, and the receipt."""
    events = [recorded.event for recorded in machine.scheduler.queries.history(task_id)]
    told = [event for event in events if isinstance(event, DeliveredLate)]
    return [(event.attempt, outcome.receipt) for event in told for outcome in event.deliveries]


async def test_what_overstays_its_deadline_and_then_arrives_is_recorded_and_not_sent_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt has failed of its deadline; what it delivers later stands in the log, and the retry leaves it out."""
    monkeypatch.setattr("application.executor.OVERTIME_SECONDS", 0.05)
    monkeypatch.setattr("application.runner.OVERTIME_SECONDS", 0.05)
    channel = Stubborn()
    task_id = await summarizing(machine, channel)
    machine.executor._core.deliverer.deadline = timedelta(seconds=0.05)  # type: ignore[union-attr]
    machine.scheduler.dispatcher.limits = Limits(attempt_deadline=timedelta(seconds=0.05))
    await machine.jump(HOUR)
    await asyncio.wait_for(channel.going.wait(), 10)
    await until(lambda: last(machine, task_id).state == "waiting")
    assert (last(machine, task_id).reason, channel.taken) == ("deadline", [])
    channel.released.set()
    await until(lambda: bool(last(machine, task_id).deliveries))
    assert late(machine, task_id) == [(1, "page 1")]
    [delivery] = last(machine, task_id).deliveries
    assert (delivery.status, delivery.receipt) == ("delivered", "page 1")
    machine.release, machine.scheduler.dispatcher.limits = None, Limits()
    await machine.wait(timedelta(minutes=6))
    assert (last(machine, task_id).state, last(machine, task_id).attempt) == ("executed", 2)
    assert len(channel.taken) == 1
    machine.counts()


async def test_what_arrives_after_its_run_was_taken_over_is_recorded_and_not_sent_again(machine: Machine) -> None:
    """Somebody took this process for dead; the receipt that it comes with settles what was in doubt."""
    channel = Stubborn()
    task_id = await summarizing(machine, channel)
    machine.clock.move(HOUR)
    await machine.timer.check()
    await asyncio.wait_for(channel.going.wait(), 10)
    run, now, owner = last(machine, task_id), machine.clock.now(), machine.scheduler.dispatcher.node.name
    machine.scheduler.dispatcher._claiming = False
    await machine.scheduler.stores.writer.execute(
        Command(
            UUID(task_id),
            lambda task: task.interrupt(
                run.run_id, 1, owner, now=now, cause=InterruptionReason.LEASE_LOST, noticed_by="other"
            ),
        )
    )
    channel.released.set()
    await until(lambda: bool(late(machine, task_id)))
    machine.scheduler.dispatcher._claiming = True
    machine.release = None
    await machine.wait(timedelta(minutes=1))
    assert (last(machine, task_id).state, last(machine, task_id).attempt) == ("executed", 2)
    assert (late(machine, task_id), len(channel.taken)) == ([(1, "page 1")], 1)
    machine.counts()


async def test_an_outcome_that_could_not_be_recorded_is_recorded_by_the_stop(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was full for a moment does not make the work be done twice."""
    task_id = await machine.task()
    writer = machine.scheduler.stores.writer
    execute_many, full = writer.execute_many, [True]

    async def fails_once(commands: Sequence[Any]) -> list[Any]:
        if full and machine.slots:
            full.clear()
            return [StoreUnavailable("the disk is full")] * len(commands)
        return await execute_many(commands)

    monkeypatch.setattr(writer, "execute_many", fails_once)
    machine.clock.move(HOUR)
    machine.scheduler.dispatcher.ring()
    await until(lambda: not full)
    await machine.scheduler.stop()
    await machine.boot()
    assert last(machine, task_id).state == "executed"
    assert len(machine.slots) == 1


async def test_a_node_that_was_fenced_comes_back_under_a_new_name(machine: Machine) -> None:
    """Somebody took the lock file away: the node stops, joins again, and serves what is due."""
    task_id = await machine.task()
    old = machine.scheduler.dispatcher.node.name
    (machine.folder / "daybook.lock").unlink()
    await machine.timer.check()
    assert (machine.scheduler.dispatcher.fenced, machine.scheduler.running) == (True, False)
    await machine.timer.check()
    assert (machine.scheduler.dispatcher.fenced, machine.scheduler.running) == (False, True)
    assert machine.scheduler.dispatcher.node.name == f"{old}~2"
    await machine.wait(HOUR)
    assert last(machine, task_id).state == "executed"
    [lost, back] = sorted(machine.scheduler.queries.nodes(), key=lambda node: node.started_at)
    assert (lost.node, lost.lost, back.ended_at) == (old, True, None)


async def test_two_starts_at_once_start_once(tmp_path: Path) -> None:
    """The second caller finds it started."""
    machine = Machine(tmp_path / "data")
    await machine.boot()
    await asyncio.gather(machine.scheduler.start(), machine.scheduler.start())
    serving = [machine.scheduler.running]
    await machine.scheduler.stop()
    machine.scheduler.dispatcher.changed(Change(0, 0))  # a commit that is told late finds nobody at home
    assert [*serving, machine.scheduler.running] == [True, False]
