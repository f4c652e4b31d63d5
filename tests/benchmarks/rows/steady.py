"""Steady: some jobs due each second among many, for a while. How late they start, and what that costs."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from tests.benchmarks.contestant import Job, Place
from tests.benchmarks.contestants import contestant
from tests.benchmarks.row import Figures, Row, Size
from tests.benchmarks.rows.storm import ready
from tests.benchmarks.watching import Runs, percentile, processor_seconds, stalls_watched

__all__ = ["ROW", "measure"]

ROW = Row(
    "steady",
    "100 due each second for 60 s among 100,000 tasks",
    sizes={
        "tiny": {"each": 5, "seconds": 2, "stored": 300, "lead": 2},
        "small": {"each": 50, "seconds": 10, "stored": 5_000, "lead": 6},
        "full": {"each": 100, "seconds": 60, "stored": 100_000, "lead": 20},
    },
    contestants=("daybook", "apscheduler-wal", "apscheduler-memory", "huey"),
    seconds=105,
    most=1,  # sixty bursts in one repetition
)


def measure(name: str, size: Size, place: Place) -> Figures:
    """Lateness of every start, and the processor's time as a share of one core."""
    return asyncio.run(_steady(name, size, place))


async def _steady(name: str, size: Size, place: Place) -> Figures:
    ran = Runs()
    one = contestant(name, place, ran)
    await one.fill(size["stored"])
    each, count = size["each"], size["each"] * size["seconds"]
    apart = size["stored"] // count
    jobs = await ready(
        one, size, lambda first: [Job(n * apart, first + timedelta(seconds=n // each)) for n in range(count)]
    )
    first = jobs[0].due
    used, begun = processor_seconds(), time.perf_counter()
    async with stalls_watched() as stalls:
        await asyncio.sleep(size["seconds"] + 0.5)
        share = (processor_seconds() - used) / (time.perf_counter() - begun)
        while len(ran) < count or one.outstanding(jobs):
            assert time.time() < first.timestamp() + 10 * size["seconds"] + 30, f"only {len(ran):,} of {count:,} ran"
            await asyncio.sleep(0.05)
    lateness = ran.lateness(jobs)
    await one.stop()
    await one.verified(count)
    return {
        "late_p50_ms": percentile(lateness, 0.5) * 1000,
        "late_p99_ms": percentile(lateness, 0.99) * 1000,
        "late_most_ms": lateness[-1] * 1000,
        "core_percent": share * 100,
        "stall_ms": stalls.longest * 1000,
    }
