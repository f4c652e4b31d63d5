"""Growth: storms of more and more jobs, and storms of the same size among more and more stored tasks."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

from tests.benchmarks.contestant import Place
from tests.benchmarks.results import Results
from tests.benchmarks.row import Figures, Row, Size
from tests.benchmarks.rows import storm

__all__ = ["ROW", "Point", "growth_points", "measure"]

ROW = Row(
    "growth",
    "storms of 1,000, 10,000 and 50,000 among 100,000 tasks, and of 10,000 among 10,000, 100,000 and 1,000,000",
    sizes={
        "tiny": {"due": 10, "stored": 100, "more": 5, "lead": 2},
        "small": {"due": 200, "stored": 2_000, "more": 5, "lead": 5},
        "full": {"due": 10_000, "stored": 100_000, "more": 5, "lead": 25},
    },
    seconds=300,
    most=1,
)


@dataclass(frozen=True, slots=True)
class Point:
    """One storm: so many due among so many stored. ``axis`` says which of the two is varied."""

    axis: str
    due: int
    stored: int
    seconds: float


def growth_points(results: Results) -> list[Point]:
    """What was measured, as points."""
    points = []
    for sample in results.samples:
        if sample.row == ROW.name:
            for name, seconds in sample.figures.items():
                axis, due, stored = name.split()
                points.append(Point(axis, int(due), int(stored), seconds))
    return points


def measure(name: str, size: Size, place: Place) -> Figures:
    """Seconds by what was due and what was stored; figures are named "due DUE STORED" and "stored DUE STORED"."""
    due, stored, more = size["due"], size["stored"], size["more"]
    storms = [("due", due // 10, stored), ("due", due, stored), ("due", due * more, stored)]
    storms += [("stored", due, stored // 10), ("stored", due, stored * 10)]
    found = {f"{axis} {due} {stored}": _storm(name, due, stored, size["lead"], place) for axis, due, stored in storms}
    return found | {f"stored {due} {stored}": found[f"due {due} {stored}"]}


def _storm(name: str, due: int, stored: int, lead: int, place: Place) -> float:
    inner = replace(place, folder=place.folder / f"{due}-{stored}", thorough=False)
    inner.folder.mkdir(exist_ok=True)
    lead += lead * due // 10_000
    try:
        return storm.measure(name, {"due": due, "stored": stored, "lead": lead}, inner)["seconds"]
    finally:
        shutil.rmtree(inner.folder)
