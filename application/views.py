"""What queries answer with: frozen, with aware UTC instants, independent of how rows are stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from application.damaged_rows import naming_damage
from application.guild_view import GuildView
from application.rows import DeliveryRow, NodeRow, RunRow, SkipRow, TaskRow, TextRow
from domain.instants import from_epoch_microseconds
from domain.task_kinds import TaskStatus, TaskType

if TYPE_CHECKING:
    from domain.definition import TaskDefinition

__all__ = [
    "DeliveryView",
    "GuildView",
    "NodeView",
    "RunView",
    "SkipView",
    "TaskMetadata",
    "TaskView",
    "instant",
]


_STATUSES = {status.value: status for status in TaskStatus}

UNREADABLE = "(unreadable)"
"""Shown instead of the name of a task whose definition cannot be read."""


def instant(microseconds: int | None) -> datetime | None:
    """The instant (aware UTC) of a row's number."""
    return None if microseconds is None else from_epoch_microseconds(microseconds)


def _known(microseconds: int) -> datetime:
    return from_epoch_microseconds(microseconds)


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000


@dataclass(frozen=True, slots=True)
class TaskMetadata:
    """Statistics of one task. Executions are closed runs; attempts are counted apart; skipped runs are neither.

    Slots were served when their run was executed, failed, or found quiet. Of those that are decided others were left
    out (also in advance), or their run is under way or was closed otherwise. ``average_duration_seconds`` is over the
    runs that succeeded.
    """

    task_id: str
    task_type: TaskType
    created_at: datetime
    last_executed: datetime | None
    next_execution: datetime | None
    execution_count: int
    failure_count: int
    average_duration_seconds: float
    skipped_runs: int = 0
    skipped_slots: int = 0
    slots_served: int = 0
    slots_decided: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    interruptions: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def get_success_rate(self) -> float:
        """The share of closed runs that succeeded, 0 to 100; 0 before the first."""
        if self.execution_count == 0:
            return 0.0
        return 100 * (self.execution_count - self.failure_count) / self.execution_count

    def to_dict(self) -> dict[str, Any]:
        """The same for programs, with instants in ISO 8601."""
        return {
            "task_id": self.task_id,
            "task_type": self.task_type.value,
            "created_at": self.created_at.isoformat(),
            "last_executed": _iso(self.last_executed),
            "next_execution": _iso(self.next_execution),
            "execution_count": self.execution_count,
            "failure_count": self.failure_count,
            "average_duration_seconds": self.average_duration_seconds,
            "success_rate": self.get_success_rate(),
            "skipped_runs": self.skipped_runs,
            "skipped_slots": self.skipped_slots,
            "slots_served": self.slots_served,
            "slots_decided": self.slots_decided,
            "attempts": self.attempts,
            "failed_attempts": self.failed_attempts,
            "interruptions": self.interruptions,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost": self.cost,
        }

    @classmethod
    @naming_damage
    def of(cls, row: TaskRow) -> TaskMetadata:
        """From the task's row."""
        return cls(
            task_id=row.task_id,
            task_type=TaskType(row.task_type or TaskType.SUMMARY),
            created_at=_known(row.created_at),
            last_executed=instant(row.last_closed),
            next_execution=instant(row.next_slot) if row.status == TaskStatus.ACTIVE else None,
            execution_count=row.executed + row.failed,
            failure_count=row.failed,
            average_duration_seconds=row.duration_total / row.executed / 1_000_000 if row.executed else 0.0,
            skipped_runs=row.skipped,
            skipped_slots=row.slots_skipped,
            slots_served=row.slots_served,
            slots_decided=row.slots_started + row.slots_skipped,
            attempts=row.attempts,
            failed_attempts=row.failed_attempts,
            interruptions=row.interruptions,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost=row.cost / 1_000_000,
        )


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value is not None else None


