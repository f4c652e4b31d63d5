"""One task of an import, put where it belongs: made, or made the same as in the file."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from application.allowance import Allowance
from application.ports import Command
from application.views import TaskView
from domain.definition import TaskDefinition
from domain.errors import InvalidImport, InvalidInput, NotFound, QuotaExceeded, Refused
from domain.runs import TaskStatus
from domain.task import ScheduledTask

__all__ = ["check_placing", "misplaced", "placing", "too_full"]

NOT_ACTIVE = "was not active when it was exported"


def placing(
    definition: TaskDefinition,
    task_id: UUID,
    paused: bool | datetime,
    existing: TaskView | None,
    now: datetime,
    by: str,
    allowance: Allowance,
) -> Command:
    """The command that makes a task, or gives an existing one the definition and the status of the file."""
    if existing is not None:
        return Command(task_id, lambda task: _align(task, definition, paused, now, by, allowance))

    def create() -> ScheduledTask:
        allowance.check_schedule(definition.guild_id, definition.schedule, now)
        task = ScheduledTask.define(definition, id=task_id, now=now, by=None if by == "system" else by)
        if paused:
            task.pause(now=now, by=by, reason=NOT_ACTIVE, until=_until(paused))
        return task

    return Command(task_id, lambda task: None, create=create)


def _until(paused: bool | datetime) -> datetime | None:
    """When a pause ends by itself, if it is one that does."""
    return paused if isinstance(paused, datetime) else None


def _align(
    task: ScheduledTask,
    definition: TaskDefinition,
    paused: bool | datetime,
    now: datetime,
    by: str,
    allowance: Allowance,
) -> None:
    """Decide what differs from the file, and nothing where nothing does.

    A task that is paused or disabled already is not active, which is all that the file says.
    """
    if task.definition != definition.keyed(task.definition.schedule.key):
        if definition.schedule != task.definition.schedule:
            allowance.check_schedule(definition.guild_id, definition.schedule, now)
        task.revise(definition, now=now, by=by, reason="import")
    if paused and task.status is TaskStatus.ACTIVE:
        task.pause(now=now, by=by, reason=NOT_ACTIVE, until=_until(paused))
    elif not paused and task.status in (TaskStatus.PAUSED, TaskStatus.DISABLED):
        task.resume(now=now, by=by, reason="was active when it was exported")
        allowance.check_going_on(task.guild_id, task.definition.schedule, now)


def check_placing(
    definition: TaskDefinition, paused: bool, existing: TaskView | None, now: datetime, allowance: Allowance
) -> None:
    """Refuse (QuotaExceeded) what ``placing`` would refuse for the limits of the guild, but for its room."""
    known = None if existing is None else existing.definition.schedule
    if existing is not None and not paused and existing.status is not TaskStatus.ACTIVE:
        allowance.check_going_on(definition.guild_id, definition.schedule, now)
    elif known is None or definition.schedule.keyed(known.key) != known:
        allowance.check_schedule(definition.guild_id, definition.schedule, now)


def too_full(error: QuotaExceeded) -> QuotaExceeded:
    """The same, with the guild by its id: a file may be about several."""
    problem = f"more than guild {error.guild_id} may have: {error.problem}"
    return QuotaExceeded(error.guild_id, error.quota, error.limit, error.current, problem, error.remedy)


def misplaced(place: str, name: str, error: BaseException) -> BaseException:
    """What a task refused, with its place in the file; trouble of the store has no place."""
    if isinstance(error, InvalidInput):
        named = InvalidImport(f"{place}.{error.field}", error.value, error.problem, error.remedy)
    elif isinstance(error, Refused | NotFound | QuotaExceeded):
        named = InvalidImport(place, name, f"cannot be put in place: {error}")
    else:
        return error
    named.__cause__ = error
    return named
