"""Storm: many jobs due in one second among many more. The clock runs from that second to the last one written down."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from tests.benchmarks.contestant import Contestant, Job, Place
from tests.benchmarks.contestants import contestant
from tests.benchmarks.row import Figures, Row, Size
from tests.benchmarks.watching import Runs, percentile, processor_seconds, stalls_watched

__all__ = ["ROW", "check_in_time", "measure"]

ROW = Row(
    "storm",
    "10,000 due in one second among 100,000 tasks with a million past events",
    sizes={
        "tiny": {"due": 60, "stored": 300, "lead": 1},
        "small": {"due": 1_000, "stored": 5_000, "lead": 6},
        "full": {"due": 10_000, "stored": 100_000, "lead": 20},
    },
    contestants=("daybook", "apscheduler-wal", "apscheduler-memory", "huey"),
    rivals=("apscheduler-wal",),
    seconds=50,
)
LONGEST_SECONDS = 300


def measure(name: str, size: Size, place: Place) -> Figures:
    """Seconds from due to done, lateness, the processor's time, and how long the event loop stood still."""
    return asyncio.run(_storm(name, size, place))


async def _storm(name: str, size: Size, place: Place) -> Figures:
    ran = Runs()
    one = contestant(name, place, ran)
    await one.fill(size["stored"])
    due = (datetime.now(UTC) + timedelta(seconds=size["lead"])).replace(microsecond=0)
    jobs = [Job(number * (size["stored"] // size["due"]), due) for number in range(size["due"])]
    await one.plan(jobs)
    await one.start()
    check_in_time(due, size)
    await asyncio.sleep(max(0, (due - datetime.now(UTC)).total_seconds() - 0.5))
    used = processor_seconds()
    async with stalls_watched() as stalls:
        seconds = await _done(one, jobs, ran) - due.timestamp()
    used = processor_seconds() - used
    lateness = ran.lateness(jobs)
    await one.stop()
    return {
        "seconds": seconds,
        "runs_per_second": len(jobs) / seconds,
        "late_p50_ms": percentile(lateness, 0.5) * 1000,
        "late_p99_ms": percentile(lateness, 0.99) * 1000,
        "processor_seconds": used,
        "stall_ms": stalls.longest * 1000,
        **await one.verified(len(jobs)),
    }


def check_in_time(due: datetime, size: Size) -> None:
    """A measurement that began late says nothing; a tiny one is for its checks, and may."""
    if size["lead"] > 1:
        assert datetime.now(UTC) < due, f"{size['lead']} s were too short to get ready: a longer lead is needed"


async def _done(one: Contestant, jobs: list[Job], ran: Runs) -> float:
    """When the last run was written down, by the clock of the world."""
    until = jobs[0].due.timestamp() + LONGEST_SECONDS
    while len(ran) < len(jobs):  # looking costs less than being told
        assert time.time() < until, f"only {len(ran):,} of {len(jobs):,} ran in {LONGEST_SECONDS} s"
        await asyncio.sleep(0.002)
    while one.outstanding(jobs):
        assert time.time() < until, f"{one.outstanding(jobs):,} runs are not written down in {LONGEST_SECONDS} s"
        await asyncio.sleep(0.002)
    return time.time()
