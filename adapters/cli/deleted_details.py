"""What a list of runs says of those that it does not have any more: how many, and who deleted their details when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapters.cli import show
from adapters.cli.times import stamp

if TYPE_CHECKING:
    from application.queries import Queries
    from application.views import RunView, TaskView

__all__ = ["deleted_details"]


def deleted_details(queries: Queries, task: TaskView, runs: Sequence[RunView], limit: int) -> str | None:
    """One line for people where these newest runs of a task, ``limit`` at most, should be more; else None."""
    closed = task.metadata.execution_count + task.metadata.skipped_runs
    missing = closed - sum(1 for run in runs if run.state in ("executed", "failed", "skipped"))
    if len(runs) >= limit or missing <= 0:
        return None
    what = "details of 1 run" if missing == 1 else f"details of {missing} runs"
    if task.is_erased:
        from domain.task_erasure import ERASED  # brings the events with it, which no other list needs

        return f"{ERASED}: {what}"
    if (found := queries.deletion_of_runs(task.guild_id)) is None:
        return f"{what} are not kept here"
    event: Any = found.event
    return (
        f"{what} are not kept any more: those that ended before {stamp(event.cutoff, task.timezone)} were deleted at "
        f"{stamp(event.timestamp, task.timezone)} by the cleanup at position {found.position} "
        f"(by {show.plain(event.by)}); `daybook history` still tells what came of each"
    )
