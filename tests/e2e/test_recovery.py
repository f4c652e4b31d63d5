"""A store in trouble under a running service: clear errors, nothing lost, and the rest goes on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application.ports import Change
from application.work import Work
from daybook import TaskPersistence, TaskScheduler
from domain import task_events as facts
from domain.errors import EventUnreadable, StoreUnavailable
from tests.e2e.evidence import all_events, check_rebuild, check_snapshots, task_streams
from tests.e2e.machine import HOUR, Machine, hours, until


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def _writer_of(machine: Machine) -> Any:
    """The connection that the log is written through."""
    log: Any = machine.scheduler.stores.log
    return log._writer


async def _restarted_after(machine: Machine, statement: str, *parameters: object, file: str = "log.db") -> int:
    """Stop, change the file behind the service's back, and boot again; returns how many rows were changed."""
    await machine.scheduler.stop()
    with _opened(machine.folder / file) as connection:
        changed = connection.execute(statement, parameters).rowcount
    await machine.boot()
    return changed


# --- full and locked --------------------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_clearly_and_loses_nothing(machine: Machine) -> None:
    """Commands fail with the reason, slots wait; with room again all of it goes on, and the numbers add up."""
    task_ids = [await machine.task(name=f"Task {n}", catch_up_window_seconds=7200) for n in range(40)]
    await machine.wait(HOUR)
    writer = _writer_of(machine)
    pages = writer.execute("pragma page_count").fetchone()[0]
    writer.execute(f"pragma max_page_count={pages}")

    async def fill() -> None:
        for n in range(1000):  # until the free room of the last pages is used up
            await machine.scheduler.update_task(task_ids[0], name=f"{n} " + "x" * 90)

    with pytest.raises(StoreUnavailable, match="full"):
        await fill()
    assert (await machine.scheduler.get_task_status(task_ids[0])).is_active
    machine.clock.move(HOUR)
    await machine.timer.check()
    await _idle(machine)
    assert machine.slots == hours(9) * 40
    writer.execute("pragma max_page_count=1000000")
    await machine.jump(timedelta(minutes=1))
    assert machine.slots == hours(9) * 40 + hours(10) * 40
    assert machine.counts() == {"executed": 80}


@pytest.mark.parametrize("restart", [False, True])
async def test_an_outcome_that_could_not_be_written_is_not_forgotten(machine: Machine, restart: bool) -> None:
    """The run ended while nothing could be written: it is recorded at the next check, or taken up again."""
    await machine.task(catch_up_window_seconds=7200)
    machine.release = asyncio.Event()
    await machine.timer.advance(HOUR)
    await _running(machine)
    writer = _writer_of(machine)
    writer.execute("pragma query_only=1")
    machine.release.set()
    machine.release = None
    await _idle(machine)
    [run] = machine.scheduler.queries.runs()
    assert run.state == "running"
    if restart:
        await machine.scheduler.stop()
        await machine.boot()
    else:
        writer.execute("pragma query_only=0")
    await machine.jump(timedelta(minutes=1))
    [run] = machine.scheduler.queries.runs()
    assert (run.state, run.attempt) == ("executed", 2 if restart else 1)
    assert machine.slots == hours(9, 9) if restart else hours(9)
    assert machine.counts() == {"executed": 1}


async def test_a_run_that_is_given_up_before_its_first_step_is_recorded(machine: Machine) -> None:
    """An interruption in the very moment of the claim leaves no attempt open, and the run comes to its end."""
    task_id = await machine.task()
    machine.clock.move(HOUR)
    runner, given_up = machine.scheduler.dispatcher.runner, asyncio.Event()
    begin = runner.begin

    def begin_and_give_up(claimed: Iterable[Work]) -> None:
        begin(claimed)
        runner.interrupt()
        runner.begin = begin  # type: ignore[method-assign]
        given_up.set()

    runner.begin = begin_and_give_up  # type: ignore[method-assign]
    machine.scheduler.dispatcher.ring()
    await asyncio.wait_for(given_up.wait(), 30)
    await machine.settled()
    [run] = machine.scheduler.queries.runs(task_id=task_id)
    assert run.state == "executed"
    assert machine.counts() == {"executed": 1}


