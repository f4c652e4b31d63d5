"""Several processes on one log: each slot starts once, and what a dead or fenced node held goes over to another."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.ports import Append, Command
from daybook import (
    CustomRun,
    DatabaseTaskPersistence,
    ScheduledTask,
    ScheduleType,
    TaskExecutor,
    TaskScheduler,
    TaskType,
)
from domain import task_events as facts
from domain.errors import Conflict, LeaseLost
from infrastructure.stores import open_folder
from tests.doubles import EARLY, HandClock, HandTimer
from tests.e2e.evidence import all_events, check_accounting, check_rebuild, task_streams
from tests.e2e.machine import HOUR, until
from tests.e2e.programs.service import BEGINNING, FastClock

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = {"DAYBOOK_MASTER_KEY": b64encode(bytes(range(32))).decode()}


def _started(module: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", f"tests.e2e.programs.{module}", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **KEY},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def _said(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def _every_minute(name: str, now: datetime, operation: str = "record") -> ScheduledTask:
    return ScheduledTask(
        name=name,
        guild_id="42",
        task_type=TaskType.CUSTOM,
        operation=operation,
        schedule_type=ScheduleType.INTERVAL,
        interval=timedelta(minutes=1),
        created_at=BEGINNING,
        now=now,
    )


# --- SQLite -----------------------------------------------------------------------------------------------------------


def test_eight_processes_start_each_slot_of_a_log_exactly_once(tmp_path: Path) -> None:
    """Through LogWriter on one SQLite file: what all of them won together is each slot, once."""
    start, processes, tasks, rounds = BEGINNING, 8, 12, 15
    stores = open_folder(tmp_path, node="test", now=start, environment={})
    made = [_every_minute(f"Task {n}", start) for n in range(tasks)]
    commands = [Command(task.id, lambda created: None, create=lambda task=task: task) for task in made]  # type: ignore[misc]
    assert stores.writer.execute_now(commands) == [None] * tasks
    (tmp_path / "tasks.txt").write_text("\n".join(str(task.id) for task in made))
    claimers = [_started("claimer", tmp_path, f"node-{n}", start.isoformat(), rounds) for n in range(processes)]
    for claimer in claimers:
        assert _said(claimer) == "ready"
    for claimer in claimers:
        assert claimer.stdin is not None
        claimer.stdin.write(b"go\n")
        claimer.stdin.flush()
    won = Counter(tuple(pair) for claimer in claimers for pair in json.loads(claimer.communicate(timeout=90)[0]))
    assert [claimer.returncode for claimer in claimers] == [0] * processes
    assert set(won.values()) == {1}
    stores.read_model.catch_up(stores.log)
    streams = task_streams(all_events(stores.log))
    started = {(e.run, e.attempt) for s in streams.values() for e in s if isinstance(e, facts.Started)}
    assert started == set(won)
    for stream in streams.values():
        counts = check_accounting(stream)
        assert counts["executed"] + counts["skipped"] + counts["pending"] == rounds
    check_rebuild(stores.log, stores.read_model, tmp_path)
    stores.close()


def test_the_second_claim_of_a_slot_is_refused_by_the_log(tmp_path: Path) -> None:
    """Two nodes that both believe the slot is theirs: the log takes one write, and the other learns of it."""
    stores = open_folder(tmp_path, node="test", now=EARLY, environment={})
    task = _every_minute("Contested", EARLY)
    events: list[Any] = list(task.pending_events)
    stores.log.append([Append(task.id, "42", events)])
    due = EARLY + timedelta(minutes=1)
    copies: list[Any] = []
    for node in ("first", "second"):
        copy = events[0].mutate(None)
        copy.claim(now=due, node=node, deadline=HOUR)
        copies.append(copy)
    stores.log.append([Append(task.id, "42", list(copies[0].pending_events))])
    with pytest.raises(Conflict):
        stores.log.append([Append(task.id, "42", list(copies[1].pending_events))])
    [won] = [e for e in all_events(stores.log) if isinstance(e, facts.Started)]
    assert won.owner == "first"
    stores.close()


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def test_three_nodes_on_postgresql_share_the_slots_and_survive_a_kill(
    postgres_url: Callable[[], str], tmp_path: Path
) -> None:
    """Real processes with folders of their own: no attempt is begun twice, and after a kill the others go on."""
    url, attempts, origin, factor = postgres_url(), tmp_path / "attempts.txt", time.time(), 300
    clock = FastClock(origin, factor)
    persistence = DatabaseTaskPersistence(url, tmp_path / "test", environment=KEY)

    async def schedule() -> None:
        scheduler = TaskScheduler(TaskExecutor(), persistence, clock=clock)
        for n in range(20):
            await scheduler.schedule_task(_every_minute(f"Task {n}", clock.now()))
        await scheduler.stop()

    asyncio.run(schedule())
    nodes = []
    for n in range(3):
        nodes.append(_started("node", url, tmp_path / f"node-{n}", attempts, origin, factor, "work"))
        assert "ready" in json.loads(_said(nodes[-1]))
        _wait_for_lines(attempts, 50 * (n + 1))
    nodes[0].send_signal(signal.SIGKILL)
    nodes[0].communicate(timeout=30)
    _wait_for_lines(attempts, len(attempts.read_text().splitlines()) + 100)
    for node in nodes[1:]:
        node.send_signal(signal.SIGTERM)
    for node in nodes[1:]:
        node.communicate(timeout=60)
        assert node.returncode == 0
    lines = [tuple(line.split()[:2]) for line in attempts.read_text().splitlines()]
    assert len(set(lines)) == len(lines)

    async def look() -> list[Any]:
        scheduler = TaskScheduler(TaskExecutor(), persistence, clock=clock)
        await scheduler.open()
        events = all_events(scheduler.stores.log)
        rows: Any = scheduler.stores.read_model
        check_rebuild(scheduler.stores.log, rows, tmp_path)
        await scheduler.stop()
        return events

    events = asyncio.run(look())
    claims = {(e.run, str(e.attempt)): e.owner for e in events if isinstance(e, facts.Started)}
    assert set(lines) <= set(claims)
    assert len({owner.rsplit("-", 1)[0] for owner in claims.values()}) > 1
    for stream in task_streams(events).values():
        check_accounting(stream)


def _wait_for_lines(path: Path, count: int) -> None:
    limit = time.monotonic() + 60
    while not path.exists() or len(path.read_bytes().splitlines()) < count:
        assert time.monotonic() < limit, "the nodes do nothing"
        time.sleep(0.02)


class Node:
    """A node inside of this process: its own folder, the shared database, and a timer that the test rings."""

    def __init__(self, url: str, folder: Path, clock: HandClock) -> None:
        self.runs: list[CustomRun] = []
        self.ended: list[str] = []
        self.hold: asyncio.Event | None = None
        self.timer = HandTimer(clock)
        executor = TaskExecutor()
        executor.register_operation("record", self._record)
        persistence = DatabaseTaskPersistence(url, folder, environment=KEY)
        self.scheduler = TaskScheduler(executor, persistence, clock=clock, timer=self.timer, node=folder.name)

    async def _record(self, run: CustomRun) -> None:
        self.runs.append(run)
        if self.hold is not None:
            await self.hold.wait()
        self.ended.append(run.run_id)


@pytest.fixture
async def pair(postgres_url: Callable[[], str], tmp_path: Path) -> AsyncIterator[tuple[Node, Node, HandClock, str]]:
    """Two started nodes on one database."""
    url, clock = postgres_url(), HandClock(EARLY)
    first, second = (Node(url, tmp_path / name, clock) for name in ("first", "second"))
    await first.scheduler.start()
    await second.scheduler.start()
    yield first, second, clock, url
    await second.scheduler.stop()
    await first.scheduler.stop()


def _silent_for_an_hour(url: str, node: str) -> None:
    """As if nothing had been heard of this node for so long."""
    _changed(url, node, b"update presence_nodes set seen_at = seen_at - interval '1 hour' where node = %s")


def _taken_for_dead(url: str, node: str) -> None:
    _changed(url, node, b"update presence_nodes set dead = true where node = %s")


def _changed(url: str, node: str, statement: bytes) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(statement, [node]).rowcount == 1


async def test_a_lost_lease_hands_the_attempt_over_and_silences_its_node(
    pair: tuple[Node, Node, HandClock, str],
) -> None:
    """The other node takes the run over after the lease, and the fenced one stops what it does and claims no more."""
    first, second, clock, url = pair
    first.hold = asyncio.Event()
    task_id = await first.scheduler.schedule_task(_every_minute("Held", clock.now()))
    await first.timer.advance(timedelta(minutes=1))
    await until(lambda: len(first.runs) == 1)
    owner = first.scheduler.node
    await first.timer.done()  # its beat says that it is alive
    _silent_for_an_hour(url, owner)
    await second.timer.check()
    await until(lambda: len(second.runs) == 1)
    assert (second.runs[0].run_id, second.runs[0].attempt) == (first.runs[0].run_id, 2)
    await first.timer.check()  # its next beat tells it that it is fenced
    await until(lambda: first.scheduler.dispatcher.active_runs == 0)
    assert first.ended == []
    await until(lambda: second.scheduler.dispatcher.active_runs == 0)
    events = all_events(second.scheduler.stores.log)
    [interrupted] = [e for e in events if isinstance(e, facts.Interrupted)]
    assert (interrupted.owner, interrupted.attempt, interrupted.noticed_by) == (owner, 1, second.scheduler.node)
    await first.timer.advance(timedelta(minutes=3))
    assert len(first.runs) == 1
    await second.timer.check()
    counts = check_accounting(task_streams(all_events(second.scheduler.stores.log))[UUID(task_id)])
    assert counts["executed"] >= 1


async def test_a_run_on_request_keeps_its_lease_although_its_node_claims_nothing(
    pair: tuple[Node, Node, HandClock, str], tmp_path: Path
) -> None:
    """A command that runs a task for longer than a lease: nobody takes its run over, and nothing is done twice."""
    first, second, clock, url = pair
    task_id = await first.scheduler.schedule_task(_every_minute("Asked for", clock.now()))
    await first.scheduler.pause_task(task_id)
    third = Node(url, tmp_path / "third", clock)
    third.hold = asyncio.Event()
    asked = asyncio.create_task(third.scheduler.run_task_now(task_id))
    await until(lambda: len(third.runs) == 1)
    _silent_for_an_hour(url, third.scheduler.node)
    await third.timer.advance(timedelta(seconds=6))
    await third.timer.done()
    await second.timer.check()
    third.hold.set()
    assert (await asyncio.wait_for(asked, 20)).success
    assert len(third.runs) == 1
    assert [e for e in all_events(second.scheduler.stores.log) if isinstance(e, facts.Interrupted)] == []
    await third.scheduler.stop()


async def test_a_node_that_lets_its_runs_end_keeps_its_lease(pair: tuple[Node, Node, HandClock, str]) -> None:
    """A stop may take longer than a lease, and what goes on meanwhile is nobody else's."""
    first, second, clock, url = pair
    first.hold = asyncio.Event()
    await first.scheduler.schedule_task(_every_minute("Long", clock.now()))
    await first.timer.advance(timedelta(minutes=1))
    await until(lambda: len(first.runs) == 1)
    await first.timer.done()
    stopping = asyncio.create_task(first.scheduler.stop())
    await asyncio.sleep(0.05)
    _silent_for_an_hour(url, first.scheduler.node)
    await first.timer.advance(timedelta(seconds=6))
    await first.timer.done()
    await second.timer.check()
    first.hold.set()
    await asyncio.wait_for(stopping, 20)
    assert len(first.ended) == 1
    await second.timer.check()
    assert [e for e in all_events(second.scheduler.stores.log) if isinstance(e, facts.Interrupted)] == []


