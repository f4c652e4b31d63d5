"""What a run would make of the messages up to now: no event, no delivery, nothing kept."""

from __future__ import annotations

from datetime import datetime, timedelta

from application.views import RunView, TaskView
from application.work import Work
from domain.claiming import look_back
from domain.definition import TaskType
from domain.errors import InvalidInput
from domain.runs import Attempt

__all__ = ["DEADLINE", "rehearsal"]

DEADLINE = timedelta(minutes=10)
"""Within this the person who asked is answered, or told that it took too long."""


def rehearsal(task: TaskView, last: RunView | None, *, now: datetime) -> Work:
    """The work of a run that is not one. ``last`` is the last that succeeded: from there on messages are looked at.

    Raises InvalidInput for a task that makes no summaries.
    """
    if task.definition.task_type is not TaskType.SUMMARY:
        raise InvalidInput("task", task.name, "makes no summaries", "choose a task that summarizes")
    covered = (last.slot or last.started_at) if last is not None else None
    since = look_back(task.definition, instant=now, covered=covered, created=task.metadata.created_at)
    attempt = Attempt(
        run=f"rehearsal-{task.task_id}",
        attempt=1,
        owner="",
        slot=None,
        request="rehearsal",
        started_at=now,
        deadline=now + DEADLINE,
        since=since,
    )
    return Work(task.task_id, task.definition, (), attempt)
