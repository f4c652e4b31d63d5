"""What a guild may use: how many tasks, how often, and how many runs a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from domain.errors import InvalidInput, QuotaExceeded
from domain.schedule import Schedule, next_after

__all__ = ["UNLIMITED", "Quotas", "check_interval", "day_of", "shortest_gap"]

MOST_TASKS = 1_000_000
MOST_RUNS = 100_000_000
LONGEST_INTERVAL_SECONDS = 366 * 24 * 3600

SLOTS_LOOKED_AT = 400
"""How many coming slots of a schedule are looked at for the shortest time between two of them."""

SLOTS_OF_SEVERAL_RULES = 4_000
"""The same where the slots of several rules may come close now and then only."""

_RANGES: dict[str, tuple[float, float]] = {
    "max_tasks": (0, MOST_TASKS),
    "shortest_interval_seconds": (0, LONGEST_INTERVAL_SECONDS),
    "runs_per_day": (0, MOST_RUNS),
}


class Quotas(BaseModel):
    """Limits of one guild; None: no limit.

    ``max_tasks`` counts tasks that have not ended, ``shortest_interval_seconds`` is the least time between two slots of
    a task, and ``runs_per_day`` counts the runs of all tasks that start on one day (00:00 to 24:00 UTC), scheduled or
    asked for; tries of the same run count once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tasks: int | None = None
    shortest_interval_seconds: float | None = None
    runs_per_day: int | None = None

    def check(self) -> None:
        """Refuse (InvalidInput) values that make no sense."""
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InvalidInput(name, value, "is out of range", f"give a number from {least:g} to {most:,.0f}")

    def or_else(self, other: Quotas) -> Quotas:
        """These limits, with those of ``other`` where there is none."""
        given = {name: value for name in _RANGES if (value := getattr(self, name)) is not None}
        return other.model_copy(update=given)

    def tightened(self, other: Quotas) -> Quotas:
        """The stricter of each two limits."""
        tasks = _least(self.max_tasks, other.max_tasks)
        runs = _least(self.runs_per_day, other.runs_per_day)
        gaps = [gap for gap in (self.shortest_interval_seconds, other.shortest_interval_seconds) if gap is not None]
        return Quotas(max_tasks=tasks, shortest_interval_seconds=max(gaps, default=None), runs_per_day=runs)

    def looser_than(self, other: Quotas) -> str | None:
        """The name of a limit that these set and that allows more than ``other`` does; None: there is none."""
        both = self.tightened(other)
        return next((name for name in _RANGES if getattr(self, name) not in (None, getattr(both, name))), None)


UNLIMITED = Quotas()
"""No limits at all."""


def _least(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)


def day_of(instant: datetime) -> int:
    """The day (UTC) that a run counts for: days since 1970."""
    return (instant.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(days=1)


def shortest_gap(schedule: Schedule, after: datetime) -> tuple[datetime, datetime] | None:
    """Two slots after an instant that follow each other as closely as any; None where there is one slot at most.

    The next 400 slots are looked at, or 4,000 of a schedule of several rules.
    """
    closest: tuple[datetime, datetime] | None = None
    slot = next_after(schedule, after)
    for _ in range(SLOTS_OF_SEVERAL_RULES if schedule.also else SLOTS_LOOKED_AT):
        following = next_after(schedule, slot) if slot is not None else None
        if slot is None or following is None:
            break
        if closest is None or following - slot < closest[1] - closest[0]:
            closest = slot, following
        slot = following
    return closest


def check_interval(quotas: Quotas, schedule: Schedule, guild_id: str, *, now: datetime) -> None:
    """Refuse (QuotaExceeded) a schedule that comes more often than the guild may have it."""
    least = quotas.shortest_interval_seconds
    closest = shortest_gap(schedule, now) if least else None
    if least is None or closest is None:
        return
    gap = (closest[1] - closest[0]).total_seconds()
    if gap < least:
        slots = " and ".join(f"{slot:%Y-%m-%d %H:%M:%S} UTC" for slot in closest)
        raise QuotaExceeded(
            guild_id,
            "shortest_interval_seconds",
            least,
            gap,
            f"the schedule is due twice within {gap:g} s ({slots}), and {least:g} s is the least in this guild",
            "choose a rarer schedule, or ask the operator for a shorter interval",
        )