async def test_rows_that_come_before_the_answer_hold_nothing_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispatcher may learn that rows have followed before it learns that its own claim is written."""
    writer = machine.scheduler.stores.writer
    execute_many = writer.execute_many

    async def late(commands: Sequence[Any]) -> list[Any]:
        outcomes = await execute_many(commands)
        await writer.catch_up()
        for _ in range(3):
            await asyncio.sleep(0)
        return outcomes

    def skipped() -> int:
        return sum(isinstance(event, facts.Skipped) for event in all_events(machine.scheduler.stores.log))

    monkeypatch.setattr(writer, "execute_many", late)
    machine.release = asyncio.Event()
    await machine.task()
    await writer.catch_up()
    await machine.timer.advance(HOUR)
    await until(lambda: len(machine.slots) == 1)
    for number in (1, 2, 3):  # slots that come while the first one runs; nothing but the timer rings
        await machine.timer.advance(HOUR)
        await until(lambda number=number: skipped() == number)  # type: ignore[misc]
    machine.release.set()
    machine.release = None
    await machine.settled()
    assert machine.counts() == {"executed": 1, "skipped": 3}


async def test_a_change_that_was_told_already_is_not_told_again(machine: Machine) -> None:
    """The writer's thread may ask for a call that finds everything taken by the one before; it is no error."""
    loop = asyncio.get_running_loop()
    calls: list[Callable[..., object]] = []
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: errors.append(context))
    tell = machine.scheduler.dispatcher.notifier()
    scheduled = loop.call_soon_threadsafe

    here = threading.get_ident()

    def twice(call: Callable[..., object], *arguments: Any, **more: Any) -> asyncio.Handle:
        if threading.get_ident() == here:  # other threads end other work meanwhile
            calls.append(call)
            scheduled(call, *arguments, **more)
        return scheduled(call, *arguments, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "call_soon_threadsafe", twice)
        tell(Change(machine.scheduler.stores.log.last_position(), None))
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(calls) == 1
    assert errors == []


async def test_a_locked_store_makes_commands_wait(machine: Machine) -> None:
    """Another process that writes for a moment delays a command and does not fail it."""
    task_id = await machine.task()
    with _opened(machine.folder / "log.db") as other:
        other.execute("begin immediate")
        renaming = asyncio.create_task(machine.scheduler.update_task(task_id, name="Waited"))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not renaming.done()
        other.execute("rollback")
        await renaming
    assert (await machine.scheduler.get_task_status(task_id)).name == "Waited"


async def test_a_store_locked_for_long_is_named_and_served_later(machine: Machine) -> None:
    """After the time-out the command fails clearly; what was due runs when the lock is gone."""
    task_id = await machine.task()
    _writer_of(machine).execute("pragma busy_timeout=20")
    with _opened(machine.folder / "log.db") as other:
        other.execute("begin immediate")
        with pytest.raises(StoreUnavailable, match="locked"):
            await machine.scheduler.update_task(task_id, name="Not now")
        machine.clock.move(HOUR)
        await machine.timer.check()
        for _ in range(100):
            await asyncio.sleep(0.001)
        assert machine.slots == []
        assert (await machine.scheduler.get_task_status(task_id)).name == "Hourly"
        other.execute("rollback")
    await machine.jump(timedelta(seconds=30))
    assert machine.slots == hours(9)
    assert machine.counts() == {"executed": 1}