@dataclass(frozen=True)
class TaskView(Mapping[str, Any]):
    """A task as it stands. Also a mapping with the keys of ``to_dict``, as existing code reads it.

    ``timezone`` is the IANA zone that its times are meant in, ``schedule_in_words`` its rule as a person would say it.
    ``definition`` is read when it is first asked for: a long list of tasks is rarely asked for all of them.
    ``unreadable`` counts events of it that cannot be read or are missing: what stands here is of the others alone.
    """

    task_id: str
    guild_id: str
    name: str
    status: TaskStatus
    next_run_time: datetime | None
    due_at: datetime | None
    accounted_until: datetime
    consecutive_failures: int
    open_runs: int
    status_reason: str | None
    status_by: str | None
    status_at: datetime | None
    paused_until: datetime | None
    disabled_destinations: tuple[str, ...]
    archived: bool
    version: int
    last_outcome: str | None
    timezone: str
    slots_started: int
    row: TaskRow = field(repr=False, hash=False)
    words: str = field(repr=False)
    written: str = field(repr=False)
    unreadable: int = 0

    @cached_property
    def metadata(self) -> TaskMetadata:
        """Its statistics."""
        return TaskMetadata.of(self.row)

    @property
    def is_erased(self) -> bool:
        """Whether nothing but its numbers is left of it. A task that anybody made has a type."""
        return not self.row.task_type and self.row.status == "cancelled"

    @property
    def is_active(self) -> bool:
        """Whether its slots run."""
        return self.status is TaskStatus.ACTIVE

    def slots_after(self, now: datetime) -> datetime:
        """The instant after which its slots to come begin: now, or the end of what was left out in advance."""
        return max(now, self.accounted_until)

    @cached_property
    def definition(self) -> TaskDefinition:
        """What people wrote: what it does, when, and where results go."""
        from domain.definition import TaskDefinition
        from domain.schedule import Schedule, ScheduleType

        try:
            return TaskDefinition.model_validate_json(self.written)
        except ValueError:
            # The event that defined it cannot be read. Others must still be listed, and this one must be seen.
            never = Schedule(type=ScheduleType.ONCE, at=self.metadata.created_at)
            return TaskDefinition(name=self.name, guild_id=self.guild_id, schedule=never)

    @property
    def schedule_in_words(self) -> str:
        """The schedule as a person would say it."""
        if self.words:
            return self.words
        from domain.schedule_words import describe

        return describe(self.definition.schedule)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs: JSON values, instants in ISO 8601."""
        return {key: say(self) for key, say in _TOLD.items()}

    def __getitem__(self, key: str) -> Any:
        """One value of ``to_dict``, but with instants as datetimes where the view has them."""
        say = _TOLD[key]
        own = getattr(self, key, None)
        return own if isinstance(own, datetime) else say(self)

    def __iter__(self) -> Iterator[str]:
        return iter(_TOLD)

    def __len__(self) -> int:
        return len(_TOLD)

    @classmethod
    @naming_damage
    def of(cls, row: TaskRow, text: TextRow, unreadable: int = 0) -> TaskView:
        """From the task's two rows, and the number of its events that cannot be read."""
        view = cls.__new__(cls)
        # A frozen dataclass sets field by field, which takes longer than all the rest, and lists hold very many views.
        view.__dict__.update(
            task_id=row.task_id,
            guild_id=row.guild_id,
            name=row.name or UNREADABLE,
            status=_STATUSES[row.status],
            next_run_time=instant(row.next_slot) if row.status == TaskStatus.ACTIVE else None,
            due_at=instant(row.due_at),
            accounted_until=_known(row.accounted_until),
            consecutive_failures=row.consecutive_failures,
            open_runs=len(json.loads(row.open_runs)) if row.open_runs else 0,
            status_reason=text.status_reason,
            status_by=text.status_by,
            status_at=instant(text.status_at),
            paused_until=instant(row.paused_until),
            disabled_destinations=tuple(text.disabled_destinations.split()),
            archived=bool(row.archived),
            version=row.version,
            last_outcome=row.last_outcome,
            timezone=text.timezone,
            slots_started=row.slots_started,
            row=row,
            words=text.schedule,
            written=text.definition,
            unreadable=unreadable,
        )
        return view


