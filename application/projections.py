"""From events to rows: one pure function, used alike for the live read model and for rebuilding it.

It computes no calendar and reads no clock: whatever a row needs was decided when the event was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from application.erased_rows import HANDLERS as ERASURES
from application.erased_rows import guild_row as _guild
from application.incident_rows import incident_of, set_incident, set_untold
from application.model_use import spent
from application.open_runs import BUFFERING, RUNNING, OpenEntry, keep_open, settle
from application.row_texts import described, text_of
from application.rows import (
    DeliveryRow,
    FormerNameRow,
    GuildRow,
    NodeRow,
    Purge,
    Rows,
    RunRow,
    SkipRow,
    TaskRow,
    TextRow,
)
from domain import guild, node
from domain import task_events as facts
from domain.event import Event
from domain.event import epoch_microseconds as us
from domain.incidents import untold_with

__all__ = ["project"]

_DAY = 86_400 * 1_000_000  # microseconds: runs are counted from midnight to midnight in UTC


def project(event: Event, rows: Rows) -> None:
    """Change the rows as this event says."""
    handler = _HANDLERS.get(event.topic)
    if handler is not None:
        handler(event, rows)


# --- tasks ---


def _created(event: facts.Created, rows: Rows) -> None:
    definition = event.definition
    at = us(event.timestamp)
    task = TaskRow(
        task_id=event.stream,
        guild_id=definition.guild_id,
        name=definition.name,
        task_type=definition.task_type.value,
        operation=definition.operation,
        overlap=definition.overlap.value,
        created_at=at,
        changed_at=at,
        version=event.originator_version,
        accounted_until=at,
        next_slot=_us(event.next_slot),
    )
    rows.put(described(TextRow(task_id=task.task_id, status_by=event.by, status_at=at), definition))
    guild_row = _guild(definition.guild_id, rows)
    guild_row.tasks += 1
    settle(task, rows)


def _revised(event: facts.Revised, rows: Rows) -> None:
    task, text = _task(event, rows), text_of(event.stream, rows)
    definition = event.definition
    task.guild_id = definition.guild_id  # never changes; but Created may be unreadable
    if (former := task.name.casefold()) and former != definition.name.casefold():
        rows.put(FormerNameRow(task.task_id, former, definition.guild_id))
    task.name, task.overlap = definition.name, definition.overlap.value
    task.task_type, task.operation = definition.task_type.value, definition.operation
    described(text, definition)
    kept = {destination.key for destination in definition.destinations}
    text.disabled_destinations = " ".join(key for key in text.disabled_destinations.split() if key in kept)
    task.accounted_until, task.next_slot = us(event.accounted_until), _us(event.next_slot)
    settle(task, rows)


def _paused(event: facts.Paused, rows: Rows) -> None:
    task = _task(event, rows)
    task.status, task.paused_until = "paused", _us(event.until)
    _status(task, text_of(task.task_id, rows), event.reason, event.by)
    settle(task, rows)


def _resumed(event: facts.Resumed, rows: Rows) -> None:
    task = _task(event, rows)
    text = text_of(task.task_id, rows)
    task.status, task.paused_until, task.consecutive_failures = "active", None, 0
    task.accounted_until, task.next_slot = us(event.accounted_until), _us(event.next_slot)
    text.disabled_destinations = ""
    _status(task, text, event.reason, event.by)
    settle(task, rows)


def _requested(event: facts.Requested, rows: Rows) -> None:
    task = _task(event, rows)
    at = task.changed_at
    rows.put(
        RunRow(
            run_id=event.run,
            task_id=task.task_id,
            guild_id=task.guild_id,
            request=event.request,
            requested_at=at,
            requested_by=event.by,
            due_at=at,
            reason=event.reason,
        )
    )
    keep_open(task, event.run, OpenEntry(manual=True, due_at=at, until=_us(event.until)))
    settle(task, rows)


def _started(event: facts.Started, rows: Rows) -> None:
    task = _task(event, rows)
    at = task.changed_at
    begins = event.attempt == 1 and event.slot is not None  # with it, and so nothing is known of the run yet
    known = None if begins else rows.get(RunRow, event.run)
    run = known or RunRow(run_id=event.run, task_id=task.task_id, guild_id=task.guild_id)
    run.slot, run.request = _us(event.slot), event.request
    run.state, run.attempt, run.owner = "running", event.attempt, event.owner
    run.started_at, run.deadline, run.due_at = at, us(event.deadline), None
    guild_row = _guild(task.guild_id, rows)
    if run.first_started is None:
        run.first_started = at
        if task.guild_id:  # unknown where nobody can read how the task began
            run.ordinal = _counted(guild_row, at)
    rows.put(run)
    task.attempts += 1
    guild_row.attempts += 1
    task.last_started = at
    if run.slot is not None and begins:
        task.slots_started += 1
        task.accounted_until = max(task.accounted_until, run.slot)
        task.next_slot = _us(event.next_slot)
    if event.buffered_until is not None:
        task.buffered_until = us(event.buffered_until)
    keep_open(task, event.run, RUNNING if event.slot is not None else OpenEntry(manual=True, due_at=None))
    settle(task, rows)


def _executed(event: facts.Executed, rows: Rows) -> None:
    task = _task(event, rows)
    run = _closed(event, task, "executed", rows)
    run.summary_id, run.messages, run.note, run.error = event.summary, event.messages, event.note, None
    spent(event, task, run, rows)
    guild_row = _guild(task.guild_id, rows)
    duration = run.duration or 0
    task.executed += 1
    guild_row.executed += 1
    task.duration_total += duration
    guild_row.duration_total += duration
    if run.slot is not None:
        task.slots_served += 1
        task.consecutive_failures = 0
        if task.incident_since is not None:
            set_incident(task, incident_of(task).succeeded())
    _deliveries(event, task, rows)
    settle(task, rows)


def _failed(event: facts.Failed, rows: Rows) -> None:
    task = _task(event, rows)
    guild_row = _guild(task.guild_id, rows)
    task.failed_attempts += 1
    guild_row.failed_attempts += 1
    if event.retry_at is None:
        run = _closed(event, task, "failed", rows)
        task.failed += 1
        task.slots_served += run.slot is not None
        guild_row.failed += 1
    else:
        run = _waiting(event, task, us(event.retry_at), rows)
    run.reason, run.error = event.what, event.error
    run.summary_id = event.summary or run.summary_id
    spent(event, task, run, rows)
    if event.retry_at is None:
        doubtful, known = event.leaves_doubt, task.incident_since is not None
        untold = tuple(task.untold.split())
        set_untold(task, untold_with(untold, event.run, manual=run.slot is None, doubtful=doubtful, in_trouble=known))
    if run.slot is not None:
        task.consecutive_failures += not event.postponed
        set_incident(task, incident_of(task).failed(us(event.timestamp)))
    if event.disabled_destinations:
        text = text_of(event.stream, rows)
        text.disabled_destinations = " ".join(
            sorted({*text.disabled_destinations.split(), *event.disabled_destinations})
        )
    _deliveries(event, task, rows)
    settle(task, rows)


def _skipped(event: facts.Skipped, rows: Rows) -> None:
    task = _task(event, rows)
    guild_row = _guild(task.guild_id, rows)
    if event.run is not None:
        run = _closed(event, task, "skipped", rows)
        run.reason, run.note = event.skip.value, event.note
        if event.skip is facts.SkipReason.QUOTA and run.first_started is not None:
            _uncounted(guild_row, run.first_started)
        task.skipped += 1
        task.slots_served += run.slot is not None and event.skip is facts.SkipReason.QUIET
        guild_row.skipped += 1
    elif event.first is not None and event.last is not None:
        count = event.count or 0
        rows.put(
            SkipRow(
                task_id=task.task_id,
                version=event.originator_version,
                guild_id=task.guild_id,
                first=us(event.first),
                last=us(event.last),
                count=count,
                reason=event.skip.value,
                at=us(event.timestamp),
            )
        )
        task.slots_skipped += count
        guild_row.slots_skipped += count
        task.accounted_until = max(task.accounted_until, us(event.last))
        task.next_slot = _us(event.next_slot)
    settle(task, rows)


def _interrupted(event: facts.Interrupted, rows: Rows) -> None:
    task = _task(event, rows)
    run = _waiting(event, task, us(event.timestamp), rows)
    run.reason = event.cause.value
    task.interruptions += 1
    _guild(task.guild_id, rows).interruptions += 1
    _deliveries(event, task, rows)
    settle(task, rows)


def _disabled(event: facts.Disabled, rows: Rows) -> None:
    task = _task(event, rows)
    set_incident(task, incident_of(task).disabled(us(event.timestamp)))
    rows.put(task)
    _ended(event, rows, "disabled", event.reason, None)


def _cancelled(event: facts.Cancelled, rows: Rows) -> None:
    _ended(event, rows, "cancelled", event.reason, event.by)


def _completed(event: facts.Completed, rows: Rows) -> None:
    _ended(event, rows, "completed", None, None)


def _noticed(event: facts.Noticed, rows: Rows) -> None:
    task = _task(event, rows)
    set_incident(task, incident_of(task).noticed(event.kind))
    if event.runs:
        set_untold(task, tuple(run for run in task.untold.split() if run not in event.runs))
    settle(task, rows)


def _replanned(event: facts.Replanned, rows: Rows) -> None:
    task = _task(event, rows)
    task.next_slot = _us(event.next_slot)
    settle(task, rows)


def _delivered_late(event: facts.DeliveredLate, rows: Rows) -> None:
    task = _task(event, rows)
    _deliveries(event, task, rows)
    settle(task, rows)


def _moved(event: facts.TaskEvent, rows: Rows) -> None:
    settle(_task(event, rows), rows)


# --- guilds and nodes ---


def _settings_changed(event: guild.SettingsChanged, rows: Rows) -> None:
    row = _guild(event.guild_id, rows)
    row.settings, row.notices = event.settings.model_dump_json(), len(event.settings.failure_notices)


def _content_deleted(event: guild.ContentDeleted, rows: Rows) -> None:
    rows.purge(Purge(event.scope, us(event.cutoff), event.deletes_runs, event.archives_tasks))


def _node_started(event: node.NodeStarted, rows: Rows) -> None:
    rows.put(
        NodeRow(
            node=event.node,
            host=event.host,
            pid=event.pid,
            version=event.version,
            rules=event.rules,
            started_at=us(event.timestamp),
        )
    )


def _node_stopped(event: node.NodeStopped, rows: Rows) -> None:
    _node_ended(event.node, us(event.timestamp), 0, rows)


def _node_lost(event: node.NodeLost, rows: Rows) -> None:
    _node_ended(event.node, us(event.last_seen), 1, rows)


def _node_ended(name: str, at: int, lost: int, rows: Rows) -> None:
    row = rows.get(NodeRow, name) or NodeRow(node=name)
    row.ended_at, row.lost = at, lost
    rows.put(row)


# --- what the handlers share ---


def _us(instant: Any) -> int | None:
    return None if instant is None else us(instant)


def _task(event: Event, rows: Rows) -> TaskRow:
    stream = event.stream
    task = rows.get(TaskRow, stream) or TaskRow(task_id=stream)
    task.version, task.changed_at = event.originator_version, us(event.timestamp)
    return task


def _counted(row: GuildRow, at: int) -> int:
    """Count a run of the guild's day; returns which one it is."""
    day = at // _DAY
    if day > row.day:  # clocks of several machines differ: a day that is over is not opened again
        row.day, row.runs_today = day, 0
    row.runs_today += 1
    return row.runs_today


