"""Huey on SQLite (WAL, synchronous=FULL): a queue whose recurring work is a task that schedules itself again."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from huey import SqliteHuey

from tests.benchmarks.contestant import Job, Place, Ran

__all__ = ["OnSqlite"]

WORKERS = 4
_DAY = 86_400


class OnSqlite:
    """Tasks with an ``eta``; four threads work, one looks every second at what is due."""

    def __init__(self, place: Place, ran: Ran) -> None:
        self._file = place.folder / "huey.db"
        huey = self._huey = SqliteHuey("jobs", filename=str(self._file), fsync=True, results=False, utc=True)
        self._stored = 0
        self._consumer: Any = None
        self._ids: dict[int, str] = {}

        def work(number: int) -> None:
            ran(number)
            self._work.schedule(args=(number,), eta=_naive(time.time() + _DAY))

        self._work: Any = huey.task()(work)

    async def fill(self, stored: int) -> None:
        """The rows that the scheduler would move from the queue, in one transaction."""
        self._stored = stored
        far = time.time() + 30 * _DAY
        self._write(Job(number, datetime.fromtimestamp(far + number % _DAY, UTC)) for number in range(stored))

    async def plan(self, jobs: Sequence[Job]) -> None:
        """Add them: what is in the schedule cannot be moved."""
        self._stored += len(jobs)
        self._write(jobs)

    def _write(self, jobs: Iterable[Job]) -> None:
        rows = []
        for job in jobs:
            rows.append(("jobs", self._huey.serialize_task(self._task(job)), job.due.timestamp()))
        with self._huey.storage.db(commit=True) as cursor:
            cursor.executemany("insert into schedule (queue, data, timestamp) values (?, ?, ?)", rows)

    def _task(self, job: Job) -> Any:
        task = self._work.s(job.number)
        task.eta = _naive(job.due.timestamp())
        self._ids[job.number] = task.id
        return task

    async def start(self) -> None:
        """Start the consumer; it is there when it has looked at the schedule for the first time."""
        read, looked = self._huey.read_schedule, []

        def reading(*args: Any) -> Any:
            found = read(*args)
            looked.append(True)
            return found

        self._huey.read_schedule = reading
        self._consumer = self._huey.create_consumer(
            workers=WORKERS, scheduler_interval=1, periodic=False, initial_delay=0.01, max_delay=0.1, backoff=1.2
        )
        self._consumer.start()
        while not looked:  # noqa: ASYNC110  # it lives in threads
            await asyncio.sleep(0.002)

    async def add(self, job: Job) -> None:
        """What ``schedule`` with an ``eta`` does: into the queue, and from there into the schedule, later."""
        self._huey.enqueue(self._task(job))

    async def pause(self, number: int) -> None:
        """``revoke_by_id``."""
        self._huey.revoke_by_id(self._ids[number])

    async def resume(self, number: int) -> None:
        """``restore_by_id``."""
        self._huey.restore_by_id(self._ids[number])

    def outstanding(self, jobs: Sequence[Job]) -> int:
        """Those that are still on their way through the queue back into the schedule."""
        time.sleep(0.02)
        return max(0, self._stored - self._scheduled())

    def _scheduled(self) -> int:
        with closing(sqlite3.connect(self._file)) as connection:
            return int(connection.execute("select count(*) from schedule").fetchone()[0])

    async def stop(self) -> None:
        """Stop the consumer."""
        await asyncio.to_thread(self._consumer.stop, graceful=True)

    async def verified(self, runs: int) -> Mapping[str, float]:
        """Everything is scheduled again."""
        assert self._scheduled() >= self._stored
        return {}


def _naive(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC).replace(tzinfo=None)
