"""How long what can be deleted is kept."""

from __future__ import annotations

from collections import defaultdict

from pydantic import BaseModel, ConfigDict

from domain.errors import InvalidInput

__all__ = ["KEPT", "LONGEST_DAYS", "Retention"]

LONGEST_DAYS = 36_500
"""A hundred years: as good as for ever."""


class Retention(BaseModel):
    """Days that summaries, run details (with the rows of closed runs) and caches are kept; None: nobody has said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    summaries_days: float | None = None
    run_details_days: float | None = None
    cached_days: float | None = None

    def check(self) -> None:
        """Refuse (InvalidInput) what is no time to keep something."""
        for name, days in self:
            if days is not None and not 0 <= days <= LONGEST_DAYS:
                raise InvalidInput(name, days, "is out of range", f"give days, 0 to {LONGEST_DAYS}")

    def or_else(self, other: Retention) -> Retention:
        """These times, with those of ``other`` where nobody has said."""
        return other.model_copy(update={name: days for name, days in self if days is not None})

    def by_days(self) -> dict[float, frozenset[str]]:
        """The kinds ("summaries", "run_details", "cached") that are kept for each number of days."""
        kinds: defaultdict[float, set[str]] = defaultdict(set)
        for name, days in self:
            if days is not None:
                kinds[days].add(name.removesuffix("_days"))
        return {days: frozenset(names) for days, names in sorted(kinds.items())}


KEPT = Retention()
"""Nobody has said anything: all is kept."""
