"""The past as it was: the exact state of tasks at any instant or position, and what changed between two of them.

State is folded from the events alone. An event that cannot be read ends what can be known: it is named, and nothing is
guessed beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from application.ports import Log, Recorded
from domain.errors import EventUnreadable
from domain.event import utc
from domain.node import node_stream
from domain.task import ScheduledTask
from domain.task_snapshot import snapshot_of

__all__ = ["Change", "Step", "TaskThen", "as_of", "difference", "fields_of", "node_events", "state_at", "then"]

Moment = datetime | int
"""An aware instant, or a position in the log."""

_NOT_STATE = {"originator_id", "originator_version", "timestamp", "fingerprint", "definition", "incident"}


@dataclass(frozen=True, slots=True)
class TaskThen:
    """A task as it was after the event at ``position`` (0: it did not exist yet).

    ``blocked`` is the first event that cannot be read: then ``task`` is the state right before it, and not that of the
    moment that was asked for.
    """

    task_id: str
    position: int
    at: datetime | None
    task: ScheduledTask | None
    blocked: EventUnreadable | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether this is the state of the moment that was asked for."""
        return self.blocked is None


@dataclass(frozen=True, slots=True)
class Step:
    """One event that changed a field: where it stands, when, what, who, and why (None where nobody acted)."""

    position: int
    at: datetime
    topic: str
    by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A field that differs between two moments; ``steps`` are the events that changed it, the last one last."""

    name: str
    before: Any
    after: Any
    steps: tuple[Step, ...]


def then(events: Sequence[Recorded], moment: Moment) -> list[Recorded]:
    """The events up to a moment: through a position, or through the last event that says to be of that time or before.

    A clock that was set back writes later events with earlier times; what stands before such an event belongs to it.
    """
    if isinstance(moment, datetime):
        instant = utc(moment)
        within = [number for number, one in enumerate(events, 1) if (at := _at(one)) is not None and at <= instant]
        return list(events[: within[-1]]) if within else []
    return [one for one in events if one.position <= moment]


def state_at(task_id: str, events: Sequence[Recorded], moment: Moment) -> TaskThen:
    """The state of one task at a moment, from its whole stream."""
    task: ScheduledTask | None = None
    position, at = 0, None
    for one in then(events, moment):
        try:
            task = _applied(task, one)
        except EventUnreadable as error:
            return TaskThen(task_id, position, at, task, error, fields_of(task))
        position, at = one.position, _at(one)
    return TaskThen(task_id, position, at, task, None, fields_of(task))


def as_of(log: Log, task_ids: Iterable[str], moment: Moment) -> list[TaskThen]:
    """The tasks that existed at a moment, each as it was; those of which nobody can know are among them."""
    found = (state_at(task_id, log.stream(UUID(task_id)), moment) for task_id in task_ids)
    return [one for one in found if one.task is not None or not one.known]


def fields_of(task: ScheduledTask | None) -> dict[str, Any]:
    """Every field of a state by name, as JSON values; those of the definition as ``definition.name``."""
    if task is None:
        return {}
    value = snapshot_of(task, fingerprint="").model_dump(mode="json")
    definition = {f"definition.{name}": inner for name, inner in value["definition"].items() if name != "schedule"}
    schedule = {f"schedule.{name}": inner for name, inner in value["definition"]["schedule"].items()}
    own = {name: inner for name, inner in value.items() if name not in _NOT_STATE}
    own["disabled_destinations"] = sorted(own["disabled_destinations"])
    return {**own, "incident": value["incident"], **definition, **schedule}


def difference(events: Sequence[Recorded], before: Moment, after: Moment) -> list[Change]:
    """What differs between two moments of a task, field by field, with the events that changed it.

    Raises EventUnreadable where an event in between, or before, cannot be read.
    """
    first, last = then(events, before), then(events, after)
    if len(first) > len(last):
        first, last = last, first
    task: ScheduledTask | None = None
    start: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    steps: dict[str, list[Step]] = {}
    for number, one in enumerate(last, 1):
        task = _applied(task, one)
        if number < len(first):
            continue
        now = fields_of(task)
        if number == len(first):
            start = now
        else:
            for name in _differing(fields, now):
                steps.setdefault(name, []).append(_step(one))
        fields = now
    names = _differing(start, fields)
    return [Change(name, start.get(name), fields.get(name), tuple(steps.get(name, ()))) for name in names]


def node_events(log: Log, nodes: Iterable[str]) -> list[Recorded]:
    """What was written of these processes, in order of position."""
    streams = (log.stream(node_stream(name)) for name in nodes)
    return sorted((one for stream in streams for one in stream), key=lambda one: one.position)


def _differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def _step(one: Recorded) -> Step:
    event: Any = one.event
    reason = getattr(event, "reason", None)
    return Step(one.position, event.timestamp, event.topic, getattr(event, "by", None), reason)


def _applied(task: ScheduledTask | None, one: Recorded) -> ScheduledTask | None:
    event: Any = one.event
    if isinstance(event, EventUnreadable):
        raise event
    if event.originator_version != (task.version if task is not None else 0) + 1:
        raise EventUnreadable(
            event.originator_id, event.originator_version, event.topic, "does not apply: an event before it is missing"
        )
    applied: ScheduledTask | None = event.mutate(task)
    return applied


def _at(one: Recorded) -> datetime | None:
    return one.event.at if isinstance(one.event, EventUnreadable) else one.event.timestamp
