"""Watching a process from inside while it works: which jobs ran when, stalls of the event loop, time, memory."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.benchmarks.contestant import Job

__all__ = ["Runs", "Stalls", "family_memory_mb", "memory_mb", "percentile", "processor_seconds", "stalls_watched"]

_TICK_SECONDS = 0.005


class Runs:
    """When each job ran, by the clock of the world. Calling it is all the work that a job does."""

    def __init__(self) -> None:
        self.at: list[tuple[int, float]] = []

    def __call__(self, number: int) -> None:
        self.at.append((number, time.time()))

    def __len__(self) -> int:
        return len(self.at)

    def lateness(self, jobs: Sequence[Job]) -> list[float]:
        """Seconds from due to started, the shortest first. Every job must have run exactly once."""
        due = {job.number: job.due.timestamp() for job in jobs}
        ran = sorted(number for number, _ in self.at)
        assert ran == sorted(due), f"{len(ran):,} runs of {len(set(ran)):,} jobs; {len(due):,} were due"
        return sorted(at - due[number] for number, at in self.at)


class Stalls:
    """How long the event loop stood still, at most, in seconds."""

    longest = 0.0


@asynccontextmanager
async def stalls_watched() -> AsyncIterator[Stalls]:
    """Look every few milliseconds whether the event loop still turns."""
    stalls = Stalls()

    async def look() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(_TICK_SECONDS)
            stalls.longest = max(stalls.longest, time.perf_counter() - begun - _TICK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield stalls
    finally:
        looking.cancel()


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that so many (0 to 1) are not above, of an ordered sequence."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def processor_seconds() -> float:
    """What this process and those that it began used so far, in user and system mode."""
    ended = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in ended) + sum(map(_processor_seconds, _begun()))


def memory_mb() -> float:
    """Resident memory of this process; where /proc does not tell, the most it ever had."""
    if Path("/proc/self/status").exists():
        return _resident_mb("self")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def family_memory_mb() -> float:
    """The same of this process and of those that it began; pages that they share are counted for each."""
    return memory_mb() + sum(map(_resident_mb, _begun()))


def _begun() -> set[str]:
    """The processes that this one began and that have not ended."""
    found = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found.update(file.read_text().split())
    return found


def _processor_seconds(process: str) -> float:
    """Nothing, of one that has just ended: it is counted among those then."""
    with suppress(OSError):
        fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _resident_mb(process: str) -> float:
    """Nothing, of one that has just ended."""
    with suppress(OSError):
        for line in Path("/proc", process, "status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0
