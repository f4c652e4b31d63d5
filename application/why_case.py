"""What every part of an explanation needs: the task's history, when processes were up, and the zone of the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from application.chronicle import Chronicle, RunStory
from application.evidence import Evidence, local
from application.uptime import Up, down_at, unknown_to
from domain.definition import TaskDefinition

__all__ = ["Case", "Cause"]

Cause = tuple[str, tuple[Evidence, ...]]
"""A reason in words, and the events that prove it."""


@dataclass
class Case:
    """One question about one task, asked at ``now``; ``zone`` is that of the rule in force at the instant asked for."""

    book: Chronicle
    ups: Sequence[Up]
    now: datetime
    zone: str = "UTC"

    def local(self, instant: datetime) -> str:
        """An instant as the task's clock shows it."""
        return local(instant, self.zone)

    def run_of(self, story: RunStory) -> str:
        """``run R of 2026-03-02 09:00 +0000``; one on request is of no slot."""
        return f"run {story.run}" + (f" of {self.local(story.slot)}" if story.slot is not None else "")

    def down(self, instant: datetime) -> Cause | None:
        """That no process was up at an instant."""
        return down_at(self.ups, instant, self.zone)

    def down_within(self, since: datetime, end: datetime) -> Cause | None:
        """That no process was up for a time that began within these instants: the last one of them."""
        ends = sorted(up.until for up in self.ups if up.until is not None and since <= up.until < end)
        return next((found for until in reversed(ends) if (found := self.down(until)) is not None), None)

    def unknown(self, definition: TaskDefinition | None, slot: datetime, end: datetime) -> Cause | None:
        """That no process knew a custom task's operation when the slot came, nor until ``end``, or until one did."""
        if definition is None or definition.custom_operation is None:
            return None
        return unknown_to(self.ups, definition.custom_operation, slot, end, self.zone)

    def unserved(self, definition: TaskDefinition | None, slot: datetime, end: datetime) -> Cause | None:
        """That no process knew the operation from the slot on, or none was up then."""
        return self.unknown(definition, slot, end) or self.down(slot)
