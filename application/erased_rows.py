"""What an erasure leaves in the rows: numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application.rows import GuildRow, Rows, TaskRow, TextRow
from domain import guild_erasure, task_erasure
from domain.event import epoch_microseconds as us

__all__ = ["HANDLERS", "SUMS", "guild_row"]

SUMS = (
    "slots_skipped",
    "executed",
    "failed",
    "skipped",
    "attempts",
    "failed_attempts",
    "interruptions",
    "duration_total",
)
"""What a task's row and a tally count, and a guild's row adds up."""

SERVED = ("executed", "failed", "quiet")
"""The fates of slots that were served, as a tally names them (see ``Account.served``)."""

SPENT = ("input_tokens", "output_tokens", "cost")
"""What a language model was asked for. No tally keeps it, so it goes with the task."""


def _task_erased(event: task_erasure.Erased, rows: Rows) -> None:
    """The row is made from this event alone: what stands before may be readable here, and not elsewhere or later."""
    stream, tally, at = str(event.originator_id), event.tally, us(event.timestamp)
    before = rows.get(TaskRow, stream)
    rows.forget(stream)
    if before is not None:
        _add(before, -1, rows)
    row = TaskRow(stream, event.guild_id, task_erasure.ERASED, status="cancelled", archived=1)
    row.created_at = us(tally.created_at) if tally.created_at is not None else at
    row.changed_at = row.accounted_until = at
    row.version, row.slots_started = event.originator_version, tally.slots_started
    row.slots_served = sum(slots.get(fate, 0) for slots in tally.slots.values() for fate in SERVED)
    for name in SUMS:
        setattr(row, name, getattr(tally, name))
    _add(row, 1, rows)
    rows.put(row)
    erased = task_erasure.ERASED
    rows.put(TextRow(stream, schedule=erased, status_reason=erased, status_by=event.by, status_at=at))


def _add(task: TaskRow, sign: int, rows: Rows) -> None:
    row = guild_row(task.guild_id, rows)
    if task.created_at:  # a row without it was begun by a later event, and never counted as a task
        row.tasks += sign
    for name in (*SUMS, *SPENT):
        setattr(row, name, getattr(row, name) + sign * getattr(task, name))


def _erasure_requested(event: guild_erasure.ErasureRequested, rows: Rows) -> None:
    guild_row(event.guild_id, rows).erasing = 1


def _guild_erased(event: guild_erasure.Erased, rows: Rows) -> None:
    before = guild_row(event.guild_id, rows)
    rows.forget(str(event.originator_id))
    sums = {name: getattr(before, name) for name in ("tasks", *SUMS)}
    rows.put(GuildRow(event.guild_id, erasures=1, **sums))


def _person_erased(event: guild_erasure.PersonErased, rows: Rows) -> None:
    guild_row(event.guild_id, rows).erasures = 1


def guild_row(guild_id: str, rows: Rows) -> GuildRow:
    """The row of a guild, made when it is missing, and counted as changed."""
    row = rows.get(GuildRow, guild_id) or GuildRow(guild_id=guild_id)
    rows.put(row)
    return row


HANDLERS: dict[str, Callable[[Any, Rows], None]] = {
    task_erasure.Erased.topic: _task_erased,
    guild_erasure.ErasureRequested.topic: _erasure_requested,
    guild_erasure.Erased.topic: _guild_erased,
    guild_erasure.PersonErased.topic: _person_erased,
}
