"""Tasks and runs as tables and as pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from adapters.cli import show
from adapters.cli.times import local, relative, seconds, stamp
from domain.identity import short_id

if TYPE_CHECKING:
    from rich.table import Table

    from application.views import RunView, TaskMetadata, TaskView
    from domain.definition import TaskDefinition

__all__ = ["due_words", "print_run", "print_runs", "print_task", "print_tasks", "rate", "result_words"]


def due_words(instant: datetime | None, zone: str, now: datetime) -> str:
    """``Tue 09:00, in 3 h`` in the task's zone, or a dash."""
    if instant is None:
        return "-"
    return (
        f"{local(instant, zone, now)}, {relative(instant, now) if instant > now else f'due {relative(instant, now)}'}"
    )


def _channels(definition: TaskDefinition) -> str:
    """``1, 2, category 3, without 4; a summary of each``."""
    parts = [*definition.all_channel_ids]
    if definition.category_id:
        parts.append(f"category {definition.category_id}")
    if definition.excluded_channel_ids:
        parts.append(f"without {', '.join(definition.excluded_channel_ids)}")
    each = "; a summary of each" if definition.category_mode == "individual" else ""
    return (", ".join(parts) or "-") + each


def rate(metadata: TaskMetadata) -> str:
    """The success rate, or a dash before the first run."""
    return f"{metadata.get_success_rate():.0f}%" if metadata.execution_count else "-"


def print_tasks(tasks: Sequence[TaskView], now: datetime) -> None:
    """The list of tasks."""
    rows = [
        (
            short_id(task.task_id),
            show.plain(task.name),
            show.state(task.status.value) + (" (?)" if task.unreadable else ""),
            show.plain(task.schedule_in_words),
            due_words(task.next_run_time, task.timezone, now),
            show.state(task.last_outcome) if task.last_outcome else "-",
            rate(task.metadata),
        )
        for task in tasks
    ]
    if not rows:
        show.line("No tasks. `daybook tasks add` makes one.")
        return
    columns = ("id", "name", "status", "schedule", "next", "last", "success")
    show.display(show.table(columns, rows, right=("success",)))


def print_task(task: TaskView, runs: Sequence[RunView], now: datetime) -> None:
    """All of one task, and its last runs."""
    definition, metadata = task.definition, task.metadata
    zone = task.timezone
    status = task.status.value + (f", {task.status_reason}" if task.status_reason else "")
    if task.paused_until is not None:
        status += f", until {due_words(task.paused_until, zone, now)}"
    look_back = f"{definition.time_range_hours:g} h" if definition.time_range_hours else "since the last run"
    rows = [
        ("id", task.task_id),
        ("name", show.plain(task.name)),
        ("status", status),
        ("does", definition.task_type.value + (f" {definition.operation}" if definition.operation else "")),
        ("guild", task.guild_id),
        ("channels", _channels(definition)),
        ("schedule", show.plain(task.schedule_in_words)),
        ("next run", due_words(task.next_run_time, zone, now)),
        ("looks back", look_back),
        ("length", definition.summary_options.summary_length.value),
        ("delivers to", "; ".join(_place(task, i) for i in range(len(definition.destinations))) or "-"),
        ("policies", f"overlap {definition.overlap}, catch-up {definition.catch_up}, "
                     f"disabled after {definition.max_failures} failures"),
        ("runs", f"{metadata.execution_count - metadata.failure_count} executed, {metadata.failure_count} failed, "
                 f"{metadata.skipped_runs} without a result, success {rate(metadata)}"),
        ("slots", f"{metadata.slots_served} of {metadata.slots_decided} served, {metadata.skipped_slots} left out"),
        ("created", f"{stamp(metadata.created_at, zone)} by {definition.created_by}"),
    ]  # fmt: skip
    if task.is_erased:  # what it was is gone, and what stands in its place is no answer
        rows = [row for row in rows if row[0] in _LEFT_OF_ERASED]
    if task.unreadable:
        words = f"{task.unreadable} of its events cannot be read or are missing; this is what the others say"
        rows.insert(3, ("damaged", words))
    if task.consecutive_failures:
        rows.insert(3, ("failures", f"{task.consecutive_failures} in a row"))
    show.display(_page(rows))
    if runs:
        show.line()
        print_runs(runs, {task.task_id: task}, now, with_task=False)


_LEFT_OF_ERASED = ("id", "name", "status", "guild", "runs", "slots")


def _place(task: TaskView, index: int) -> str:
    from adapters.cli.written import destination_words

    place = task.definition.destinations[index]
    off = " (disabled after it failed for good)" if place.key in task.disabled_destinations else ""
    return show.plain(destination_words(place) + off)


def _page(rows: Sequence[tuple[str, str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    page = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    page.add_column(style="bold")
    page.add_column(overflow="fold")
    for name, value in rows:
        page.add_row(name, Text(value))
    return page


def result_words(run: RunView) -> str:
    """What came of a run: where it arrived, or why it did not."""
    places = [
        f"{d.type}: {d.receipt or d.type}" if d.status == "delivered" else f"{d.type} {d.status}: {d.reason or ''}"
        for d in run.deliveries
    ]
    told = [text for text in (run.error or run.reason, run.note) if text]
    if run.state == "executed":
        told = [run.note] if run.note else []
    return show.plain("; ".join([*places, *told]))


def print_runs(
    runs: Sequence[RunView], tasks: Mapping[str, TaskView], now: datetime, *, with_task: bool = True
) -> None:
    """Runs, the newest first."""
    rows = []
    for run in runs:
        task = tasks.get(run.task_id)
        zone = task.timezone if task is not None else "UTC"
        asked = run.slot or run.requested_at
        rows.append(
            (
                run.run_id[:10],
                *((show.plain(task.name) if task is not None else short_id(run.task_id),) if with_task else ()),
                f"{local(asked, zone, now)}, {relative(asked, now)}" if asked else "-",
                "schedule" if run.slot else f"request by {run.requested_by}",
                show.state(run.state),
                str(run.attempt),
                seconds(run.lateness_seconds),
                seconds(run.duration_seconds),
                "-" if run.messages is None else str(run.messages),
                result_words(run),
            )
        )
    if not rows:
        show.line("No runs yet.")
        return
    columns = ["run", *(["task"] if with_task else []), "slot", "by", "state", "attempt", "late", "took", "messages"]
    numbers = ("attempt", "late", "took", "messages")
    show.display(show.table([*columns, "result"], rows, right=numbers))


def print_run(run: RunView, task: TaskView, now: datetime) -> None:
    """What came of one run, in a few lines."""
    zone = task.timezone
    late = f", {seconds(run.lateness_seconds)} late" if run.lateness_seconds is not None else ""
    took = f" in {seconds(run.duration_seconds)}" if run.duration_seconds is not None else ""
    count = f", {run.messages} messages" if run.messages is not None else ""
    show.line(f"{show.plain(task.name)}: {run.state}{took}{late}{count}")
    if words := result_words(run):
        show.line(f"  {words}")
    if run.state == "waiting" and run.due_at is not None:
        show.line(f"  next attempt {due_words(run.due_at, zone, now)}")
