"""What people read when they are told of trouble. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b

from application.views import RunView, TaskView
from domain.destination import DeliveryStatus
from domain.incidents import NoticeKind
from domain.summary import Summary

__all__ = ["MOST_NAMED", "notice_summary"]

MOST_NAMED = 5
"""So many single runs are told of in words; of the others people learn how many there are."""


def notice_summary(
    kind: NoticeKind,
    task: TaskView,
    run: RunView | None,
    *,
    at: datetime,
    runs: Sequence[RunView] = (),
    about: object,
) -> Summary:
    """What people read, in the shape that every delivery channel can render.

    ``run`` is the last one of the schedule, ``runs`` those that people are told of one by one beside; ``at`` is
    when it happened; ``about`` tells this notice from others of its kind.
    """
    title, text = _schedule_words(kind, task, run)
    singly = [one for one in runs if run is None or one.run_id != run.run_id or not text]
    told = [text, *(_run_words(one) for one in singly[:MOST_NAMED])]
    if more := len(singly) - MOST_NAMED:
        told += [f"{more} more failed."] if more > 0 else []
    if kind is NoticeKind.RUN_FAILED:
        title = f"{task.name}: {'a run' if len(runs) == 1 else f'{len(runs)} runs'} failed"
        told.append(f"To run it again: daybook tasks run {task.task_id}")
    return Summary(
        id=blake2b(f"{task.task_id}{kind}{about}".encode(), digest_size=8).hexdigest(),
        guild_id=task.guild_id,
        title=title,
        summary_text="\n".join(filter(None, told)),
        start_time=at,
        end_time=at,
        engine="notice",
    )


def _schedule_words(kind: NoticeKind, task: TaskView, run: RunView | None) -> tuple[str, str]:
    """Title and text of the trouble of the task with its schedule; nothing where it is about single runs alone."""
    error = f" {run.error.rstrip('.')}." if run is not None and run.error else ""
    retry = f" It is tried again at {run.due_at:%Y-%m-%d %H:%M} UTC." if run is not None and run.due_at else ""
    doubt = _doubt_words(run) if run is not None and not run.due_at else ""
    match kind:
        case NoticeKind.FAILING:
            return f"{task.name} is failing", f"The task “{task.name}” failed.{error}{retry}{doubt}"
        case NoticeKind.DISABLED:
            why = (task.status_reason or "it failed too often").rstrip(".")
            return (
                f"{task.name} was disabled",
                f"The task “{task.name}” is off: {why}.{error}{doubt}"
                f" It stays off until somebody resumes it: daybook tasks resume {task.task_id}",
            )
        case NoticeKind.RECOVERED:
            return f"{task.name} works again", f"The task “{task.name}” succeeded again."
        case NoticeKind.RUN_FAILED:
            return "", ""


def _run_words(run: RunView) -> str:
    if run.slot is not None:
        which = f"The run of {run.slot:%Y-%m-%d %H:%M} UTC"
    elif run.requested_at is not None:
        which = f"The run asked for at {run.requested_at:%Y-%m-%d %H:%M} UTC"
    else:
        which = "A run"
    error = f": {run.error.rstrip('.')}." if run.error else "."
    return f"{which} ({run.run_id[:8]}) failed{error}{_doubt_words(run)}"


def _doubt_words(run: RunView) -> str:
    """Where nobody knows whether the result arrived: nothing sends it again, so a person has to look."""
    places = sorted({delivery.type for delivery in run.deliveries if delivery.status == DeliveryStatus.UNKNOWN})
    return f" Whether it arrived ({', '.join(places)}) is not known; it is not sent again by itself." if places else ""
