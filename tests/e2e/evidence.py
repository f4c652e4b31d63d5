"""What a store must show, whatever happened to it: the promises, checked from the log's events alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from application.ports import Log, ReadModel
from application.rows import TaskRow
from domain import task_events as facts
from domain.errors import EventUnreadable
from domain.schedule import between
from domain.task import ScheduledTask, state
from domain.task_state import STATE_FIELDS
from infrastructure.read_model import SqliteReadModel

__all__ = ["all_events", "check_accounting", "check_attempts", "check_rebuild", "check_snapshots", "task_streams"]

_INSTANT = timedelta(microseconds=1)
_MOST = 10_000_000


def all_events(log: Log) -> list[Any]:
    """Every event of the log that can be read, in order."""
    events: list[Any] = []
    position = 0
    while chunk := log.read(position, 5_000):
        position = chunk[-1].position
        events.extend(event for _, event in chunk if not isinstance(event, EventUnreadable))
    return events


def task_streams(events: Iterable[Any]) -> dict[UUID, list[Any]]:
    """The events of each task."""
    streams: dict[UUID, list[Any]] = defaultdict(list)
    for event in events:
        if isinstance(event, facts.TaskEvent):
            streams[event.originator_id].append(event)
    return streams


def check_attempts(stream: list[Any]) -> Counter[str]:
    """Each (run, attempt) was started once, attempts count up, and each was closed once. Says how runs ended."""
    last: dict[str, int] = {}
    slots: dict[str, Any] = {}
    open_attempts: dict[str, tuple[int, str]] = {}
    ends: dict[str, str] = {}
    for event in stream:
        if isinstance(event, facts.Started):
            assert event.run not in open_attempts, f"{event.run} was started while it ran"
            assert event.attempt == last.get(event.run, 0) + 1, f"{event.run}: attempt {event.attempt}"
            assert slots.setdefault(event.run, event.slot) == event.slot
            assert event.run not in ends, f"{event.run} was started after its end"
            last[event.run], open_attempts[event.run] = event.attempt, (event.attempt, event.owner)
        elif isinstance(event, facts.Executed | facts.Failed | facts.Interrupted) or (
            isinstance(event, facts.Skipped) and event.run is not None
        ):
            run = str(event.run)
            if run in open_attempts:
                assert open_attempts.pop(run) == (event.attempt, event.owner), f"{run} was closed by another"
            else:
                assert isinstance(event, facts.Skipped), f"{run} was closed while it did not run"
            if isinstance(event, facts.Failed) and event.retry_at is not None:
                continue
            if not isinstance(event, facts.Interrupted):
                assert run not in ends, f"{run} ended twice"
                ends[run] = type(event).__name__.lower()
    with_slot = {run for run, slot in slots.items() if slot is not None}
    counts = Counter(ends.get(run, "pending") for run in with_slot)
    counts["running"] = len(open_attempts)
    return counts


def check_accounting(stream: list[Any]) -> Counter[str]:
    """Every slot that the schedules imply, from creation to ``accounted_until``, was started or skipped, once.

    Each schedule counts from when it was set until it was changed. Returns the counts: executed, failed, skipped,
    pending.
    """
    task = state(stream)
    assert task is not None
    schedule, since = stream[0].definition.schedule, stream[0].timestamp
    expected: list[Any] = []
    served: list[Any] = []
    never_started = 0
    for event in stream:
        if isinstance(event, facts.Started) and event.attempt == 1 and event.slot is not None:
            served.append(event.slot)
        elif isinstance(event, facts.Skipped) and event.run is None:
            assert event.first is not None
            assert event.last is not None
            slots = between(schedule, event.first - _INSTANT, event.last, _MOST)
            assert len(slots) == event.count, f"{event.count} slots were said to be skipped, {len(slots)} were"
            served.extend(slots)
            never_started += len(slots)
        elif isinstance(event, facts.Revised) and event.definition.schedule != schedule:
            expected.extend(between(schedule, since, event.accounted_until, _MOST))
            schedule, since = event.definition.schedule, event.accounted_until
    twice = [slot for slot, count in Counter(served).items() if count > 1]
    assert twice == [], f"served twice: {twice[:3]}"
    expected.extend(between(schedule, since, task.accounted_until, _MOST))
    assert sorted(served) == expected, f"{len(served)} slots were accounted for, {len(expected)} there were"
    counts = check_attempts(stream)
    counts["skipped"] += never_started
    assert counts["executed"] + counts["failed"] + counts["skipped"] + counts["pending"] == len(expected)
    return counts


def check_rows(streams: dict[UUID, list[Any]], rows: ReadModel) -> None:
    """The statistics of each task say what its events say."""
    for task_id, stream in streams.items():
        row = rows.get(TaskRow, str(task_id))
        assert row is not None
        assert row.attempts == sum(isinstance(event, facts.Started) for event in stream)
        assert row.executed == sum(isinstance(event, facts.Executed) for event in stream)
        assert row.interruptions == sum(isinstance(event, facts.Interrupted) for event in stream)
        assert row.version == len(stream)


def check_rebuild(log: Log, live: SqliteReadModel, scratch: Path) -> None:
    """A read model made anew from the log equals the live one, row by row."""
    rebuilt = SqliteReadModel(scratch / "rebuilt.db")
    try:
        rebuilt.catch_up(log)
        assert rebuilt.position() == live.position()
        before, after = live.dump(), rebuilt.dump()
        for table in after:
            assert before[table] == after[table], f"table {table} differs"
    finally:
        rebuilt.close()


def check_snapshots(log: Log, streams: dict[UUID, list[Any]]) -> int:
    """What a snapshot and its tail lead to equals a full replay. Returns how many tasks had a snapshot."""
    taken = 0
    for task_id, loaded in log.load(list(streams)).items():
        if loaded.snapshot is None:
            continue
        taken += 1
        start: ScheduledTask = loaded.snapshot.restore()  # type: ignore[attr-defined]
        short = state([event for _, event in loaded.events], start)
        full = state(streams[task_id])
        assert short is not None
        assert full is not None
        for field in (*STATE_FIELDS, "version"):
            assert getattr(short, field) == getattr(full, field), f"{task_id}: {field} differs"
    return taken
