"""What people did to a task or a guild between two moments: command by command, also where one undid another. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from application.ports import Recorded
from domain.guild import TasksAdmitted

__all__ = ["MOST_COMMANDS", "Command", "Commands"]

MOST_COMMANDS = 100
"""So many are told of one task or guild, the last ones; the others are counted."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something that somebody did: when, what, who, and why. ``what`` says it of an edit as field, before and after."""

    position: int
    at: datetime
    topic: str
    what: str
    by: str
    reason: str | None


class Commands:
    """Takes up the events of a stream in order, and says what of them was done by somebody."""

    def __init__(self) -> None:
        self._last: deque[tuple[Recorded, BaseModel | None, BaseModel | None]] = deque(maxlen=MOST_COMMANDS)
        self._count = 0

    def see(self, one: Recorded, before: Any, after: Any) -> None:
        """An event, with what people had written before and after it (the two may be one object).

        What a guild notes when a task is scheduled is told by the task itself.
        """
        if getattr(one.event, "by", None) is not None and not isinstance(one.event, TasksAdmitted):
            self._last.append((one, before, after))
            self._count += 1

    @property
    def left_out(self) -> int:
        """How many came before those that are told."""
        return self._count - len(self._last)

    def told(self, zone: str) -> tuple[Command, ...]:
        """The last of them, in order; instants within them in this zone."""
        return tuple(_command(*one, zone) for one in self._last)


def _command(one: Recorded, before: BaseModel | None, after: BaseModel | None, zone: str) -> Command:
    from application.report_words import changed_fields, event_line, fields  # only where there are any

    event: Any = one.event
    line = event_line(one.position, event, guild_id="", task_id="", subject="", zone=zone)
    what = line.what
    if before is not None and after is not None and before is not after:
        old, new = fields(before), fields(after)
        what = "; ".join(
            f"{name}: {_said(old.get(name))} -> {_said(new.get(name))}" for name in changed_fields(old, new)
        )
    return Command(one.position, event.timestamp, event.topic, what, event.by, line.reason)


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(inner)}" for name, inner in value.items()) or "-"
    return "-" if value in (None, "") else str(value)
