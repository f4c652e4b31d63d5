"""How many events the streams of guilds and processes have: nothing else of the rows says so, as tasks' rows do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from uuid import UUID

from application.ports import Recorded
from domain.errors import EventUnreadable

__all__ = ["CREATE_HEADS", "heads", "note_heads"]

CREATE_HEADS = "create table heads (stream text primary key, version integer not null)"
_NOTE = "insert into heads values (?, ?) on conflict (stream) do update set version = max(version, excluded.version)"


def note_heads(connection: sqlite3.Connection, recorded: Sequence[Recorded]) -> None:
    """Take these events into account."""
    from domain.task_events import TaskEvent  # whoever writes has it; readers of rows need no events

    others = [event for _, event in recorded if not isinstance(event, TaskEvent | EventUnreadable)]
    if others:
        connection.executemany(_NOTE, [(event.originator_id.hex, event.originator_version) for event in others])


def heads(connection: sqlite3.Connection, streams: Iterable[UUID]) -> dict[UUID, int]:
    """The number of the last event of each; of whom nothing was seen is left out."""
    asked = json.dumps([stream.hex for stream in streams])
    rows = connection.execute("select * from heads where stream in (select value from json_each(?))", (asked,))
    return {UUID(hex=stream): version for stream, version in rows}
