"""The stores that benchmarks start from can be moved to now, whether their tasks have run before or not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.event import Event
from tests.benchmarks.stores import opened, stored_past, task_id


@pytest.mark.parametrize("runs", [0, 1, 5])
def test_tasks_were_made_before_now_and_are_due_far_away(tmp_path: Path, runs: int) -> None:
    """A task that was made in the future could not be due today: a storm of such tasks never came."""
    now = datetime.now(UTC)
    stores = opened(stored_past(tmp_path, 3, runs))
    try:
        for number in range(3):
            events = [recorded.event for recorded in stores.log.stream(task_id(number))]
            assert len(events) == 1 + 2 * runs
            assert all(isinstance(event, Event) and event.timestamp < now for event in events)
            [row] = [row for row, _ in stores.read_model.tasks() if row.task_id == str(task_id(number))]
            assert row.next_slot is not None
            assert row.next_slot / 1_000_000 > now.timestamp() + 30 * 86_400
            assert row.executed == runs
    finally:
        stores.close()
