"""The heads that a log itself notes as published, whoever published them and however many tasks there are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from application import heads
from application.heads import PUBLISH_HEAD, published_heads
from domain.task import ScheduledTask
from tests.domain.task_parts import at, changed, claim, make
from tests.infrastructure.store_parts import Store, opened


def publish(task: ScheduledTask, hour: int, size: int) -> None:
    """Run, and note a head of this size."""
    attempt = claim(task, at(0.5 + hour))
    note = f"head {size} {size:064x} at position {size}"
    task.conclude(attempt.run, attempt.attempt, attempt.owner, now=at(0.6 + hour), outcomes=(), note=note)


def told(store: Store) -> list[int]:
    """The sizes of the heads that are found."""
    return [head.size for head in published_heads(store.log)]


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_heads_of_all_tasks_that_publish_or_once_did_are_found(tmp_path: Path, page: int) -> None:
    """From the beginning, later, or no more; a text that looks like one in another task's run is none."""
    first, second, third = (make(name=name, operation=PUBLISH_HEAD) for name in "abc")
    later, never = make(name="d"), make(name="e")
    publish(first, 0, 10)
    publish(second, 0, 20)
    second.revise(changed(second, operation="noop"), now=at(0.9), by="ann")
    publish(later, 0, 30)
    later.revise(changed(later, operation=PUBLISH_HEAD), now=at(0.9), by="ann")
    publish(later, 1, 40)
    publish(never, 0, 50)
    with opened(tmp_path) as store, patch.object(heads, "_PAGE", page):
        for task in (third, never, first, later, second):
            store.put(task)
        assert told(store) == [10, 20, 30, 40]
        # What cannot be read of one task hides the heads of no other.
        with closing(sqlite3.connect(tmp_path / "log.db")) as log, log:
            log.execute("update stored_events set state = x'00' where originator_id = ?", (third.id.hex,))
        assert told(store) == [10, 20, 30, 40]