async def test_a_node_that_was_taken_for_dead_before_it_starts_claims_under_a_new_name(
    pair: tuple[Node, Node, HandClock, str], tmp_path: Path
) -> None:
    """Opening may take longer than a lease: it looks first whether it still has one."""
    first, second, clock, url = pair
    third = Node(url, tmp_path / "third", clock)
    await third.scheduler.open()
    old = third.scheduler.node
    _taken_for_dead(url, old)
    await third.scheduler.start()
    assert third.scheduler.dispatcher.fenced
    await third.timer.advance(timedelta(seconds=6))
    await third.timer.done()
    assert third.scheduler.running
    assert third.scheduler.dispatcher.node.name == f"{old}~2"
    assert (first.runs, second.runs) == ([], [])
    await third.scheduler.stop()


async def test_a_node_that_claims_nothing_and_was_taken_for_dead_runs_nothing(
    pair: tuple[Node, Node, HandClock, str], tmp_path: Path
) -> None:
    """What it would begin would be taken over at once: it says so instead."""
    first, second, clock, url = pair
    task_id = await first.scheduler.schedule_task(_every_minute("Asked for", clock.now()))
    third = Node(url, tmp_path / "third", clock)
    await third.scheduler.open()
    _taken_for_dead(url, third.scheduler.node)
    with pytest.raises(LeaseLost, match="is lost: other nodes have taken its runs over"):
        await third.scheduler.run_task_now(task_id)
    await third.scheduler.stop()
    assert (await third.scheduler.run_task_now(task_id)).success
    await third.scheduler.stop()
    assert second.runs == []


async def test_a_command_on_one_node_takes_effect_on_the_other(pair: tuple[Node, Node, HandClock, str]) -> None:
    """The second node sees foreign commits with its poll, and does not claim what was paused elsewhere."""
    first, second, clock, _ = pair
    task_id = await first.scheduler.schedule_task(_every_minute("Shared", clock.now()))
    await second.timer.check()
    assert (await second.scheduler.get_task_status(task_id)).name == "Shared"
    await second.scheduler.pause_task(task_id, reason="from the other node")
    await first.timer.check()
    await first.timer.advance(timedelta(minutes=2))
    assert first.runs == []
    assert (await first.scheduler.get_task_status(task_id)).status_reason == "from the other node"
