"""Events of a task as people read them, and as programs do."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from adapters.cli import show
from adapters.cli.times import stamp
from application.ports import Recorded
from domain import task_events as facts
from domain.errors import EventUnreadable, PayloadErased
from domain.schedule import describe
from domain.task_erasure import ERASED, Erased

__all__ = ["event_dict", "event_row"]

_LONG_ID = re.compile(r"(?=[0-9]*[a-f])[0-9a-f]{16,}")  # not the numbers of Discord
_ID_SHOWN = 10
"""A run is named in every line of it: so much tells it from the others, and stands in `daybook runs` too."""

_SILENT = {"originator_id", "originator_version", "timestamp", "rules", "definition", "originator_topic", "deliveries"}


def event_dict(recorded: Recorded) -> dict[str, Any]:
    """An event for programs: its place, its topic, its fields; instants in UTC."""
    event = recorded.event
    if isinstance(event, EventUnreadable):
        return {
            "position": recorded.position,
            "version": event.version,
            "topic": event.topic,
            "at": event.at.isoformat() if event.at else None,
            "unreadable": event.reason,
        }
    fields = {
        name: _plain(value) for name, value in event if name not in _SILENT or name in ("definition", "deliveries")
    }
    return {
        "position": recorded.position,
        "version": event.originator_version,
        "topic": event.topic,
        "at": event.timestamp.isoformat(),
        **{name: value for name, value in fields.items() if value is not None},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(inner) for name, inner in value}
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, UUID) else value


def event_row(recorded: Recorded, zone: str) -> tuple[Any, ...]:
    """(number, time in the zone, name, what it says)."""
    event = recorded.event
    if isinstance(event, EventUnreadable):
        at = stamp(event.at, zone) if event.at else "-"
        if isinstance(event, PayloadErased):
            return (str(event.version), at, show.state("erased"), show.plain(f"{event.topic}: {ERASED}"))
        return (str(event.version), at, show.state("wrong"), show.plain(f"{event.topic}: {event.reason}"))
    name = event.topic.removeprefix("task.").replace("_", " ")
    return (str(event.originator_version), stamp(event.timestamp, zone), show.state(name), _said(event, zone))


def _said(event: Any, zone: str) -> str:
    if isinstance(event, facts.Skipped):
        return show.plain(_skipped(event, zone))
    if isinstance(event, Erased):
        return show.plain(f"guild {event.guild_id}, by {event.by}; its numbers stay: {_tally(event)}")
    parts = []
    if isinstance(event, facts.Created | facts.Revised):
        parts.append(describe(event.definition.schedule))
    for name, value in event:
        if name in _SILENT or value is None or value == ():
            continue
        parts.append(f"{_label(name)} {_shown(value, zone)}")
    for delivery in getattr(event, "deliveries", None) or ():
        parts.append(
            f"{delivery.type} {delivery.status}"
            + (f" ({told})" if (told := delivery.receipt or delivery.reason) else "")
        )
    return show.plain(", ".join(parts))


def _tally(event: Erased) -> str:
    tally = event.tally
    runs = f"{tally.executed} executed, {tally.failed} failed, {tally.skipped} without a result"
    return f"{runs}; {tally.slots_skipped} slots left out"


def _skipped(event: facts.Skipped, zone: str) -> str:
    if event.run is not None:
        return f"run {_shown(event.run, zone)}, attempt {event.attempt}: {event.skip}" + (
            f", {event.note}" if event.note else ""
        )
    count = event.count or 0
    span = " to ".join(dict.fromkeys(stamp(at, zone) for at in (event.first, event.last) if at is not None))
    following = f", next slot {stamp(event.next_slot, zone)}" if event.next_slot else ""
    return f"{count} slot{'s' if count != 1 else ''} {event.skip}: {span}{following}"


def _label(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any, zone: str) -> str:
    if isinstance(value, str) and _LONG_ID.fullmatch(value):
        return value[:_ID_SHOWN]
    if isinstance(value, datetime):
        return stamp(value, zone)
    if isinstance(value, tuple):
        return " ".join(str(inner) for inner in value)
    return str(value)
