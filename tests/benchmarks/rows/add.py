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
from tests.benchmarks.floor import table_made
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
    figures = asyncio.run(_add(name, size, place))
    return {**figures, **_floor(size, place.folder)} if name == "daybook" else figures


async def _add(name: str, size: Size, place: Place) -> Figures:
    one = contestant(name, place, lambda number: None)
    await one.start()
    jobs = _jobs(size)
    figures = {
        "alone_per_second": await _rate(one, jobs[: size["alone"]], 1),
        "together_per_second": await _rate(one, jobs[size["alone"] :], CALLERS),
    }
    await one.stop()
    return figures | dict(await one.verified(0))


def _jobs(size: Size) -> list[Job]:
    far = datetime.now(UTC) + timedelta(days=30)
    return [Job(number, far) for number in range(size["alone"] + size["together"])]


def _floor(size: Size, folder: Path) -> Figures:
    from tests.benchmarks.bare import bare_adds

    jobs = _jobs(size)
    return {
        "raw_per_second": _raw_commits(folder),
        "bare_alone_per_second": bare_adds(folder, jobs[: size["alone"]], 1),
        "bare_together_per_second": bare_adds(folder, jobs[size["alone"] :], CALLERS),
    }


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
        made = table_made(log, "stored_events")
        rows = log.execute("select * from stored_events where topic = 'task.created' limit 3000").fetchall()
    with closing(sqlite3.connect(folder / "raw.db", isolation_level=None)) as raw:
        raw.execute("pragma journal_mode=wal")
        raw.execute("pragma synchronous=full")
        raw.execute(made)
        begun = time.perf_counter()
        for row in rows:
            raw.execute("insert into stored_events values (?, ?, ?, ?)", row)
        return len(rows) / (time.perf_counter() - begun)
