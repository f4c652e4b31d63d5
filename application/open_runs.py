"""Of a task's row, what depends on the runs that are not closed: which they are, and when it is next due."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from application.rows import Rows, TaskRow
from domain.definition import OverlapPolicy
from domain.runs import attention_at
from domain.task_kinds import TaskStatus

__all__ = ["BUFFERING", "RUNNING", "OpenEntry", "is_backfilling", "keep_open", "settle"]

_STATUSES = {status.value: status for status in TaskStatus}
_OVERLAPS = {policy.value: policy for policy in OverlapPolicy}
BUFFERING = {policy.value for policy in OverlapPolicy if policy.buffers}


class OpenEntry(NamedTuple):
    """What the due time of a task depends on, of one run that is not closed."""

    manual: bool
    due_at: int | None
    until: int | None = None


RUNNING = OpenEntry(manual=False, due_at=None)
"""It runs for a slot, as most do."""


def keep_open(task: TaskRow, run: str, entry: OpenEntry | None) -> None:
    """Note how an open run stands; None: it is closed."""
    running = _running(run)
    if task.open_runs == running:  # the only one, as most of the time
        task.open_runs = ""
    if not task.open_runs and (entry is None or entry == RUNNING):
        task.open_runs = "" if entry is None else running
        return
    runs: dict[str, list[Any]] = from_json(task.open_runs) if task.open_runs else {}
    before = runs.pop(run, ())
    if entry is not None:
        until = entry.until if entry.until is not None else next(iter(before[2:]), None)
        runs[run] = [entry.manual, entry.due_at] if until is None else [entry.manual, entry.due_at, until]
    task.open_runs = to_json(runs).decode() if runs else ""


def _running(run: str) -> str:
    """The open runs of a task of which just this one runs, for a slot."""
    return f'{{"{run}":[false,null]}}' if run.isalnum() else to_json({run: RUNNING[:2]}).decode()


def _runs_one(task: TaskRow) -> bool:
    return task.open_runs.endswith(":[false,null]}") and task.open_runs.count("[") == 1


def settle(task: TaskRow, rows: Rows) -> None:
    """Work out when the task next wants attention, and keep the row."""
    waits_for_none = task.overlap not in BUFFERING and task.buffered_until is None
    if task.status == "active" and (not task.open_runs or (waits_for_none and _runs_one(task))):
        task.due_at = task.next_slot  # what attention_at says of most tasks, most of the time
    else:
        runs = {run: OpenEntry(*entry) for run, entry in from_json(task.open_runs).items()} if task.open_runs else {}
        task.due_at = attention_at(
            _STATUSES[task.status],
            task.next_slot,
            _OVERLAPS[task.overlap],
            runs,
            task.paused_until,
            task.buffered_until,
        )
    rows.put(task)


def is_backfilling(task: TaskRow) -> bool:
    """Whether runs of past slots are still to come, or under way."""
    return bool(task.open_runs) and any(
        OpenEntry(*entry).until is not None for entry in from_json(task.open_runs).values()
    )
