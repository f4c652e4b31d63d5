"""Events as lines of a report: what each says beside its actor and its reason, and what an edit changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from application.evidence import local
from application.report import ChangeLine, EventLine
from domain import guild, node
from domain import task_events as facts
from domain.definition import TaskDefinition
from domain.destination import Destination
from domain.errors import EventUnreadable
from domain.schedule import describe

__all__ = ["ROUTINE", "changed_fields", "changes_of", "event_line", "fields", "place_of", "words_of"]

ROUTINE = (facts.Started, facts.DeliveryStarted, facts.Executed)
"""What every run does: the runs tell it, so the timeline leaves it out."""

words_of = lru_cache(maxsize=16)(describe)
"""A schedule in words; a task's is told where the task was made, and again in the list of tasks."""

LONGEST_VALUE = 500
"""So many characters are shown of a value that was changed."""


def event_line(position: int, event: Any, *, guild_id: str, task_id: str, subject: str, zone: str) -> EventLine:
    """One event of the timeline."""
    if isinstance(event, EventUnreadable):
        what = f"event {event.version} cannot be read"
        return EventLine(position, event.at, guild_id, task_id, subject, event.topic, None, event.reason, what)
    name = event.topic.removeprefix("task.").replace("_", " ").replace(".", " ")
    who, why, what = getattr(event, "by", None), _reason(event), _what(event, zone)
    return EventLine(position, event.timestamp, guild_id, task_id, subject, name, who, why, what)


def _reason(event: Any) -> str | None:
    """What somebody said about it, in their own words."""
    match event:
        case facts.Failed():
            return event.error
        case facts.Skipped():
            return event.note
        case guild.ArchiveChosen():
            return event.archive
        case _:
            return getattr(event, "reason", None)


def _what(event: Any, zone: str) -> str:
    match event:
        case facts.Created():
            return words_of(event.definition.schedule)
        case facts.Paused():
            return f"until {local(event.until, zone)}" if event.until is not None else ""
        case facts.Requested():
            return f"for {local(event.until, zone)} again" if event.until is not None else "a run now"
        case facts.SkipRequested():
            return _slots(event.count)
        case facts.Failed():
            after = f", again at {local(event.retry_at, zone)}" if event.retry_at is not None else ""
            return f"{event.what}, attempt {event.attempt}{after}"
        case facts.Skipped():
            return _skipped(event, zone)
        case facts.Interrupted():
            return f"{event.cause}, attempt {event.attempt}"
        case facts.Noticed():
            return event.kind.value.replace("_", " ")
        case facts.Replanned():
            moved = [local(at, zone) if at is not None else "none" for at in (event.previous, event.next_slot)]
            return f"next slot from {moved[0]} to {moved[1]}"
        case guild.ContentDeleted():
            counts = f"{event.summaries} summaries, {event.run_details} run details, {event.cached} cached"
            return f"{counts}, from before {local(event.cutoff, zone)}"
        case node.NodeStopped():
            return f"{event.interrupted_runs} runs interrupted" if event.interrupted_runs else ""
        case node.NodeLost():
            return f"last seen at {local(event.last_seen, zone)}"
        case node.NodeStarted():
            return f"version {event.version}"
        case node.NodeLearned():
            return f"operations: {', '.join(event.operations)}"
        case _:
            return ""


def _slots(count: int) -> str:
    return f"{count} slot{'s' if count != 1 else ''}"


def _skipped(event: facts.Skipped, zone: str) -> str:
    if event.run is not None:
        return f"a started run: {event.skip}"
    span = " to ".join(dict.fromkeys(local(at, zone) for at in (event.first, event.last) if at is not None))
    return f"{_slots(event.count or 0)} {event.skip}: {span}"


# --- edits ---


def place_of(destination: Destination) -> str:
    """The target of a destination, or what people may see of a secret one."""
    return destination.label or destination.target


def fields(value: BaseModel | None) -> dict[str, Any]:
    """The fields of a definition, or of a guild's settings, as JSON values.

    A schedule is ``schedule``, in words, and ``schedule.name`` for each of its fields; a destination is said in words.
    """
    if value is None:
        return {}
    plain = value.model_dump(mode="json")
    for name, inner in value:
        if isinstance(inner, tuple) and inner and all(isinstance(one, Destination) for one in inner):
            plain[name] = ", ".join(map(_destination, inner))
    if isinstance(value, TaskDefinition):
        schedule = plain.pop("schedule")
        plain["schedule"] = describe(value.schedule)
        plain |= {f"schedule.{name}": inner for name, inner in schedule.items() if name != "key"}
    return plain


def _destination(place: Destination) -> str:
    target = f":{place_of(place)}" if place_of(place) else ""
    return f"{place.type}{target};format={place.format}" + ("" if place.enabled else " (off)")


def changed_fields(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of fields that differ, in order; a schedule's own only where its words do not tell."""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [name for name in names if "schedule" not in names or not name.startswith("schedule.")]


def changes_of(line: EventLine, event: Any, before: BaseModel | None, after: BaseModel) -> Iterator[ChangeLine]:
    """One line for each field that an edit changed."""
    old, new = fields(before), fields(after)
    at: datetime = event.timestamp
    for name in changed_fields(old, new):
        yield ChangeLine(
            line.position, at, line.guild_id, line.task_id, line.subject, name, _text(old.get(name)),
            _text(new.get(name)), event.by, line.reason,
        )  # fmt: skip


def _text(value: Any) -> str | None:
    if value is None or value in ("", [], {}):
        return None
    if isinstance(value, Enum):
        value = value.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