def _uncounted(row: GuildRow, at: int) -> None:
    """A run that was one too many did not happen."""
    if at // _DAY == row.day:
        row.runs_today = max(0, row.runs_today - 1)


def _status(task: TaskRow, text: TextRow, reason: str | None, by: str | None) -> None:
    text.status_reason, text.status_by, text.status_at = reason, by, task.changed_at


def _ended(event: Event, rows: Rows, status: str, reason: str | None, by: str | None) -> None:
    task = _task(event, rows)
    task.status = status
    if status != "disabled":
        task.next_slot = None
    _status(task, text_of(task.task_id, rows), reason, by)
    settle(task, rows)


def _closed(event: Any, task: TaskRow, state: str, rows: Rows) -> RunRow:
    run = rows.get(RunRow, event.run) or RunRow(run_id=event.run, task_id=task.task_id, guild_id=task.guild_id)
    at = task.changed_at
    run.state, run.closed_at, run.owner, run.deadline, run.due_at = state, at, None, None, None
    if run.started_at is not None:
        # The clock may have been set back meanwhile.
        run.duration = max(0, at - run.started_at)
    rows.put(run)
    task.last_closed, task.last_outcome = at, state
    if run.slot is not None and task.overlap in BUFFERING:
        task.buffered_until = at
    keep_open(task, event.run, None)
    return run


