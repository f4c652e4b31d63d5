"""Disk: what a run leaves in the log and the read models, through the writer, as it is claimed and closed.

The bytes are the difference between two states of the same store, so that the tasks themselves do not count.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.benchmarks.contestant import Place
from tests.benchmarks.row import Figures, Row, Size

__all__ = ["ROW", "measure"]

ROW = Row(
    "disk",
    "bytes that a run leaves behind in log and read models",
    sizes={"tiny": {"tasks": 20, "runs": 12}, "small": {"tasks": 200, "runs": 30}, "full": {"tasks": 500, "runs": 100}},
    seconds=40,
    most=1,  # the same every time
)
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


def measure(name: str, size: Size, place: Place) -> Figures:
    """Bytes a run, of both files, after half of the runs and at the end; write-ahead logs folded in."""
    from tests.benchmarks.stores import opened
    from tests.benchmarks.verification import check_rebuilt, check_touched

    tasks, runs = size["tasks"], size["runs"]
    stores = opened(place.folder)
    _created(stores, tasks)
    _ran(stores, tasks, range(runs // 2))
    stores.close()
    before = _bytes(place.folder)
    stores = opened(place.folder)
    _ran(stores, tasks, range(runs // 2, runs))
    check_touched(stores, 0, tasks * runs)
    if place.thorough:
        check_rebuilt(stores)
    stores.close()
    grown = {file: after - before[file] for file, after in _bytes(place.folder).items()}
    made = tasks * (runs - runs // 2)
    log, rows = grown["log.db"] / made, grown["readmodel.db"] / made
    return {"bytes_per_run": log + rows, "log_bytes_per_run": log, "rows_bytes_per_run": rows}


def _bytes(folder: Path) -> dict[str, int]:
    sizes = {}
    for file in ("log.db", "readmodel.db"):
        assert not (folder / f"{file}-wal").exists(), f"{file} was not closed"
        sizes[file] = (folder / file).stat().st_size
    return sizes


def _created(stores: Any, tasks: int) -> None:
    from application.ports import Command
    from domain.task import ScheduledTask
    from tests.benchmarks.stores import definition, task_id

    now = _FIRST - timedelta(seconds=1)
    made = [ScheduledTask.define(definition(n, _FIRST), id=task_id(n), now=now) for n in range(tasks)]
    _written(stores, [Command(task.id, lambda created: None, create=lambda task=task: task) for task in made])  # type: ignore[misc]


def _ran(stores: Any, tasks: int, hours: range) -> None:
    from application.ports import Command
    from tests.benchmarks.stores import task_id

    ids = [task_id(number) for number in range(tasks)]
    for hour in hours:
        now = _FIRST + hour * _HOUR + timedelta(milliseconds=20)
        attempts = _written(stores, [Command(id, lambda task, now=now: _claimed(task, now)) for id in ids])  # type: ignore[misc]
        closings = zip(ids, attempts, strict=True)
        _written(stores, [Command(id, lambda task, a=a, now=now: _closed(task, a, now)) for id, a in closings])  # type: ignore[misc]
        print(f"hour {hour + 1} of {hours.stop}", file=sys.stderr, flush=True)


def _claimed(task: Any, now: datetime) -> Any:
    return task.claim(now=now, node="bench-1", deadline=timedelta(minutes=15))


def _closed(task: Any, attempt: Any, now: datetime) -> None:
    task.conclude(attempt.run, attempt.attempt, attempt.owner, now=now + timedelta(milliseconds=100))


def _written(stores: Any, commands: list[Any]) -> list[Any]:
    outcomes: list[Any] = stores.writer.execute_now(commands)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes
