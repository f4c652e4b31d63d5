"""What an explanation is made of: the answer, its reason, and the events that prove it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from application.chronicle import Fact
from application.fates import Fate
from domain.zone import zone_info

__all__ = ["Evidence", "Explanation", "Reason", "because", "length", "local", "proof"]


class Reason(StrEnum):
    """Why a task did, or did not, run at an instant. See docs/explanation/why.md for each."""

    EXECUTED = "executed"
    FAILED = "failed"
    RUNNING = "running"
    RETRYING = "retrying"
    QUIET = "quiet"
    OVERLAP = "overlap"
    PAUSED = "paused"
    DISABLED = "disabled"
    MISSED = "missed"
    COALESCED = "coalesced"
    EXCLUDED = "excluded"
    REQUESTED = "requested"
    CANCELLED = "cancelled"
    QUOTA = "quota"
    DUE = "due"
    OPERATION_UNKNOWN = "operation_unknown"
    AHEAD = "ahead"
    ON_REQUEST = "on_request"
    MOVED = "moved"
    BEFORE_EDIT = "before_edit"
    REPLANNED = "replanned"
    LIMIT = "limit"
    CLOCK_GAP = "clock_gap"
    CLOCK_FOLD = "clock_fold"
    DAY_OFF = "day_off"
    EXCLUDED_DATE = "excluded_date"
    SHORT_MONTH = "short_month"
    SPREAD = "spread"
    NOT_BEGUN = "not_begun"
    ENDED = "ended"
    BEFORE_TASK = "before_task"
    NEVER_DUE = "never_due"
    LOST = "lost"
    UNREADABLE = "unreadable"
    ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that the log says; ``position`` is where (None for what follows from the schedule alone)."""

    position: int | None
    at: datetime | None
    words: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a task did, or did not, run at ``instant``.

    ``slot`` is the slot that the answer is about, and ``fate`` what the accounts say of it; both None where there was
    none. ``answer`` is one line for people. It is not ``whole`` where an event that may say otherwise cannot be read.
    """

    task_id: str
    instant: datetime
    reason: Reason
    answer: str
    slot: datetime | None = None
    fate: Fate | None = None
    evidence: tuple[Evidence, ...] = ()
    whole: bool = True


def proof(fact: Fact, words: str) -> Evidence:
    """An event as evidence."""
    return Evidence(fact.position, fact.event.timestamp, words)


def because(fact: Fact) -> str:
    """The reason that somebody gave, in parentheses; nothing where none was given."""
    return f" ({fact.event.reason})" if getattr(fact.event, "reason", None) else ""


def local(instant: datetime, zone: str) -> str:
    """``2026-11-01 09:00 +0100``: wall-clock time of the zone; seconds where they are not zero."""
    wall = instant.astimezone(zone_info(zone))
    return f"{wall:%Y-%m-%d %H:%M %z}" if not wall.second else f"{wall:%Y-%m-%d %H:%M:%S %z}"


def length(span: timedelta) -> str:
    """``12 s``, ``5 min``, ``2 h 50 min``, ``3 d 4 h``: two units at most, and no more than were reached."""
    seconds = abs(span.total_seconds())
    if seconds < 90:
        return f"{seconds:.0f} s"
    for unit, size, part, smaller in (("d", 1440, "h", 60), ("h", 60, "min", 1)):
        minutes = int(seconds // 60)
        if minutes >= size:
            rest = minutes % size // smaller
            return f"{minutes // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{int(seconds // 60)} min"
