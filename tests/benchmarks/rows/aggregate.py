"""As an aggregate grows: a task that ran 100,000 times beside a new one; both are loaded, claimed and closed.

The events of the old one are decided one by one and appended in bulk, with the snapshots that the writer would take.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from tests.benchmarks.contestant import Place
from tests.benchmarks.row import Figures, Row, Size

__all__ = ["ROW", "measure"]

ROW = Row(
    "aggregate",
    "a run of a task with 100,000 past runs beside one of a new task",
    sizes={
        "tiny": {"runs": 200, "times": 5},
        "small": {"runs": 5_000, "times": 30},
        "full": {"runs": 100_000, "times": 100},
    },
    seconds=45,
    most=2,
)
OLD, NEW = 0, 1
_STEP = timedelta(hours=1)
_CHUNK_RUNS = 25


def measure(name: str, size: Size, place: Place) -> Figures:
    """Milliseconds for one run through the writer, its task not in memory: medians over the same number of runs."""
    from tests.benchmarks.stores import opened, task_id
    from tests.benchmarks.verification import check_rebuilt, check_touched

    stores = opened(place.folder)
    begun = datetime(2020, 1, 1, tzinfo=UTC)
    now = _live(stores, OLD, begun, size["runs"])
    _live(stores, NEW, now - timedelta(seconds=1), 0)
    stores.read_model.catch_up(stores.log)
    found: dict[int, list[float]] = {OLD: [], NEW: []}
    for _ in range(size["times"]):
        now += _STEP
        for number in (OLD, NEW):
            stores.writer._streams.clear()
            began = time.perf_counter()
            attempt = _decided(stores, task_id(number), _claim(now))
            _decided(stores, task_id(number), _close(attempt, now))
            found[number].append((time.perf_counter() - began) * 1000)
    check_touched(stores, 0, size["runs"] + 2 * size["times"])
    if place.thorough:
        check_rebuilt(stores)
    stores.close()
    return {"old_ms": median(found[OLD]), "new_ms": median(found[NEW])}


def _live(stores: Any, number: int, began: datetime, runs: int) -> datetime:
    """Give a task so many runs; returns the instant of the last."""
    from application.ports import SNAPSHOT_EVENTS, Append
    from domain.task import ScheduledTask
    from domain.task_snapshot import snapshot_of
    from tests.benchmarks.stores import definition, run_once, task_id

    task = ScheduledTask.define(definition(number, began + _STEP, _STEP), id=task_id(number), now=began)
    assert SNAPSHOT_EVENTS == 2 * _CHUNK_RUNS
    for run in range(1, runs + 1):
        run_once(task, began + run * _STEP + timedelta(milliseconds=20))
        if run % _CHUNK_RUNS == 0:
            stores.log.append([Append(task.id, task.guild_id, list(task.pending_events))])
            stores.log.save_snapshots([(task.guild_id, snapshot_of(task, fingerprint=stores.log.fingerprint))])
            task.pending_events.clear()
        if run % 10_000 == 0:
            print(f"{run:,} of {runs:,} runs", file=sys.stderr, flush=True)
    if task.pending_events:
        stores.log.append([Append(task.id, task.guild_id, list(task.pending_events))])
    return began + runs * _STEP + timedelta(milliseconds=20)


def _decided(stores: Any, stream_id: Any, decide: Any) -> Any:
    from application.ports import Command

    [outcome] = stores.writer.execute_now([Command(stream_id, decide)])
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _claim(now: datetime) -> Any:
    return lambda task: task.claim(now=now, node="bench", deadline=timedelta(minutes=15))


def _close(attempt: Any, now: datetime) -> Any:
    return lambda task: task.conclude(attempt.run, attempt.attempt, attempt.owner, now=now)
