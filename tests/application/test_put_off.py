"""What can wait does not take the interpreter from what is due: leaves, and reading ahead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from application import heads, tree
from application.heads import HeadPublisher
from application.ports import Log
from infrastructure import writer as log_writer
from infrastructure.leaf_file import LeafFile
from tests.application.test_scheduler import looked, scheduler_on
from tests.contracts.log_parts import NOON
from tests.domain.task_parts import make
from tests.doubles import EARLY, HandClock
from tests.infrastructure.store_parts import opened


@pytest.fixture
def leaves(tmp_path: Path) -> Iterator[LeafFile]:
    """An empty file."""
    made = LeafFile(tmp_path / "leaves.db", HandClock(NOON))
    yield made
    made.close()


async def test_leaves_wait_while_much_is_written_but_not_for_long(tmp_path: Path, leaves: LeafFile) -> None:
    """Once a minute they are made all the same, and at once when nobody writes any more."""
    with opened(tmp_path) as store:
        log: Log = store.log
        store.put(make())
        idle = False
        publisher = HeadPublisher(log, leaves, HandClock(NOON), lambda: idle)
        made = []
        for _ in range(heads.MOST_PUT_OFF + 2):
            await publisher.keep_up()
            made.append(leaves.size())
        assert made == [0] * heads.MOST_PUT_OFF + [1, 1]
        store.put(make())
        idle = True
        await publisher.keep_up()
        assert leaves.size() == 2
    assert heads.MOST_PUT_OFF * heads.KEEP_UP_SECONDS < 60


async def test_leaves_that_were_put_off_are_made_up_for(
    tmp_path: Path, leaves: LeafFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many for each ring, so that they do not fall behind where the writer never rests."""
    monkeypatch.setattr(heads, "MOST_AT_ONCE", 1)
    monkeypatch.setattr(tree, "_PAGE", 1)
    with opened(tmp_path) as store:
        for _ in range(heads.MOST_PUT_OFF + 5):
            store.put(make())
        publisher = HeadPublisher(store.log, leaves, HandClock(NOON), lambda: False)
        for _ in range(heads.MOST_PUT_OFF + 1):
            await publisher.keep_up()
        assert leaves.size() == heads.MOST_PUT_OFF + 1


def test_a_writer_is_idle_when_no_command_has_come_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not from the moment on that one is served."""
    monkeypatch.setattr(log_writer, "IDLE_SECONDS", 0.01)
    with opened(tmp_path) as store:
        seen: list[bool] = []

        def decide(task: Any) -> None:
            seen.append(store.writer.idle)

        task_id = store.put(make())
        store.do(task_id, decide)
        assert seen == [False]
        give_up = monotonic() + 30
        while not store.writer.idle and monotonic() < give_up:
            sleep(0.005)
        store.do(task_id, decide)
        assert seen == [False, False]


async def test_what_is_due_soon_is_not_read_while_what_is_due_is_being_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read at the next ring, when that is done."""
    scheduler = scheduler_on(tmp_path, HandClock(EARLY))
    await scheduler.start()
    dispatcher = scheduler.dispatcher
    await looked(scheduler)
    assert dispatcher._warming is not None
    await dispatcher._warming
    read: list[int] = []

    def due_soon(until: datetime) -> list[Any]:
        read.append(1)
        return []

    monkeypatch.setattr(dispatcher._reading_ahead, "due_soon", due_soon)
    gate = asyncio.Event()

    async def claiming() -> None:
        await gate.wait()

    dispatcher._pump = asyncio.create_task(claiming())
    await dispatcher._warm()
    assert read == []
    gate.set()
    await dispatcher._pump
    await dispatcher._warm()
    assert read == [1]
    await scheduler.stop()
