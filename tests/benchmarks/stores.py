"""Stores with a past, made once and copied for each repetition: events decided by the aggregate, sealed by the mapper.

Every task ran once a year, and is next due when nobody measures. Years pass for all tasks together, so that the log is
in the order of time and each task's events are scattered over it. Rows are made by the read model itself.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from uuid import UUID

from application.ports import Append
from domain.definition import TaskDefinition, TaskType
from domain.identity import time_ordered_id
from domain.schedule import Schedule, ScheduleType
from domain.task import ScheduledTask
from infrastructure.stores import Stores, open_folder, snapshot_fingerprint
from infrastructure.stream_cache import StreamCache
from tests.benchmarks.contestant import GUILD_TASKS

__all__ = ["OPERATION", "copied_store", "definition", "opened", "run_once", "stored_past", "task_id"]

VERSION = 3
"""Of what is made here: stores of another version are not used."""

OPERATION = "nothing"
COHORT = 5_000
"""So many tasks share a transaction."""

_YEAR = timedelta(days=365)
_FIRST_ID = datetime(2020, 1, 1, tzinfo=UTC)
_APART = timedelta(seconds=1)
_DEADLINE = timedelta(minutes=15)
_NODE = "past-1"


def task_id(number: int) -> UUID:
    """The id of a task by its number: a time-ordered one, as tasks get them that are made one after the other."""
    random = UUID(bytes=blake2b(number.to_bytes(8, "big"), digest_size=16).digest())
    return time_ordered_id(_FIRST_ID + number * _APART, random)


def definition(number: int, anchor: datetime, every: timedelta = timedelta(hours=1)) -> TaskDefinition:
    """A custom task that does nothing, from ``anchor`` on."""
    return TaskDefinition(
        name=f"Task {number}",
        guild_id=f"{number // GUILD_TASKS}",
        schedule=Schedule(type=ScheduleType.INTERVAL, every=every, anchor=anchor),
        task_type=TaskType.CUSTOM,
        operation=OPERATION,
        parameters={"number": number},
    )


def opened(folder: Path) -> Stores:
    """The stores of a folder, as a service opens them."""
    return open_folder(folder, node="bench", now=datetime.now(UTC), environment={}, progress=_caught_up)


def _caught_up(position: int, end: int) -> None:
    print(f"making rows: {position:,} of {end:,} events", file=sys.stderr, flush=True)


def stored_past(cache: Path, tasks: int, runs: int) -> Path:
    """A folder with so many tasks, each of which ran so many times; made if it is not there, its rows up to date."""
    due = _far_away(datetime.now(UTC))
    folder = cache / f"store-{VERSION}-{tasks}-{runs}-{due:%Y-%m}"
    with _alone(cache, folder.name):
        if not folder.exists():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            stores = opened(making)
            _write_past(stores, tasks, runs, due)
            stores.read_model.catch_up(stores.log, progress=_caught_up)
            stores.close()
            making.rename(folder)
        opened(folder).close()  # rows that other code made are made anew here, and not while something is measured
        if runs:
            _keep_states(folder, tasks)
    return folder


def _keep_states(folder: Path, tasks: int) -> None:
    """The states that a service keeps as soon as it has nothing else to do; those of other code are of no use."""
    mark = folder / "states-kept-by"
    if mark.exists() and mark.read_text() == snapshot_fingerprint():
        return
    stores = opened(folder)
    kept = StreamCache(stores.log, snapshot_fingerprint())
    for start in range(0, tasks, COHORT):
        _say("kept", start, tasks)
        kept.prepare([task_id(number) for number in range(start, min(start + COHORT, tasks))])
        while kept.has_grown():
            kept.take_idle_snapshots()
    stores.close()
    mark.write_text(snapshot_fingerprint())


def copied_store(cache: Path, tasks: int, runs: int, to: Path) -> Path:
    """Copy such a store, to be written to; returns the folder that was copied.

    The copy is on the disk before anything is measured: hundreds of megabytes under way would slow down each commit.
    """
    folder = stored_past(cache, tasks, runs)
    shutil.copytree(folder, to, dirs_exist_ok=True)
    for path in to.iterdir():
        with path.open("rb") as copy:
            os.fsync(copy.fileno())
    return folder


def _far_away(now: datetime) -> datetime:
    """When all are next due: two months from now at least."""
    return datetime(now.year + 1, 1 if now.month < 11 else 7, 1, tzinfo=UTC)


def _write_past(stores: Stores, tasks: int, runs: int, due: datetime) -> None:
    first = due - runs * _YEAR
    # Before now, also where nothing has run yet: a task cannot be moved to before it was made.
    made = (first if runs else due - _YEAR + timedelta(days=2)) - timedelta(days=1)
    cohorts = []
    for start in range(0, tasks, COHORT):
        _say("created", start, tasks)
        numbers = range(start, min(start + COHORT, tasks))
        plans = ((task_id(number), definition(number, first, _YEAR)) for number in numbers)
        cohort = [ScheduledTask.define(plan, id=id, now=made) for id, plan in plans]
        stores.log.append(_taken(cohort))
        if runs:
            cohorts.append(cohort)
    for run in range(runs):
        for number, cohort in enumerate(cohorts):
            _say(f"ran for the {run + 1}. time of {runs}", number * COHORT, tasks)
            for task in cohort:
                run_once(task, first + run * _YEAR + timedelta(milliseconds=20))
            stores.log.append(_taken(cohort))


def _say(what: str, done: int, tasks: int) -> None:
    print(f"making a store: {done:,} of {tasks:,} tasks {what}", file=sys.stderr, flush=True)


def run_once(task: ScheduledTask, now: datetime, node: str = _NODE) -> None:
    """Claim what is due, and close it."""
    attempt = task.claim(now=now, node=node, deadline=_DEADLINE)
    assert attempt is not None
    task.conclude(attempt.run, attempt.attempt, attempt.owner, now=now + timedelta(milliseconds=100))


def _taken(tasks: list[ScheduledTask]) -> list[Append]:
    appends = [Append(task.id, task.guild_id, list(task.pending_events)) for task in tasks]
    for task in tasks:
        task.pending_events.clear()
    return appends


@contextmanager
def _alone(cache: Path, name: str) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
