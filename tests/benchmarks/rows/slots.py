"""Slots: how many next ones a second in a zone with daylight saving time, beside cronsim iterating in the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contestant import Place
from tests.benchmarks.row import Figures, Row, Size

if TYPE_CHECKING:
    from domain.schedule import Schedule

__all__ = ["ROW", "measure"]

ROW = Row(
    "slots",
    "next slots of a schedule, one after the other, in New York",
    sizes={"tiny": {"calls": 200}, "small": {"calls": 5_000}, "full": {"calls": 20_000}},
    seconds=10,
    most=2,  # each is the best of several rounds
)
ZONE = "America/New_York"
ROUNDS = 5
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = datetime(2032, 1, 1, tzinfo=UTC)
KINDS: dict[str, dict[str, Any]] = {
    "daily": {"type": "daily"},
    "weekly": {"type": "weekly", "days": (0, 2, 4)},
    "monthly": {"type": "monthly", "day_of_month": 31},
    "interval": {"type": "interval", "every": timedelta(weeks=2), "anchor": SINCE},
    "business_days": {"type": "daily", "business_days": True, "holidays": "US-NY"},
}
CRONS = ("* * * * *", "0 9 * * *", "*/5 * * * *", "30 2 * * mon-fri", "0 0 13 * 5", "0 0 31 * *", "0 0 29 2 *")


def measure(name: str, size: Size, place: Place) -> Figures:
    """Slots a second by kind; of cron expressions the one that compares worst with cronsim."""
    from domain.schedule import make_schedule

    calls = size["calls"]
    figures = {
        f"{kind}_per_second": _rate(calls, _ours(make_schedule(**fields, timezone=ZONE)))
        for kind, fields in KINDS.items()
    }
    compared = []
    for text in CRONS:
        found = _rate(calls, _ours(make_schedule(type="custom", cron=text, timezone=ZONE)))
        compared.append((found, _rate(max(20, calls // 10), _cronsims(text))))
    figures["cron_per_second"], figures["cronsim_per_second"] = min(compared, key=lambda pair: pair[0] / pair[1])
    return figures


def _rate(calls: int, run: Callable[[int], None]) -> float:
    """Calls a second, the best of a few rounds."""
    run(min(calls, 2_000))
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run(calls)
        best = min(best, time.perf_counter() - begun)
    return calls / best


def _ours(schedule: Schedule) -> Callable[[int], None]:
    """Asks for the next slot again and again, over six years and then from the start again."""
    from domain.schedule import next_after

    def run(calls: int) -> None:
        at = SINCE
        for _ in range(calls):
            found = next_after(schedule, at)
            at = SINCE if found is None or found > UNTIL else found

    return run


def _cronsims(text: str) -> Callable[[int], None]:
    """The same with cronsim's own iterator, which keeps its place between calls."""
    from cronsim import CronSim

    from domain.zone import zone_info

    since = SINCE.astimezone(zone_info(ZONE))

    def run(calls: int) -> None:
        source = CronSim(text, since)
        for _ in range(calls):
            if next(source).year >= UNTIL.year:
                source = CronSim(text, since)

    return run
