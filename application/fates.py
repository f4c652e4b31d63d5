"""What can become of a slot, and what can be wrong with an account of slots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Fate", "Finding", "FindingKind", "SlotFate"]


class Fate(StrEnum):
    """What became of a slot. Skipped ones carry the reason; open, due and ahead are pending."""

    EXECUTED = "executed"
    FAILED = "failed"
    QUIET = "quiet"
    OVERLAP = "overlap"
    PAUSED = "paused"
    DISABLED = "disabled"
    MISSED = "missed"
    EXCLUDED = "excluded"
    REQUESTED = "requested"
    CANCELLED = "cancelled"
    QUOTA = "quota"
    OPEN = "open"
    DUE = "due"
    AHEAD = "ahead"
    UNREADABLE = "unreadable"

    @property
    def pending(self) -> bool:
        """Whether it is still to be decided, or under way."""
        return self in (Fate.OPEN, Fate.DUE, Fate.AHEAD)

    @property
    def skipped(self) -> bool:
        """Whether it was decided that the slot has no result."""
        return not self.pending and self not in (Fate.EXECUTED, Fate.FAILED, Fate.UNREADABLE)


class FindingKind(StrEnum):
    """What is wrong with an account. ``rules`` and ``erased`` are no alarms: they say what cannot be proven."""

    GAP = "gap"
    LOST = "lost"
    TWICE = "twice"
    CHAIN = "chain"
    COUNT = "count"
    UNREADABLE = "unreadable"
    ERASED = "erased"
    RULES = "rules"

    @property
    def alarm(self) -> bool:
        """Whether somebody must look at it."""
        return self not in (FindingKind.ERASED, FindingKind.RULES)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not add up, or that cannot be proven; ``position`` is the event that it was found at."""

    kind: FindingKind
    words: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class SlotFate:
    """One slot, what became of it, and the event that decided it (None: nothing has yet)."""

    slot: datetime
    fate: Fate
    position: int | None = None
    decided_at: datetime | None = None
    run: str | None = None
