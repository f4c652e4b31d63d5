"""What the log shows of when a process was alive, where nothing else is known of it: in a restored backup."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application import signs_of_life as module
from application.ports import Append, Recorded
from application.signs_of_life import last_signs, signs_of_life
from domain.errors import PayloadErased
from domain.event import from_epoch_microseconds
from domain.node import Node
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason
from tests.application.test_scheduler import looked, scheduler_on, task
from tests.domain.task_parts import at, claim, done, failed, make, summary_task
from tests.doubles import EARLY, HandClock
from tests.infrastructure.store_parts import Store, opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with opened(tmp_path) as made:
        yield made


def recorded(*made: ScheduledTask | Node) -> list[Recorded]:
    """The events of these, one behind the other."""
    pending: list[Any] = [event for one in made for event in one.pending_events]
    return [Recorded(position, event) for position, event in enumerate(pending, 1)]


def add(store: Store, made: ScheduledTask | Node) -> None:
    """Write all that was made of this into the log."""
    written: list[Any] = list(made.pending_events)
    store.log.append([Append(made.id, made.guild_id, written)])


def test_what_a_node_claims_sends_and_ends_shows_that_it_is_alive() -> None:
    """Its start, each claim, the beginning of a delivery, and each end of an attempt: the latest counts."""
    node = Node.start("n1", now=at(0), host="h", pid=1, version="1", rules="r")
    one = summary_task("a")
    assert signs_of_life(recorded(node)) == {"n1": at(0)}
    attempt = claim(one, at(0.5))
    assert signs_of_life(recorded(node, one)) == {"n1": at(0.5)}
    one.start_delivery(attempt.run, attempt.attempt, "n1", now=at(0.51), destinations=["a"])
    assert signs_of_life(recorded(node, one)) == {"n1": at(0.51)}
    failed(one, attempt, at(0.6))
    assert signs_of_life(recorded(node, one)) == {"n1": at(0.6)}
    done(one, claim(one, at(2)), at(2.1))
    assert signs_of_life(recorded(one, node)) == {"n1": at(2.1)}


def test_what_others_write_of_a_node_shows_nothing() -> None:
    """It is dead when another takes its run over, even if that fails the run; and people cancel without it."""
    taken = make()
    for number in range(3):
        attempt = claim(taken, at(1 + number))
        taken.interrupt(
            attempt.run, attempt.attempt, "n1", now=at(1.5 + number), cause=InterruptionReason.CRASH, noticed_by="n2"
        )
    assert taken.pending_events[-1].timestamp == at(3.5)
    assert signs_of_life(recorded(taken)) == {"n1": at(3)}
    ended = make()
    attempt = claim(ended, at(0.5))
    ended.cancel(now=at(4), by="p")
    ended.interrupt(attempt.run, attempt.attempt, "n1", now=at(5), cause=InterruptionReason.CRASH, noticed_by="n2")
    assert signs_of_life(recorded(ended)) == {"n1": at(0.5)}


def test_what_cannot_be_read_is_passed_over() -> None:
    """An erased event says nothing, and hides nothing behind it."""
    one = make()
    claim(one, at(0.5))
    first, *rest = recorded(one)
    erased = Recorded(first.position, PayloadErased(str(one.id), 1, "task.created", "1"))
    assert signs_of_life([erased, *rest]) == {"n1": at(0.5)}


def test_the_newest_sign_is_found_behind_pages_of_other_events(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the end of the log back, for as many nodes as are asked for, and no farther than is allowed."""
    monkeypatch.setattr(module, "PAGE", 2)
    for number, name in enumerate(("n1", "n2"), 1):
        add(store, Node.start(name, now=at(0), host="h", pid=number, version="1", rules="r"))
        one = make(name=name)
        done(one, claim(one, at(number), name), at(number + 0.1))
        add(store, one)
    for number in range(7):
        add(store, make(name=f"later {number}", now=at(9)))
    assert last_signs(store.log, ["n1", "n2"]) == {"n1": at(1.1), "n2": at(2.1)}
    assert last_signs(store.log, ["n2", "unknown"]) == {"n2": at(2.1)}
    assert last_signs(store.log, []) == {}
    monkeypatch.setattr(module, "MOST_EVENTS", 8)
    assert last_signs(store.log, ["n1", "n2"]) == {"n2": at(2.1)}
    monkeypatch.setattr(module, "MOST_EVENTS", 7)
    assert last_signs(store.log, ["n1", "n2"]) == {}


@pytest.mark.parametrize("ran", [True, False])
async def test_a_node_without_presence_was_last_seen_when_it_last_wrote(tmp_path: Path, ran: bool) -> None:
    """A copy of the log of a live service has no presence: a month of uptime is no month of outage.

    Without any run it was alive at its start, as far as anybody knows.
    """
    clock = HandClock(EARLY)
    live = scheduler_on(tmp_path / "live", clock)
    await live.start()
    if ran:
        task_id = await live.schedule_task(task())
        clock.move(timedelta(days=30))
        while [run.state for run in live.queries.runs(task_id=task_id)] != ["executed"]:
            await looked(live)
            await asyncio.sleep(0.01)
    clock.move(timedelta(minutes=7))
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "live", copy, ignore=shutil.ignore_patterns("daybook.lock", "daybook.seen", "*-shm"))
    clock.move(timedelta(minutes=5))
    await live.stop()
    later = scheduler_on(copy, clock, "n2")
    await later.open()
    [row] = later.stores.read_model.nodes()
    assert row.lost
    assert row.ended_at is not None
    assert from_epoch_microseconds(row.ended_at) == EARLY + timedelta(days=30 if ran else 0)
    await later.stop()
