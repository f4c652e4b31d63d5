"""Growth: storms of more and more jobs, and storms of the same size among more and more stored tasks."""

from __future__ import annotations

from dataclasses import replace

from tests.benchmarks.contestant import Place
from tests.benchmarks.row import Figures, Row, Size
from tests.benchmarks.rows import storm

__all__ = ["ROW", "measure"]

ROW = Row(
    "growth",
    "storms of 1,000, 10,000 and 50,000 among 100,000 tasks, and of 10,000 among 10,000, 100,000 and 1,000,000",
    sizes={
        "tiny": {"due": 10, "stored": 100, "more": 5, "lead": 1},
        "small": {"due": 200, "stored": 2_000, "more": 5, "lead": 5},
        "full": {"due": 10_000, "stored": 100_000, "more": 5, "lead": 25},
    },
    seconds=300,
    most=1,
)


def measure(name: str, size: Size, place: Place) -> Figures:
    """Seconds by what was due and what was stored; figures are named "due DUE STORED" and "stored DUE STORED"."""
    due, stored = size["due"], size["stored"]
    figures: dict[str, float] = {}
    for count in (due // 10, due, due * size["more"]):
        figures[f"due {count} {stored}"] = _storm(name, count, stored, size["lead"], place)
    for count in (stored // 10, stored, stored * 10):
        figures[f"stored {due} {count}"] = _storm(name, due, count, size["lead"], place)
    return figures


def _storm(name: str, due: int, stored: int, lead: int, place: Place) -> float:
    inner = replace(place, folder=place.folder / f"{due}-{stored}", thorough=False)
    inner.folder.mkdir(exist_ok=True)
    lead += lead * due // 10_000
    return storm.measure(name, {"due": due, "stored": stored, "lead": lead}, inner)["seconds"]
