"""Next slots per second in a zone with daylight saving time, beside cronsim iterating in the same run.

Run as ``python tests/benchmarks/bench_schedule.py [calls]``. Each line is the best of several rounds, which is what the
machine can do when nothing else disturbs it. "naive" is cronsim on wall-clock time without any zone, which is less work
than ours and shown for comparison only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cronsim import CronSim

from domain.schedule import Schedule, make_schedule, next_after
from domain.zone import zone_info

ZONE = "America/New_York"
ROUNDS = 5
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = datetime(2032, 1, 1, tzinfo=UTC)
KINDS: dict[str, dict[str, Any]] = {
    "daily": {"type": "daily"},
    "weekly, three days": {"type": "weekly", "days": (0, 2, 4)},
    "monthly on the 31st": {"type": "monthly", "day_of_month": 31},
    "every 2 weeks": {"type": "interval", "every": timedelta(weeks=2), "anchor": SINCE},
    "business days": {"type": "daily", "business_days": True, "holidays": "US-NY"},
}
CRONS = ("* * * * *", "0 9 * * *", "*/5 * * * *", "30 2 * * mon-fri", "0 0 13 * 5", "0 0 31 * *", "0 0 29 2 *")


def rate(calls: int, run: Callable[[int], None]) -> float:
    """Calls per second, the best of a few rounds."""
    run(min(calls, 2000))
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run(calls)
        best = min(best, time.perf_counter() - began)
    return calls / best


def ours(schedule: Schedule) -> Callable[[int], None]:
    """Asks for the next slot again and again, over six years and then from the start again."""

    def run(calls: int) -> None:
        at = SINCE
        for _ in range(calls):
            found = next_after(schedule, at)
            at = SINCE if found is None or found > UNTIL else found

    return run


def cronsims(text: str, zone: tzinfo | None) -> Callable[[int], None]:
    """The same with cronsim's own iterator, which keeps its place between calls."""
    since = SINCE.replace(tzinfo=None) if zone is None else SINCE.astimezone(zone)

    def run(calls: int) -> None:
        source = CronSim(text, since)
        for _ in range(calls):
            if next(source).year >= UNTIL.year:
                source = CronSim(text, since)

    return run


def main() -> int:
    """Print the table; the exit code says whether the targets are met."""
    calls, met = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000, True
    print(f"next_after per second, {ZONE}, {calls} calls, best of {ROUNDS}")
    for name, fields in KINDS.items():
        found = rate(calls, ours(make_schedule(**fields, timezone=ZONE)))
        met &= found >= 250_000 or name not in tuple(KINDS)[:3]
        print(f"  {name:22} {found:>10,.0f}")
    print(f"  {'cron':22} {'ours':>10} {'cronsim':>10} {'ratio':>7} {'naive':>10} {'ratio':>7}")
    for text in CRONS:
        found = rate(calls, ours(make_schedule(type="custom", cron=text, timezone=ZONE)))
        theirs = rate(max(200, calls // 10), cronsims(text, zone_info(ZONE)))
        naive = rate(max(200, calls // 10), cronsims(text, None))
        met &= found >= 0.8 * theirs
        print(
            f"  {text:22} {found:>10,.0f} {theirs:>10,.0f} {found / theirs:>7.1f} {naive:>10,.0f} {found / naive:>7.1f}"
        )
    print(
        "targets met" if met else "targets missed: 250,000 a second for daily, weekly, monthly; 0.8 of cronsim for cron"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
