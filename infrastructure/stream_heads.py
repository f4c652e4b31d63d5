"""How many events the streams of guilds and processes have: nothing else of the rows says so, as tasks' rows do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from application.ports import Recorded
from domain.errors import EventUnreadable

if TYPE_CHECKING:
    from domain.event import Event

__all__ = ["CREATE_HEADS", "heads", "note_heads"]

CREATE_HEADS = "create table heads (stream text primary key, version integer not null)"
_NOTE = "insert into heads values (?, ?) on conflict (stream) do update set version = max(version, excluded.version)"


def note_heads(connection: sqlite3.Connection, recorded: Sequence[Recorded]) -> None:
    """Take these events into account."""
    if all(_of_task(kind) for kind in {type(event) for _, event in recorded}):  # type: ignore[arg-type]  # classes can be hashed
        return
    others = [event for _, event in recorded if not isinstance(event, EventUnreadable) and not _of_task(type(event))]
    if others:
        connection.executemany(_NOTE, [(event.originator_id.hex, event.originator_version) for event in others])


@lru_cache(maxsize=256)
def _of_task(kind: type[Event | EventUnreadable]) -> bool:
    """Asked once for each kind of event: to ask a pydantic class about an instance runs Python code."""
    from domain.task_events import TaskEvent  # whoever writes has it; readers of rows need no events

    return issubclass(kind, TaskEvent)


def heads(connection: sqlite3.Connection, streams: Iterable[UUID]) -> dict[UUID, int]:
    """The number of the last event of each; of whom nothing was seen is left out."""
    asked = json.dumps([stream.hex for stream in streams])
    rows = connection.execute("select * from heads where stream in (select value from json_each(?))", (asked,))
    return {UUID(hex=stream): version for stream, version in rows}
