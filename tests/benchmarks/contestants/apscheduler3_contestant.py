"""APScheduler 3: in memory, and on SQLite through SQLAlchemyJobStore (WAL, synchronous=FULL)."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.job import Job as StoredJob
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from tests.benchmarks.contestant import Job, Place, Ran

__all__ = ["InMemory", "OnSqlite"]

# Nothing is dropped for being late, and what is late runs once: as a service would set it.
SETTINGS = {"misfire_grace_time": None, "max_instances": 100_000, "coalesce": True}

_ran: Ran | None = None


async def work(number: int) -> None:
    """What every job does. It is stored by name, and so a function of this module."""
    assert _ran is not None
    _ran(number)


def _far(count: int) -> Iterable[Job]:
    far = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    return (Job(number, far + timedelta(seconds=number % 86_400)) for number in range(count))


class InMemory:
    """Nothing is stored: the upper bound of what the library does."""

    def __init__(self, place: Place, ran: Ran) -> None:
        global _ran
        _ran, self._place = ran, place
        self._scheduler: Any = AsyncIOScheduler(jobstores=self._stores(), job_defaults=SETTINGS, timezone=UTC)
        self._stored = 0

    def _stores(self) -> dict[str, Any]:
        return {}

    async def fill(self, stored: int) -> None:
        """Add one after the other; there is no other way."""
        self._stored = stored
        for job in _far(stored):
            await self.add(job)

    async def plan(self, jobs: Sequence[Job]) -> None:
        """Replace them."""
        for job in jobs:
            await self.add(job)

    async def start(self) -> None:
        """Start, or go on."""
        if self._scheduler.running:
            self._scheduler.resume()
        else:
            self._scheduler.start()

    async def add(self, job: Job) -> None:
        """``add_job``."""
        trigger = IntervalTrigger(seconds=job.every, start_date=job.due, timezone=UTC)
        self._scheduler.add_job(work, trigger, args=(job.number,), id=_id(job.number), replace_existing=True)

    async def pause(self, number: int) -> None:
        """``pause_job``."""
        self._scheduler.pause_job(_id(number))

    async def resume(self, number: int) -> None:
        """``resume_job``."""
        self._scheduler.resume_job(_id(number))

    def outstanding(self, jobs: Sequence[Job]) -> int:
        """All next times are stored before the loop turns to the first run; that a run ended is nowhere written."""
        return 0

    async def stop(self) -> None:
        """``shutdown``."""
        self._scheduler.shutdown(wait=False)

    async def verified(self, runs: int) -> Mapping[str, float]:
        """Nothing is left to look at."""
        return {}


class OnSqlite(InMemory):
    """The job store of the library that keeps jobs in a table."""

    def _stores(self) -> dict[str, Any]:
        from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

        return {"default": SQLAlchemyJobStore(engine=self._engine())}

    def _engine(self) -> Any:
        from sqlalchemy import create_engine, event

        engine = create_engine(f"sqlite:///{self._place.folder / 'jobs.db'}")

        def connected(connection: Any, _: Any) -> None:
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=full")

        event.listen(engine, "connect", connected)
        return engine

    async def fill(self, stored: int) -> None:
        """The rows that ``add_job`` would write, in one transaction."""
        self._stored = stored
        self._scheduler.start(paused=True)
        self._write(_far(stored))

    async def plan(self, jobs: Sequence[Job]) -> None:
        """The same, for those that are moved."""
        self._write(jobs)

    def _write(self, jobs: Iterable[Job]) -> None:
        from sqlalchemy import delete

        store = self._scheduler._lookup_jobstore("default")
        rows = [self._row(job) for job in jobs]
        with store.engine.begin() as connection:
            for start in range(0, len(rows), 500):
                some = [row["id"] for row in rows[start : start + 500]]
                connection.execute(delete(store.jobs_t).where(store.jobs_t.c.id.in_(some)))
            if rows:
                connection.execute(store.jobs_t.insert(), rows)

    def _row(self, job: Job) -> dict[str, Any]:
        trigger = IntervalTrigger(seconds=job.every, start_date=job.due, timezone=UTC)
        made = {"id": _id(job.number), "name": "work", "func": work, "args": (job.number,), "kwargs": {}}
        stored = StoredJob(
            self._scheduler, trigger=trigger, executor="default", next_run_time=job.due, **made, **SETTINGS
        )
        state = pickle.dumps(stored.__getstate__(), pickle.HIGHEST_PROTOCOL)
        return {"id": made["id"], "next_run_time": job.due.timestamp(), "job_state": state}

    async def verified(self, runs: int) -> Mapping[str, float]:
        """Every job is still there."""
        from sqlalchemy import text

        with self._engine().connect() as connection:
            stored = connection.execute(text("select count(*) from apscheduler_jobs")).scalar()
        assert stored >= self._stored, f"{stored:,} jobs are stored of {self._stored:,}"
        return {}


def _id(number: int) -> str:
    return f"job-{number}"