_TOLD: Mapping[str, Callable[[TaskView], Any]] = {
    "task_id": lambda task: task.task_id,
    "name": lambda task: task.name,
    "guild_id": lambda task: task.guild_id,
    "status": lambda task: task.status.value,
    "is_active": lambda task: task.is_active,
    "schedule": lambda task: task.schedule_in_words,
    "timezone": lambda task: task.timezone,
    "next_run_time": lambda task: _iso(task.next_run_time),
    "due_at": lambda task: _iso(task.due_at),
    "consecutive_failures": lambda task: task.consecutive_failures,
    "open_runs": lambda task: task.open_runs,
    "last_outcome": lambda task: task.last_outcome,
    "status_reason": lambda task: task.status_reason,
    "status_by": lambda task: task.status_by,
    "status_at": lambda task: _iso(task.status_at),
    "paused_until": lambda task: _iso(task.paused_until),
    "disabled_destinations": lambda task: list(task.disabled_destinations),
    "archived": lambda task: task.archived,
    "unreadable_events": lambda task: task.unreadable,
    "metadata": lambda task: task.metadata.to_dict(),
    "definition": lambda task: task.definition.model_dump(mode="json"),
}


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One result at one destination."""

    run_id: str
    destination: str
    type: str
    status: str
    receipt: str | None
    reason: str | None
    attempt: int
    at: datetime

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "run_id": self.run_id,
            "destination": self.destination,
            "type": self.type,
            "status": self.status,
            "receipt": self.receipt,
            "reason": self.reason,
            "attempt": self.attempt,
            "at": self.at.isoformat(),
        }

    @classmethod
    @naming_damage
    def of(cls, row: DeliveryRow) -> DeliveryView:
        """From its row."""
        return cls(
            row.run_id, row.destination, row.type, row.status, row.receipt, row.reason, row.attempt, _known(row.at)
        )


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. ``slot`` is None for a run that somebody asked for.

    ``model`` and the tokens are those of a language model, ``cost`` is in US dollars; None where none was asked, or has
    no price.
    """

    run_id: str
    task_id: str
    guild_id: str
    slot: datetime | None
    request: str | None
    state: str
    attempt: int
    owner: str | None
    requested_at: datetime | None
    requested_by: str | None
    started_at: datetime | None
    closed_at: datetime | None
    due_at: datetime | None
    lateness_seconds: float | None
    duration_seconds: float | None
    reason: str | None
    error: str | None
    summary_id: str | None
    messages: int | None
    note: str | None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    deliveries: tuple[DeliveryView, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The same for programs: JSON values, instants in ISO 8601."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "deliveries"}
        shown = {name: _iso(v) if isinstance(v, datetime) else v for name, v in plain.items()}
        return {**shown, "deliveries": [delivery.to_dict() for delivery in self.deliveries]}

    @classmethod
    @naming_damage
    def of(cls, row: RunRow, deliveries: Sequence[DeliveryRow] = ()) -> RunView:
        """From its row and the rows of its deliveries."""
        late = None if row.slot is None or row.first_started is None else row.first_started - row.slot
        return cls(
            run_id=row.run_id,
            task_id=row.task_id,
            guild_id=row.guild_id,
            slot=instant(row.slot),
            request=row.request,
            state=row.state,
            attempt=row.attempt,
            owner=row.owner,
            requested_at=instant(row.requested_at),
            requested_by=row.requested_by,
            started_at=instant(row.started_at),
            closed_at=instant(row.closed_at),
            due_at=instant(row.due_at),
            lateness_seconds=_seconds(late),
            duration_seconds=_seconds(row.duration),
            reason=row.reason,
            error=row.error,
            summary_id=row.summary_id,
            messages=row.messages,
            note=row.note,
            model=row.model,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cost=row.cost / 1_000_000 if row.cost is not None else None,
            deliveries=tuple(DeliveryView.of(d) for d in deliveries),
        )


@dataclass(frozen=True, slots=True)
class SkipView:
    """Slots that did not run."""

    task_id: str
    first: datetime
    last: datetime
    count: int
    reason: str
    at: datetime

    @classmethod
    @naming_damage
    def of(cls, row: SkipRow) -> SkipView:
        """From its row."""
        return cls(row.task_id, _known(row.first), _known(row.last), row.count, row.reason, _known(row.at))


@dataclass(frozen=True, slots=True)
class NodeView:
    """A process that served, or serves."""

    node: str
    host: str
    pid: int
    version: str
    started_at: datetime
    ended_at: datetime | None
    lost: bool

    @classmethod
    @naming_damage
    def of(cls, row: NodeRow) -> NodeView:
        """From its row."""
        return cls(
            row.node, row.host, row.pid, row.version, _known(row.started_at), instant(row.ended_at), bool(row.lost)
        )