def _waiting(event: Any, task: TaskRow, due_at: int, rows: Rows) -> RunRow:
    run = rows.get(RunRow, event.run) or RunRow(run_id=event.run, task_id=task.task_id, guild_id=task.guild_id)
    run.state, run.owner, run.deadline, run.due_at = "waiting", None, None, due_at
    rows.put(run)
    keep_open(task, event.run, OpenEntry(manual=run.slot is None, due_at=due_at))
    return run


def _deliveries(event: Any, task: TaskRow, rows: Rows) -> None:
    for outcome in event.deliveries or ():
        rows.put(
            DeliveryRow(
                run_id=event.run,
                destination=outcome.destination,
                task_id=task.task_id,
                guild_id=task.guild_id,
                type=outcome.type.value,
                status=outcome.status.value,
                receipt=outcome.receipt,
                reason=outcome.reason,
                permanent=int(outcome.permanent),
                attempt=event.attempt,
                at=us(outcome.at),
            )
        )


_HANDLERS: dict[str, Callable[[Any, Rows], None]] = {
    facts.Created.topic: _created,
    facts.Revised.topic: _revised,
    facts.Paused.topic: _paused,
    facts.Resumed.topic: _resumed,
    facts.Requested.topic: _requested,
    facts.SkipRequested.topic: _moved,
    facts.Started.topic: _started,
    facts.DeliveredLate.topic: _delivered_late,
    facts.DeliveryStarted.topic: _moved,
    facts.Executed.topic: _executed,
    facts.Failed.topic: _failed,
    facts.Skipped.topic: _skipped,
    facts.Interrupted.topic: _interrupted,
    facts.Disabled.topic: _disabled,
    facts.Cancelled.topic: _cancelled,
    facts.Completed.topic: _completed,
    facts.Noticed.topic: _noticed,
    facts.Replanned.topic: _replanned,
    guild.SettingsChanged.topic: _settings_changed,
    guild.ContentDeleted.topic: _content_deleted,
    node.NodeStarted.topic: _node_started,
    node.NodeStopped.topic: _node_stopped,
    node.NodeLost.topic: _node_lost,
    **ERASURES,
}
