"""Pause and resume: pairs by one caller, and by 64 at once, among many stored tasks; each step acknowledged durable."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.contestant import Contestant, Place
from tests.benchmarks.contestants import contestant
from tests.benchmarks.row import Figures, Row, Size

__all__ = ["ROW", "measure"]

ROW = Row(
    "pause",
    "tasks among 100,000 are paused and resumed, each step acknowledged durable",
    sizes={
        "tiny": {"stored": 300, "alone": 20, "together": 64},
        "small": {"stored": 5_000, "alone": 200, "together": 1_000},
        "full": {"stored": 100_000, "alone": 1_500, "together": 8_000},
    },
    contestants=("daybook", "apscheduler-wal", "apscheduler-memory", "huey"),
    rivals=("apscheduler-wal",),
    seconds=30,
)
CALLERS = 64


def measure(name: str, size: Size, place: Place) -> Figures:
    """Acknowledged pairs a second: of tasks that nobody has touched since the start, and of the same once more."""
    figures = asyncio.run(_pause(name, size, place))
    return {**figures, **_floor(size, place.folder)} if name == "daybook" else figures


async def _pause(name: str, size: Size, place: Place) -> Figures:
    one = contestant(name, place, lambda number: None)
    await one.fill(size["stored"])
    await one.plan(())
    await one.start()
    chosen = _chosen(size)
    figures = {
        "alone_per_second": await _rate(one, chosen[: size["alone"]], 1),
        "together_per_second": await _rate(one, chosen[size["alone"] :], CALLERS),
        "together_again_per_second": await _rate(one, chosen[size["alone"] :], CALLERS),
    }
    await one.stop()
    return figures | dict(await one.verified(0))


def _chosen(size: Size) -> list[int]:
    return random.Random(1).sample(range(size["stored"]), size["alone"] + size["together"])


def _floor(size: Size, folder: Path) -> Figures:
    from tests.benchmarks.bare import bare_pairs

    chosen = _chosen(size)
    return {
        "bare_alone_per_second": bare_pairs(folder, chosen[: size["alone"]], 1),
        "bare_together_per_second": bare_pairs(folder, chosen[size["alone"] :], CALLERS),
    }


async def _rate(one: Contestant, numbers: Sequence[int], callers: int) -> float:
    async def caller(mine: Sequence[int]) -> None:
        for number in mine:
            await one.pause(number)
            await asyncio.sleep(0)
            await one.resume(number)
            await asyncio.sleep(0)

    begun = time.perf_counter()
    await asyncio.gather(*[caller(numbers[n::callers]) for n in range(callers)])
    return len(numbers) / (time.perf_counter() - begun)
