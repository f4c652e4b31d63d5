"""A task at one version as one value, to start from instead of replaying the whole stream."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, ClassVar

from pydantic import PlainSerializer, SerializationInfo

from domain.definition import TaskDefinition
from domain.event import Snapshot, Utc
from domain.incidents import Incident, NoticeKind
from domain.runs import OpenRun, TaskStatus
from domain.task import ScheduledTask
from domain.task_state import STATE_FIELDS

__all__ = ["TaskSnapshot", "snapshot_of"]


_state_of = attrgetter(*STATE_FIELDS)


def _by_name(run: OpenRun, info: SerializationInfo) -> dict[str, Any]:
    usual = OpenRun._field_defaults if info.exclude_defaults else {}
    return {name: value for name, value in run._asdict().items() if name not in usual or value != usual[name]}


KeptRun = Annotated[OpenRun, PlainSerializer(_by_name)]
"""An open run, whose fields are written under their names."""


class TaskSnapshot(Snapshot):
    """A ScheduledTask at one version."""

    topic: ClassVar[str] = "task.snapshot"

    created_on: Utc
    definition: TaskDefinition
    status: TaskStatus
    accounted_until: Utc
    next_slot: Utc | None = None
    rules: str
    open_runs: dict[str, KeptRun]
    consecutive_failures: int
    slots_started: int
    covered_until: Utc | None = None
    buffered_until: Utc | None = None
    paused_until: Utc | None = None
    disabled_destinations: set[str]
    incident: tuple[Utc | None, bool, NoticeKind | None] = (None, False, None)
    untold: tuple[str, ...] = ()

    def restore(self) -> ScheduledTask:
        """The aggregate as it was."""
        task = ScheduledTask.__new__(ScheduledTask)
        task.__base_init__(self.originator_id, self.originator_version, self.created_on)
        task.modified_on = self.timestamp
        vars(task).update(zip(STATE_FIELDS, _state_of(self), strict=True))
        task.incident = Incident(*self.incident)
        task.open_runs, task.disabled_destinations = dict(self.open_runs), set(self.disabled_destinations)
        return task


def snapshot_of(task: ScheduledTask, *, fingerprint: str) -> TaskSnapshot:
    """The state of a task as one value. ``fingerprint`` names the code that may use it."""
    return TaskSnapshot(
        originator_id=task.id,
        originator_version=task.version,
        timestamp=task.modified_on,
        fingerprint=fingerprint,
        created_on=task.created_on,
        **{field: getattr(task, field) for field in STATE_FIELDS},
    )
