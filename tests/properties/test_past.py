"""The quick way to the past, by way of kept states and of stretches of time, comes to what a whole replay comes to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application import history
from application.history import fields_of, state_at, then
from application.past import Past
from application.ports import Append, Recorded
from application.tree import EventTree
from domain.event import Event
from domain.task_snapshot import snapshot_of
from infrastructure import times
from infrastructure.leaf_file import LeafFile
from infrastructure.mapper import EventMapper
from infrastructure.read_model import SqliteReadModel
from infrastructure.sqlite_log import SqliteLog
from tests.contracts.log_parts import TinyVault
from tests.doubles import EARLY, HandClock
from tests.properties.lives import FullLife, lives

SHIFTS = st.lists(st.sampled_from([0, 0, 0, 0, 1, -1, -90, 3600, -86_400]), min_size=1, max_size=20)
"""Seconds by which the clocks of those who write the events are wrong."""


def retold(life: FullLife, number: int, shifts: list[int]) -> list[Event]:
    """The events of a life as another task's, written by clocks that are wrong now and then."""
    return [
        event.model_copy(
            update={
                "originator_id": UUID(int=number),
                "timestamp": event.timestamp + timedelta(seconds=shifts[place % len(shifts)]),
            }
        )
        for place, event in enumerate(life.events)
    ]


@contextmanager
def stored(streams: list[list[Event]], *, snapshots: int, unseen: int) -> Iterator[tuple[SqliteLog, SqliteReadModel]]:
    """A log in which these streams are interleaved.

    Every ``snapshots``-th state is kept (0: none); the read model has not seen the last ``unseen`` events.
    """
    with TemporaryDirectory() as folder, patch.object(times, "STRETCH_BITS", 3):
        log = SqliteLog(Path(folder) / "log.db", EventMapper(TinyVault()), fingerprint="now")  # type: ignore[arg-type]
        rows = SqliteReadModel(Path(folder) / "readmodel.db")
        turns = [event for turn in zip_longest(*streams) for event in turn if event is not None]
        log.append([Append(event.originator_id, "1", [event]) for event in turns])
        rows.apply(log.read(0, max(len(turns) - unseen, 0)))
        for events in streams if snapshots else []:
            task: Any = None
            for event in events:
                task = event.mutate(task)
                if task.version % snapshots == 0:
                    log.save_snapshots([("1", snapshot_of(task, fingerprint="now" if task.version % 5 else "old"))])
        try:
            yield log, rows
        finally:
            rows.close()
            log.close()


def moments(recorded: list[Recorded], shares: list[int]) -> list[datetime | int]:
    """Instants of events and between them, and positions."""
    events: list[Any] = [one.event for one in recorded]
    chosen = [events[share % len(events)].timestamp for share in shares]
    return [*chosen, *(at + timedelta(seconds=1) for at in chosen), *(share % (len(events) + 2) for share in shares)]


