"""What an executor is handed, and what it hands back. It performs; recording is the dispatcher's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from application.masking import said
from domain.definition import TaskDefinition
from domain.destination import DeliveryOutcome, DeliveryStatus, Destination
from domain.event import stream_text
from domain.runs import Attempt
from domain.summary import Summary, Usage
from domain.task import ScheduledTask

__all__ = [
    "INTERRUPTED",
    "CleanupTask",
    "CustomRun",
    "Done",
    "Failure",
    "Outcome",
    "OverQuota",
    "Quiet",
    "SummaryTask",
    "TaskExecutionResult",
    "Work",
    "work_of",
]


class Work(NamedTuple):
    """One claimed attempt with the definition it was claimed under, and the destinations that are left."""

    task_id: str
    definition: TaskDefinition
    destinations: tuple[Destination, ...]
    attempt: Attempt

    @property
    def guild_id(self) -> str:
        """The guild it is done for."""
        return self.definition.guild_id


def work_of(task: ScheduledTask, attempt: Attempt) -> Work:
    """What a claimed attempt is to do."""
    return Work(stream_text(task.id), task.definition, task.destinations, attempt)


@dataclass(frozen=True, slots=True)
class Done:
    """The work was made; the outcomes say where it arrived.

    ``usage`` is what a language model was asked for now; None where an earlier attempt had made the summary.
    """

    outcomes: tuple[DeliveryOutcome, ...] = ()
    summary: Summary | None = None
    messages: int | None = None
    note: str | None = None
    usage: Usage | None = None
    items_deleted: int = 0


@dataclass(frozen=True, slots=True)
class Quiet:
    """There was too little to make anything of."""

    note: str


@dataclass(frozen=True, slots=True)
class OverQuota:
    """The run was one more than its guild may have; nothing was done."""

    note: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The work could not be made. ``what`` is the kind in one word.

    ``unbegun``: what it needs was away, so that nothing could be tried; that uses up no attempt of the task at first.
    """

    what: str
    error: str
    permanent: bool = False
    retry_after_seconds: float = 0
    unbegun: bool = False


INTERRUPTED = "interrupted"
"""What a Failure is called that is none: the work was given up where it was done, and nothing is recorded as failed."""

Outcome = Done | Quiet | OverQuota | Failure


class CustomRun(NamedTuple):
    """What the handler of a custom operation is given. ``slot`` is None for a run that somebody asked for now."""

    task: TaskDefinition
    task_id: str
    run_id: str
    parameters: dict[str, Any]
    slot: datetime | None
    attempt: int
    deadline: datetime


@dataclass(frozen=True, slots=True)
class TaskExecutionResult:
    """What one execution came to, as the public calls return it. ``summary_result`` is None where nothing was made.

    ``interrupted``: it came to no end here, as when the service stops; ``error_message`` says whether it is done again.
    """

    task_id: str
    success: bool
    run_id: str | None = None
    summary_result: Summary | None = None
    delivery_results: tuple[DeliveryOutcome, ...] = ()
    error_message: str | None = None
    skipped: bool = False
    execution_time_seconds: float = 0.0
    items_deleted: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    @classmethod
    def of(cls, task_id: str, run_id: str | None, outcome: Outcome, seconds: float) -> TaskExecutionResult:
        """From what the executor handed back."""
        if isinstance(outcome, Quiet | OverQuota):
            return cls(task_id, False, run_id, error_message=outcome.note, skipped=True, execution_time_seconds=seconds)
        if isinstance(outcome, Failure):
            made = cls(task_id, False, run_id, error_message=outcome.error, execution_time_seconds=seconds)
            return replace(made, interrupted=outcome.what == INTERRUPTED)
        bad = [o for o in outcome.outcomes if o.status in (DeliveryStatus.FAILED, DeliveryStatus.UNKNOWN)]
        return cls(
            task_id,
            not bad,
            run_id,
            summary_result=outcome.summary,
            delivery_results=outcome.outcomes,
            error_message=said("; ".join(f"{o.type}: {o.reason or o.status}" for o in bad)) or None,
            execution_time_seconds=seconds,
            items_deleted=outcome.items_deleted,
        )


@dataclass(frozen=True, slots=True)
class SummaryTask:
    """A request to run a scheduled summary task now."""

    scheduled_task: ScheduledTask


@dataclass(frozen=True, slots=True)
class CleanupTask:
    """A request to delete what is older than ``retention_days``, of one guild or (None) of all."""

    task_id: str
    guild_id: str | None = None
    retention_days: float = 90
    delete_summaries: bool = True
    delete_logs: bool = True
    delete_cached_data: bool = True