# --- what can be made again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["deleted", "garbage", "truncated", "from other code"])
async def test_a_read_model_that_is_gone_or_broken_is_made_again(machine: Machine, damage: str) -> None:
    """The file is disposable: the same rows are there after the next start, and the service goes on."""
    task_id = await machine.task()
    await machine.wait(3 * HOUR)
    before = await machine.scheduler.get_task_status(task_id)
    await machine.scheduler.stop()
    path = machine.folder / "readmodel.db"
    for extra in ("readmodel.db-wal", "readmodel.db-shm"):
        (machine.folder / extra).unlink(missing_ok=True)
    if damage == "deleted":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(b"this is no database " * 1000)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:6000])
    else:
        with _opened(path) as connection:
            connection.execute("update meta set value = 'x' where name = 'fingerprint'")
    await machine.boot()
    assert await machine.scheduler.get_task_status(task_id) == before
    await machine.wait(HOUR)
    assert machine.counts() == {"executed": 4}


async def test_rows_that_are_behind_catch_up_at_the_start(machine: Machine) -> None:
    """A kill between the log's commit and the rows' leaves rows that are behind; they are brought up."""
    await machine.task()
    await machine.wait(3 * HOUR)
    await machine.scheduler.stop()
    copy = (machine.folder / "readmodel.db").read_bytes()
    await machine.boot()
    await machine.wait(2 * HOUR)
    await machine.scheduler.stop()
    (machine.folder / "readmodel.db").write_bytes(copy)
    await machine.boot()
    assert machine.counts() == {"executed": 5}


async def test_a_corrupt_snapshot_is_ignored(machine: Machine) -> None:
    """A snapshot is a cache: without it the whole stream is read, and the state is the same."""
    task_id = await machine.task()
    await machine.wait(60 * HOUR)
    streams = task_streams(all_events(machine.scheduler.stores.log))
    assert check_snapshots(machine.scheduler.stores.log, streams) == 1
    before = await machine.scheduler.get_task_status(task_id)
    changed = await _restarted_after(
        machine, "update snapshots set state = cast(substr(state, 1, 40) || x'4142' as blob)"
    )
    assert changed > 0
    assert await machine.scheduler.get_task_status(task_id) == before
    await machine.wait(HOUR)
    assert machine.counts() == {"executed": 61}


# --- damaged and unknown events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("state = x'00'", "truncated"),
        ("state = cast(state || x'4142' as blob)", "damaged"),
        ("topic = 'task.of.the.future'", "unknown topic|damaged"),
    ],
    ids=["torn", "tampered", "unknown"],
)
async def test_a_corrupt_event_stops_its_own_task_and_no_other(
    machine: Machine, damage: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Commands on it say what is wrong and where; the others run, reading goes on, a rebuild names the fault."""
    broken, sound = await machine.task(name="Broken"), await machine.task(name="Sound")
    await machine.wait(2 * HOUR)
    machine.slots.clear()
    statement = f"update stored_events set {damage} where originator_id = ? and originator_version = 3"
    assert await _restarted_after(machine, statement, broken.replace("-", "")) == 1
    with pytest.raises(EventUnreadable, match=words) as unreadable:
        await machine.scheduler.pause_task(broken)
    assert unreadable.value.version == 3
    for _ in range(3):
        machine.clock.move(HOUR)
        await machine.timer.check()
        await _idle(machine)
    assert machine.slots == hours(11, 12, 13)
    assert (await machine.scheduler.get_task_status(sound))["metadata"]["execution_count"] == 5
    assert "cannot be read" in caplog.text
    assert "Broken" in {task.name for task in await machine.scheduler.get_scheduled_tasks()}
    assert len(machine.scheduler.queries.history(broken)) == 5
    await machine.scheduler.stop()
    (machine.folder / "readmodel.db").unlink()
    again = TaskScheduler(machine.executor, TaskPersistence(machine.folder, environment={}), clock=machine.clock)
    await again.open()
    [fault] = again.queries.faults()
    assert (fault["stream"], fault["version"]) == (broken, 3)
    assert (await again.get_task_status(sound))["metadata"]["execution_count"] == 5
    check_rebuild(again.stores.log, again.stores.read_model, machine.folder)
    await again.stop()


async def _running(machine: Machine) -> None:
    while machine.scheduler.dispatcher.active_runs == 0 or not machine.slots:  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def _idle(machine: Machine) -> None:
    """Until the claims of this check and the runs they began are over."""
    while machine.is_busy():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
