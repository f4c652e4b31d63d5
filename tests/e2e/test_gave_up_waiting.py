"""Callers that are cancelled while their command is being written: what is in the log is done all the same."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from application.ports import Append
from application.rows import GuildRow
from domain.errors import PayloadErased
from domain.summary import Summary
from domain.task_events import Interrupted
from tests.e2e.evidence import all_events
from tests.e2e.machine import HOUR, Machine, until


class Held:
    """The next append to the log waits until it is released."""

    def __init__(self) -> None:
        self.begun, self.release = threading.Event(), threading.Event()


@contextmanager
def held(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    log, one = machine.scheduler.stores.log, Held()
    append = log.append

    def slow(appends: list[Append]) -> Any:
        one.begun.set()
        assert one.release.wait(20)
        return append(appends)

    monkeypatch.setattr(log, "append", slow)
    try:
        yield one
    finally:
        one.release.set()
        monkeypatch.undo()


async def _gives_up(held: Held, asking: Coroutine[Any, Any, Any]) -> None:
    """Whoever asks is cancelled in the middle of the first commit; then that goes on."""
    asked = asyncio.create_task(asking)
    assert await asyncio.to_thread(held.begun.wait, 20)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    held.release.set()


async def test_a_run_on_request_is_done_although_nobody_waits_for_it_any_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claimed, done and recorded; and the schedule goes on beside it."""
    task_id = await machine.task()
    with held(machine, monkeypatch) as one:
        await _gives_up(one, machine.scheduler.run_task_now(task_id))
    await until(lambda: machine.slots == [None])
    await until(lambda: [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == ["executed"])
    await machine.wait(HOUR)
    assert machine.counts() == {"executed": 1}
    assert len(machine.slots) == 2


async def test_a_task_is_cancelled_and_its_run_given_up_although_nobody_waits_for_it_any_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is doing does not go on beside the word in the log."""
    task_id = await machine.run_under_way()
    with held(machine, monkeypatch) as one:
        await _gives_up(one, machine.scheduler.cancel_task(task_id))
    await until(lambda: machine.scheduler.dispatcher.active_runs == 0)
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    assert (run.state, run.reason) == ("skipped", "cancelled")


async def test_a_stop_that_nobody_waits_for_interrupts_its_runs_and_closes_the_stores(machine: Machine) -> None:
    """The next start finds a run that was interrupted, and no process that died."""
    task_id = await machine.run_under_way()
    stopping = asyncio.create_task(machine.scheduler.stop())
    await asyncio.sleep(0.01)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await asyncio.wait_for(machine.scheduler.stop(), 20)  # waits for the one that goes on
    machine.release = None
    await machine.boot()
    assert [node.lost for node in machine.scheduler.queries.nodes()] == [False, False]
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    assert (run.state, run.attempt, len(machine.slots)) == ("executed", 2, 2)
    causes = [e.cause for e in all_events(machine.scheduler.stores.log) if isinstance(e, Interrupted)]
    assert causes == ["shutdown"]


async def test_a_start_after_a_stop_that_was_given_up_waits_for_it(machine: Machine) -> None:
    """The service runs again: the second call is what counts."""
    await machine.run_under_way()
    stopping = asyncio.create_task(machine.scheduler.stop())
    await asyncio.sleep(0.01)
    stopping.cancel()
    machine.release = None
    await asyncio.wait_for(machine.scheduler.start(), 20)
    assert machine.scheduler.running
    await until(lambda: len(machine.slots) == 2)


async def test_a_start_that_nobody_waits_for_any_more_can_be_made_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled as it announces itself, it goes on; the second start finds it running."""
    await machine.task()
    await machine.scheduler.stop()
    await machine.scheduler.open()
    with held(machine, monkeypatch) as one:
        await _gives_up(one, machine.scheduler.start())
    await asyncio.wait_for(machine.scheduler.start(), 20)
    assert machine.scheduler.running
    await machine.jump(HOUR)
    await until(lambda: len(machine.slots) == 1)


async def test_a_stop_waits_for_a_request_that_is_being_written(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is done, or interrupted and said to be; no next start finds it left behind by a node that lived."""
    task_id = await machine.task()
    with held(machine, monkeypatch) as one:
        asked = asyncio.create_task(machine.scheduler.run_task_now(task_id))
        assert await asyncio.to_thread(one.begun.wait, 20)
        stopping = asyncio.create_task(machine.scheduler.stop())
        await asyncio.sleep(0.05)
        one.release.set()
        assert (await asyncio.wait_for(asked, 20)).success
        await stopping
    await machine.boot()
    assert [run.state for run in machine.scheduler.queries.runs(task_id=task_id)] == ["executed"]
    assert machine.slots == [None]


async def test_the_erasure_of_a_guild_is_finished_although_nobody_waits_for_it_any_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the fact in the log on there is no way back, and no need of another start."""
    task_id = await machine.task()
    scheduler = machine.scheduler
    with held(machine, monkeypatch) as one:
        await _gives_up(one, scheduler.erasure.erase_guild("42"))
    await scheduler.erasure.done()
    row = scheduler.stores.read_model.get(GuildRow, "42")
    assert not row.erasing
    assert scheduler.queries.task(task_id).name == "[erased]"
    assert isinstance(scheduler.queries.history(task_id)[0].event, PayloadErased)


async def test_the_erasure_of_a_person_is_finished_although_nobody_waits_for_it_any_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of the person goes, without another start."""
    scheduler, person = machine.scheduler, "80351110224678912"
    now, said, content = machine.clock.now(), f"{person} said it", scheduler.stores.content
    summary = Summary(id="r", guild_id="42", channel_id="1", summary_text=said, start_time=now, end_time=now)
    content.save_summary("run", summary, now)
    assert content.summary("r") is not None
    with held(machine, monkeypatch) as one:
        await _gives_up(one, scheduler.erasure.erase_person(person, guild_id="42"))
    await scheduler.erasure.done()
    assert content.summary("r") is None


async def test_a_stop_waits_for_an_erasure_that_nobody_waits_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stores are not closed under it: the next start finds nothing left to do."""
    await machine.task()
    with held(machine, monkeypatch) as one:
        await _gives_up(one, machine.scheduler.erasure.erase_guild("42"))
        await machine.scheduler.stop()
    await machine.scheduler.open()
    assert not [message for message in caplog.messages if "was begun and not finished" in message]


async def test_a_stop_does_not_wait_for_ever_for_an_erasure_and_the_next_start_finishes_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has as long as runs have; the fact in the log outlasts both."""
    task_id = await machine.task()
    await machine.scheduler.stop()
    machine.scheduler.limits = replace(machine.scheduler.limits, drain=timedelta(seconds=0.2))
    await machine.scheduler.start()
    erasure, begun, never = machine.scheduler.erasure, asyncio.Event(), asyncio.Event()

    async def hangs(guild_id: str, by: str) -> int:
        begun.set()
        await never.wait()
        return 0

    monkeypatch.setattr(erasure, "_end_tasks", hangs)
    erasing = asyncio.create_task(erasure.erase_guild("42"))
    await begun.wait()
    await asyncio.wait_for(machine.scheduler.stop(), 20)
    assert not erasing.done()
    erasing.cancel()
    await machine.boot()
    assert machine.scheduler.queries.task(task_id).name == "[erased]"


async def test_a_start_that_nobody_waits_for_leaves_stores_that_a_stop_closes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gave up can start again, or stop: the folder is never left in use by nobody."""
    await machine.scheduler.stop()
    persistence, begun, release = machine.scheduler.persistence, threading.Event(), threading.Event()
    opened = persistence.open

    def slow(*arguments: Any, **options: Any) -> Any:
        begun.set()
        assert release.wait(20)
        return opened(*arguments, **options)

    monkeypatch.setattr(persistence, "open", slow)
    for go_on in (machine.scheduler.start, machine.scheduler.stop):
        begun.clear()
        release.clear()
        starting = asyncio.create_task(machine.scheduler.start())
        assert await asyncio.to_thread(begun.wait, 20)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        asyncio.get_running_loop().call_later(0.02, release.set)
        await go_on()
        assert machine.scheduler.running == (go_on == machine.scheduler.start)
        await machine.scheduler.stop()
    release.set()
    await machine.boot()
    await machine.task()
