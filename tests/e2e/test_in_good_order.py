"""Starts, stops and troubled moments of one service: nothing stays open that nobody does, nor held that nobody uses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import application.recovery
from application.ports import Command
from application.recovery import Recovery
from application.work import Work
from daybook import TaskPersistence, TaskScheduler
from domain.errors import AppendUnknown, LeaseLost, StoreError, StoreUnavailable
from domain.summary import Summary
from domain.task_events import Interrupted, Started
from tests.doubles import HandTimer
from tests.e2e.evidence import all_events
from tests.e2e.machine import HOUR, Machine, until

BEAT = timedelta(seconds=6)


def _fails_once(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: Exception) -> None:
    """The next call of this method raises this; those after it are as ever."""
    usual = getattr(owner, name)

    def fail(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, usual)
        raise error

    monkeypatch.setattr(owner, name, fail)


def _interrupted(machine: Machine) -> list[str]:
    return [str(e.cause) for e in all_events(machine.scheduler.stores.log) if isinstance(e, Interrupted)]


async def test_a_start_whose_recovery_fails_closes_the_stores_and_the_next_one_recovers(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the dead left is not passed over because the first try met trouble."""
    task_id = await machine.task()
    await machine.scheduler.stop()
    _fails_once(monkeypatch, Recovery, "recover", StoreUnavailable("a moment of trouble"))
    with pytest.raises(StoreUnavailable, match="a moment of trouble"):
        await machine.scheduler.start()
    with pytest.raises(StoreError, match="not open"):
        _ = machine.scheduler.stores
    await machine.boot()
    await machine.wait(HOUR)
    assert [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == ["executed"]


async def test_a_run_that_is_asked_for_while_the_service_stops_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs have been let go by then: it would be done, and done once more by the next start."""
    task_id = await machine.task()
    notices, refused = machine.scheduler.dispatcher.notices, []

    async def close() -> None:
        with pytest.raises(StoreError, match="the service stops"):
            await machine.scheduler.run_task_now(task_id)
        refused.append(task_id)

    monkeypatch.setattr(notices, "close", close)
    await machine.scheduler.stop()
    assert refused == [task_id]
    await machine.boot()
    assert machine.scheduler.queries.runs(task_id=task_id) == []


async def test_a_service_that_was_taken_for_dead_comes_back_and_gives_its_folder_back(machine: Machine) -> None:
    """Under a second name it goes on, and it leaves under that name."""
    await machine.task()
    first = machine.scheduler.dispatcher.node.name
    machine.scheduler.dispatcher._fence("a test says so")
    await machine.timer.advance(BEAT)
    await machine.timer.done()
    assert machine.scheduler.dispatcher.node.name == f"{first}~2"
    await machine.wait(HOUR)
    assert len(machine.slots) == 1
    await machine.scheduler.stop()
    await machine.boot()
    assert [node.lost for node in machine.scheduler.queries.nodes()] == [False, False, True]


async def test_a_stop_in_the_middle_of_coming_back_begins_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told to stop before it had a name again."""
    await machine.task()
    dispatcher, release = machine.scheduler.dispatcher, asyncio.Event()
    on_pulse = dispatcher._on_pulse

    async def slowly(*arguments: Any) -> Any:
        await release.wait()
        return await on_pulse(*arguments)

    dispatcher._fence("a test says so")
    monkeypatch.setattr(dispatcher, "_on_pulse", slowly)
    machine.clock.move(HOUR)
    await machine.timer.advance(BEAT)
    stopping = asyncio.create_task(machine.scheduler.stop())
    await asyncio.sleep(0.02)
    release.set()
    await stopping
    assert machine.slots == []
    await machine.boot()
    assert len(machine.slots) == 1


async def test_a_claim_that_nobody_knew_of_is_found_and_done(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was written, and the answer was lost: while this node lives nobody else would take it over."""
    monkeypatch.setattr(application.recovery, "UNDONE_SECONDS", 0.05)
    task_id = await machine.task()
    writer = machine.scheduler.stores.writer
    usual = writer.execute_many

    async def lost(commands: Sequence[Command]) -> list[Any]:
        outcomes = await usual(commands)
        if not any(isinstance(outcome, Work) for outcome in outcomes):
            return outcomes
        monkeypatch.setattr(writer, "execute_many", usual)
        return [AppendUnknown("the connection was lost") for _ in outcomes]

    monkeypatch.setattr(writer, "execute_many", lost)
    await machine.jump(HOUR)
    assert machine.slots == []
    assert [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == ["running"]
    for _ in range(2):
        await machine.jump(timedelta(seconds=30))
        await asyncio.sleep(0.06)
    await until(lambda: len(machine.slots) == 1)
    await machine.settled()
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    assert (run.state, run.attempt, _interrupted(machine)) == ("executed", 2, ["crash"])


async def test_what_this_node_does_is_not_taken_for_undone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it looks while the work goes on."""
    monkeypatch.setattr(application.recovery, "UNDONE_SECONDS", 0.05)
    await machine.run_under_way()
    for _ in range(3):
        await machine.timer.check()
        await asyncio.sleep(0.06)
    assert machine.release is not None
    machine.release.set()
    machine.release = None
    await machine.settled()
    assert _interrupted(machine) == []
    assert len([e for e in all_events(machine.scheduler.stores.log) if isinstance(e, Started)]) == 1


async def test_what_could_not_be_taken_over_at_the_start_is_taken_over_later(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead node's run does not stay open because the store was in trouble at that moment."""
    task_id = await machine.run_under_way()
    machine.scheduler.stores.writer.close()  # as if it died
    assert machine.release is not None
    machine.release.set()
    with pytest.raises(StoreError):
        await asyncio.wait_for(machine.scheduler.stop(), 60)
    machine.release = None
    usual = Recovery._take_over

    async def not_now(self: Recovery, *arguments: Any) -> None:
        """The store is in trouble."""

    monkeypatch.setattr(Recovery, "_take_over", not_now)
    await machine.boot()
    assert [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == ["running"]
    monkeypatch.setattr(Recovery, "_take_over", usual)
    await machine.jump(timedelta(seconds=30))
    await until(lambda: len(machine.slots) == 2)
    await machine.settled()
    assert [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == ["executed"]


async def test_an_interruption_that_could_not_be_recorded_is_recorded_later(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on then, instead of standing open under a node that has given it up."""
    task_id = await machine.run_under_way()
    _fails_once(monkeypatch, machine.scheduler.stores.log, "append", StoreUnavailable("the disk is full"))
    machine.scheduler.dispatcher.interrupt()
    await until(lambda: machine.scheduler.dispatcher.active_runs == 0)
    assert _interrupted(machine) == []
    machine.release = None
    await machine.jump(timedelta(seconds=30))
    await until(lambda: len(machine.slots) == 2)
    await machine.settled()
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    assert (run.state, run.attempt, _interrupted(machine)) == ("executed", 2, ["shutdown"])


async def test_a_run_that_is_claimed_as_others_take_its_node_for_dead_is_not_begun(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked hears that it was interrupted; it is done when the node has a name again, by nobody twice."""
    task_id = await machine.task()
    scheduler, log = machine.scheduler, machine.scheduler.stores.log
    append, loop = log.append, asyncio.get_running_loop()

    def fenced_meanwhile(appends: Any) -> Any:
        stored = append(appends)
        monkeypatch.setattr(log, "append", append)
        asyncio.run_coroutine_threadsafe(_fence(machine), loop).result(20)
        return stored

    monkeypatch.setattr(log, "append", fenced_meanwhile)
    result = await asyncio.wait_for(scheduler.run_task_now(task_id), 20)
    assert (result.success, result.interrupted, machine.slots) == (False, True, [])
    with pytest.raises(LeaseLost, match="ask again in a moment"):
        await scheduler.run_task_now(task_id)
    await machine.timer.advance(BEAT)
    await machine.timer.done()
    await until(lambda: machine.slots == [None])
    await machine.settled()
    assert [run.state for run in scheduler.queries.runs(task_id=task_id)] == ["executed"]


async def _fence(machine: Machine) -> None:
    machine.scheduler.dispatcher._fence("a test says so")


async def test_a_start_that_fails_lets_go_of_what_is_under_way(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that somebody had asked for is interrupted in the log, and whoever waits is told so."""
    task_id = await machine.task()
    await machine.scheduler.stop()
    machine.scheduler.limits = replace(machine.scheduler.limits, drain=timedelta(seconds=1))
    await machine.scheduler.open()
    machine.release = asyncio.Event()
    asked = asyncio.create_task(machine.scheduler.run_task_now(task_id))
    await until(lambda: len(machine.slots) == 1)
    _fails_once(monkeypatch, machine.scheduler.stores.log, "append", StoreUnavailable("the disk is full"))
    with pytest.raises(StoreUnavailable):
        await machine.scheduler.start()
    assert (await asyncio.wait_for(asked, 20)).interrupted
    machine.release = None
    await machine.boot()
    assert _interrupted(machine) == ["shutdown"]
    assert [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == ["executed"]


async def test_who_works_beside_the_service_is_told_that_it_cannot_run_anything_and_what_to_do(
    machine: Machine,
) -> None:
    """Nothing is written: the run would belong to a process of which the others know nothing."""
    task_id = await machine.task()
    persistence = TaskPersistence(machine.folder, environment={})
    beside = TaskScheduler(machine.executor, persistence, clock=machine.clock, timer=HandTimer(machine.clock))
    await beside.open(companion=True)
    with pytest.raises(LeaseLost, match=r"no run can be done here: .* leave the run to who holds the store"):
        await beside.run_task_now(task_id)
    await beside.stop()
    assert machine.scheduler.queries.runs(task_id=task_id) == []


class _Keeper:
    """Keeps one result that names a person, and cannot delete it at once."""

    def __init__(self) -> None:
        self.text, self.broken = "Zebulon was here", True

    def results_of(self, guild_id: str, wanted: Any = None) -> int:
        return int(bool(self.text) and (wanted is None or wanted(self.text)))

    def erase_results(self, guild_id: str, wanted: Any = None, *, until: Any = None) -> int:
        if self.broken:
            raise OSError("the folder is gone for a moment")
        count, self.text = self.results_of(guild_id, wanted), ""
        return count


async def test_an_erasure_that_meets_trouble_with_files_can_be_made_again(machine: Machine) -> None:
    """What the person is called is known from details of runs alone: these go last."""
    scheduler, person, keeper = machine.scheduler, "80351110224678912", _Keeper()
    scheduler.erasure._keepers = [keeper]
    now = machine.clock.now()
    summary = Summary(id="r", guild_id="42", channel_id="1", summary_text="quiet", start_time=now, end_time=now)
    scheduler.stores.content.save_summary("run", summary, now)
    scheduler.stores.content.save_run_detail("run", "42", {"people": {person: "Zebulon"}}, now)
    with pytest.raises(OSError, match="the folder is gone"):
        await scheduler.erasure.erase_person(person, guild_id="42")
    keeper.broken = False
    [found] = await scheduler.erasure.erase_person(person, guild_id="42")
    assert (found.files, keeper.text) == (1, "")
    assert scheduler.stores.content.run_detail("run") is None
