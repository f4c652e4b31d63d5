"""What the row of a task says of its trouble, and of what people are to be told."""

from __future__ import annotations

from application.rows import TaskRow
from domain.incidents import Incident, NoticeKind

__all__ = ["incident_of", "set_incident", "set_untold"]


def incident_of(task: TaskRow) -> Incident[int]:
    """The trouble of a task."""
    due = NoticeKind(task.notice_due) if task.notice_due not in (None, NoticeKind.RUN_FAILED) else None
    return Incident(task.incident_since, bool(task.incident_told), due)


def set_incident(task: TaskRow, incident: Incident[int]) -> None:
    """Keep the trouble of a task, and what people are to be told next."""
    task.incident_since, task.incident_told = incident.since, int(incident.told)
    task.notice_due = incident.due.value if incident.due is not None else _of_runs(task)


def set_untold(task: TaskRow, runs: tuple[str, ...]) -> None:
    """Keep the single runs that people are still to be told of."""
    task.untold = " ".join(runs)
    if task.notice_due in (None, NoticeKind.RUN_FAILED):
        task.notice_due = _of_runs(task)


def _of_runs(task: TaskRow) -> str | None:
    return NoticeKind.RUN_FAILED.value if task.untold else None