@given(
    st.lists(st.tuples(lives, SHIFTS), min_size=1, max_size=3),
    st.integers(0, 7),
    st.integers(0, 12),
    st.lists(st.integers(0, 1_000_000), min_size=1, max_size=4),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_past_of_a_store_is_that_of_a_replay(
    told: list[tuple[FullLife, list[int]]], snapshots: int, unseen: int, shares: list[int]
) -> None:
    """At any instant and position, with states kept or not, whatever the clocks said."""
    streams = [retold(life, number, shifts) for number, (life, shifts) in enumerate(told, 1)]
    with stored(streams, snapshots=snapshots, unseen=unseen) as (log, rows):
        past = Past(log, rows)
        ids = [UUID(int=number) for number in range(1, len(streams) + 1)]
        for moment in moments(log.read(0, 10_000), shares):
            found = {one.task_id: one for one in past.tasks(past.where(moment), dict.fromkeys(map(str, ids), 0))}
            for stream_id in ids:
                replayed = state_at(str(stream_id), log.stream(stream_id), moment)
                quick = found.get(str(stream_id))
                if replayed.task is None:
                    assert quick is None
                    continue
                assert quick is not None
                assert (quick.position, quick.at, quick.version) == (replayed.position, replayed.at, replayed.version)
                assert quick.fields == replayed.fields


@given(lives, st.integers(0, 1_000_000))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_states_that_are_kept_on_the_way_are_those_of_a_replay(life: FullLife, share: int) -> None:
    """Whoever asks first makes it quick for those who ask after."""
    events = retold(life, 1, [0])
    with stored([events], snapshots=0, unseen=0) as (log, rows), patch.object(history, "SNAPSHOT_EVENTS", 2):
        past, position = Past(log, rows), 1 + share % len(events)
        asked = [past.tasks(past.where(position), {str(UUID(int=1)): len(events)})[0] for _ in range(2)]
        assert asked[0].fields == asked[1].fields == fields_of(state_at("x", log.stream(UUID(int=1)), position).task)
        kept = log.load_at({UUID(int=1): position})[UUID(int=1)].snapshot
        assert (kept is None) == (position < 8)


@given(
    st.lists(st.tuples(lives, SHIFTS), min_size=1, max_size=2),
    st.integers(0, 7),
    st.lists(st.integers(0, 1_000_000), min_size=2, max_size=2),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_difference_is_that_of_the_two_states_and_names_every_event_that_made_it(
    told: list[tuple[FullLife, list[int]]], snapshots: int, shares: list[int]
) -> None:
    """Undone step by step, it leads from the one state to the other."""
    streams = [retold(life, number, shifts) for number, (life, shifts) in enumerate(told, 1)]
    with stored(streams, snapshots=snapshots, unseen=0) as (log, rows):
        past = Past(log, rows)
        ids = [UUID(int=number) for number in range(1, len(streams) + 1)]
        asked = moments(log.read(0, 10_000), shares)[:2]
        between = past.between(*asked)
        found = {one.stream_id: one for one in past.differences(*between, dict.fromkeys(ids, 0))}
        for stream_id in ids:
            events = log.stream(stream_id)
            first, last = sorted((then(events, moment) for moment in asked), key=len)
            before, after = (fields_of(_state(part)) for part in (first, last))
            changes = found[stream_id].changes if stream_id in found else []
            assert {change.name for change in changes} == {
                name for name in {**before, **after} if before.get(name) != after.get(name)
            }
            within = {one.position for one in last[len(first) :]}
            for change in changes:
                assert (change.before, change.after) == (before.get(change.name), after.get(change.name))
                assert change.steps
                assert {step.position for step in change.steps} <= within
                [moved] = [one for one in events if one.position == change.steps[-1].position]
                until = [one for one in events if one.position <= moved.position]
                assert fields_of(_state(until)).get(change.name) == change.after
                assert fields_of(_state(until[:-1])).get(change.name) != change.after


@given(
    st.lists(lives, min_size=2, max_size=3),
    st.integers(0, 7),
    st.lists(st.tuples(st.integers(0, 1_000_000), st.integers(0, 1_000_000)), min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_log_in_which_rows_change_places_never_answers_wrong(
    told: list[FullLife], snapshots: int, swaps: list[tuple[int, int]]
) -> None:
    """At every position, and between any two of them, the answer is that of before, or it says that it cannot know."""
    streams = [retold(life, number, [0]) for number, life in enumerate(told, 1)]
    with stored(streams, snapshots=snapshots, unseen=0) as (log, rows):
        leaves = LeafFile(rows.path.with_name("leaves.db"), HandClock(EARLY))
        size = EventTree(log, leaves, HandClock(EARLY)).catch_up()
        past = Past(log, rows, leaves)
        before = [(_told(past, position, streams), _changed(past, position, streams)) for position in range(size + 1)]
        with closing(sqlite3.connect(rows.path.with_name("log.db"))) as database, database:
            for one, two in swaps:
                for old, new in ((one % size + 1, 0), (two % size + 1, one % size + 1), (0, two % size + 1)):
                    database.execute("update stored_events set rowid = ? where rowid = ?", (new, old))
        for position in range(size + 1):
            told_then, changed_then = before[position]
            assert all(one in (told_then[id], UNKNOWN) for id, one in _told(past, position, streams).items())
            assert all(one in (changed_then[id], UNKNOWN) for id, one in _changed(past, position, streams).items())
        leaves.close()


UNKNOWN = "unknown"


def _told(past: Past, position: int, streams: list[list[Event]]) -> dict[str, Any]:
    """What is said of each stream as of a position."""
    ids = {str(UUID(int=number)): len(events) for number, events in enumerate(streams, 1)}
    found = {one.stream_id: one for one in past.tasks(past.where(position), ids)}
    return {id: (found[id].fields if found[id].known else UNKNOWN) if id in found else None for id in ids}


def _changed(past: Past, position: int, streams: list[list[Event]]) -> dict[UUID, Any]:
    """What is said to have changed in each stream from a position to one a little later."""
    ids = {UUID(int=number): len(events) for number, events in enumerate(streams, 1)}
    found = {one.stream_id: one for one in past.differences(*past.between(position, position + 5), ids)}
    changes = {id: [(change.name, change.before, change.after) for change in one.changes] for id, one in found.items()}
    return {id: UNKNOWN if id in found and found[id].blocked else changes.get(id) for id in ids}


def _state(events: list[Recorded]) -> Any:
    return state_at("x", events, events[-1].position if events else 0).task
