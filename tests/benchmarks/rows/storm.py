"""Storm: many jobs due in one second among many more. The clock runs from that second to the last one written down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.benchmarks.contestant import Contestant, Job, Place
from tests.benchmarks.contestants import contestant
from tests.benchmarks.row import Figures, Row, Size
from tests.benchmarks.watching import Runs, percentile, processor_seconds, stalls_watched

__all__ = ["ROW", "measure", "ready"]

ROW = Row(
    "storm",
    "10,000 due in one second among 100,000 tasks with a million past events",
    sizes={
        "tiny": {"due": 60, "stored": 300, "lead": 2},
        "small": {"due": 1_000, "stored": 5_000, "lead": 6},
        "full": {"due": 10_000, "stored": 100_000, "lead": 20},
    },
    contestants=("daybook", "apscheduler-wal", "apscheduler-memory", "huey"),
    rivals=("apscheduler-wal",),
    seconds=50,
)
LONGEST_SECONDS = 300
TINY_LEAD = 2
"""A measurement that began late says nothing; a tiny one is for its checks, and may."""

BEING_SERVED_SECONDS = 6
"""So long after it was due a task may refuse to be moved: it counts as being served."""


def measure(name: str, size: Size, place: Place) -> Figures:
    """Seconds from due to done, lateness, the processor's time, and how long the event loop stood still."""
    return asyncio.run(_storm(name, size, place))


async def _storm(name: str, size: Size, place: Place) -> Figures:
    ran = Runs()
    one = contestant(name, place, ran)
    await one.fill(size["stored"])
    apart = size["stored"] // size["due"]
    jobs = await ready(one, size, lambda due: [Job(number * apart, due) for number in range(size["due"])])
    due = jobs[0].due
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


async def ready(one: Contestant, size: Size, make: Callable[[datetime], list[Job]]) -> list[Job]:
    """Jobs from an instant on, planned and started; returns half a second before that instant.

    Where planning takes so long that it would be over before all are ready, they are planned again, for later.
    """
    lead = float(size["lead"])
    while True:
        begun = datetime.now(UTC)
        due = (begun + timedelta(seconds=lead + 1)).replace(microsecond=0)
        jobs = make(due)
        await one.plan(jobs)
        if _left(due) > lead / 3:
            break
        lead += 2 * (datetime.now(UTC) - begun).total_seconds()
        await asyncio.sleep(max(0, _left(due)) + BEING_SERVED_SECONDS)
    await one.start()
    assert size["lead"] <= TINY_LEAD or _left(due) > 0, (
        f"{lead:.0f} s were too short to get ready; give it a longer lead"
    )
    await asyncio.sleep(max(0, _left(due) - 0.5))
    return jobs


def _left(due: datetime) -> float:
    return (due - datetime.now(UTC)).total_seconds()


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
