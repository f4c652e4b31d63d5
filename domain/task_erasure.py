"""What is left of a task when its guild is erased: numbers, and nothing that anybody wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from domain.event import Utc
from domain.runs import TaskStatus
from domain.task_events import TaskEvent

if TYPE_CHECKING:
    from domain.task import ScheduledTask

__all__ = ["ERASED", "Erased", "Tally"]

ERASED = "[erased]"
"""What stands in the place of everything that was erased."""


class Late(BaseModel):
    """So many slots of a day (UTC) whose fate was known on a later one only, so that a report of a day before that can
    be made again. They were ``due`` until that day, then ``open`` until that one; then they had the ``fate``.

    Of runs on request (``manual``) the day is that on which they were asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    day: str
    due: str | None = None
    open: str | None = None
    fate: str
    count: int
    manual: bool = False


class Tally(BaseModel):
    """A task in numbers. ``slots`` and ``manual`` count by day in UTC ("2026-11-03"), then by fate; ``late`` are those
    among them that were still pending at the end of their day; ``ahead`` counts those among them that lie on the day of
    the erasure and after it, since they had been left out in advance.

    ``events`` counts the events of each day, in the order of the stream. ``unreadable`` counts the events that could
    not be read when it was made: what they said is in no other number. Tallies of old count by month ("2026-11"), and
    no events.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    created_at: Utc | None = None
    slots_started: int = 0
    slots_skipped: int = 0
    executed: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    interruptions: int = 0
    duration_total: int = 0
    slots: dict[str, dict[str, int]] = {}
    manual: dict[str, dict[str, int]] = {}
    late: tuple[Late, ...] = ()
    ahead: dict[str, int] = {}
    events: dict[str, int] = {}
    unreadable: int = 0


class Erased(TaskEvent):
    """The task ended because its guild was erased. Sealed with the service's key: it outlives everything before it."""

    topic: ClassVar[str] = "task.erased"

    guild_id: str
    by: str
    tally: Tally

    def apply(self, task: ScheduledTask) -> None:
        task.status = TaskStatus.CANCELLED
        task.next_slot = task.paused_until = task.buffered_until = None
        task.open_runs = {}
