"""How much one process does at a time, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from domain.quotas import UNLIMITED, Quotas
from domain.retention import KEPT, Retention

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one process. ``runs`` are those that are worked on at a time, not those whose end is being recorded.

    ``drain`` is how long a stop waits for runs to end; ``quotas`` is what each guild may; ``retention`` is how long
    things are kept in guilds that say nothing about it.
    """

    runs: int = 500
    runs_per_guild: int = 50
    attempt_deadline: timedelta = timedelta(minutes=15)
    delivery_deadline: timedelta = timedelta(seconds=60)
    drain: timedelta = timedelta(seconds=30)
    quotas: Quotas = UNLIMITED
    retention: Retention = KEPT
