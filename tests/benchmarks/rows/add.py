"""Add: new jobs by one caller, and by 64 at once; each is acknowledged when it is durable."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.contestant import Contestant, Job, Place
from tests.benchmarks.contestants import contestant
from tests.benchmarks.row import Figures, Row, Size

__all__ = ["ROW", "measure"]

ROW = Row(
    "add",
    "tasks are added to a running scheduler, each acknowledged durable",
    sizes={
        "tiny": {"alone": 20, "together": 64},
        "small": {"alone": 500, "together": 2_000},
        "full": {"alone": 3_000, "together": 15_000},
    },
    contestants=("daybook", "apscheduler-wal", "apscheduler-memory", "huey"),
    rivals=("apscheduler-wal",),
    seconds=15,
)
CALLERS = 64


def measure(name: str, size: Size, place: Place) -> Figures:
    """Acknowledged adds a second."""
    return asyncio.run(_add(name, size, place))


async def _add(name: str, size: Size, place: Place) -> Figures:
    one = contestant(name, place, lambda number: None)
    await one.start()
    far = datetime.now(UTC) + timedelta(days=30)
    alone, together = size["alone"], size["together"]
    figures = {
        "alone_per_second": await _rate(one, [Job(n, far) for n in range(alone)], 1),
        "together_per_second": await _rate(one, [Job(n, far) for n in range(alone, alone + together)], CALLERS),
    }
    await one.stop()
    verified = await one.verified(0)
    return figures | dict(verified) | ({"raw_per_second": _raw_commits(place.folder)} if name == "daybook" else {})


async def _rate(one: Contestant, jobs: list[Job], callers: int) -> float:
    async def caller(mine: list[Job]) -> None:
        for job in mine:
            await one.add(job)
            await asyncio.sleep(0)  # a caller in a service lets others have their turn

    begun = time.perf_counter()
    await asyncio.gather(*[caller(jobs[n::callers]) for n in range(callers)])
    return len(jobs) / (time.perf_counter() - begun)


def _raw_commits(folder: Path) -> float:
    """Bare sqlite3: the same rows of the log into a new file, each in a transaction of its own."""
    with closing(sqlite3.connect(folder / "log.db")) as log:
        [made] = log.execute("select sql from sqlite_master where name = 'stored_events'").fetchone()
        rows = log.execute("select * from stored_events where topic = 'task.created' limit 3000").fetchall()
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as raw:
        raw.execute("pragma journal_mode=wal")
        raw.execute("pragma synchronous=full")
        raw.execute(made)
        begun = time.perf_counter()
        for row in rows:
            raw.execute("insert into stored_events values (?, ?, ?, ?)", row)
        return len(rows) / (time.perf_counter() - begun)
