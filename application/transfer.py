"""Export and import of task definitions. An import is checked whole before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from application.ports import Clock
from application.queries import Queries
from application.scheduler import Scheduler
from application.views import TaskView
from domain.definition import TaskDefinition, check_complete, check_definition
from domain.draft import define
from domain.errors import DaybookError, InvalidImport, InvalidInput, TaskNotFound
from domain.principal import SYSTEM, Principal
from domain.schedule import next_after

__all__ = ["Imported", "ImportedTask", "Transfer", "export_document", "parse_import"]

FORMAT = "daybook-tasks/1"
LARGEST_IMPORT_BYTES = 64 * 1024 * 1024
MOST_IMPORTED = 100_000
DEEPEST = 20
MOST_LIVES = 1_000
"""A task comes back after its end at most this often under ids made from its first one."""


@dataclass(frozen=True, slots=True)
class ImportedTask:
    """One task of an import file, checked."""

    id: UUID | None
    definition: TaskDefinition
    paused: bool


class Imported(int):
    """How many tasks an import put in place; ``renumbered`` are the names of those that got a new id."""

    renumbered: tuple[str, ...]

    def __new__(cls, count: int, renumbered: Sequence[str] = ()) -> Imported:
        """``count`` as an int that knows more."""
        imported = super().__new__(cls, count)
        imported.renumbered = tuple(renumbered)
        return imported


class Plan(NamedTuple):
    """What is to be done with one task of a file, and where it stands there."""

    place: str
    task: ImportedTask
    existing: TaskView | None
    renumbered: bool


def export_document(tasks: Sequence[TaskView], now: datetime) -> dict[str, Any]:
    """The export file: definitions with their ids and whether they run. Secrets are references, never values."""
    return {
        "format": FORMAT,
        "export_date": now.isoformat(),
        "task_count": len(tasks),
        "tasks": [
            {
                "id": task.task_id,
                "status": task.status.value,
                "is_active": task.is_active,
                **task.definition.model_dump(mode="json"),
            }
            for task in tasks
        ],
    }


def parse_import(text: bytes, *, now: datetime, default_timezone: str = "UTC") -> list[ImportedTask]:
    """All tasks of an export file, ours or the predecessor's. Raises InvalidImport that names the place."""
    document = _document(text)
    tasks = document.get("tasks") if isinstance(document, dict) else None
    if not isinstance(tasks, list):
        raise InvalidImport("file", type(document).__name__, "has no list of tasks", 'expected {"tasks": [...]}')
    if len(tasks) > MOST_IMPORTED:
        raise InvalidImport("tasks", len(tasks), "are too many", f"at most {MOST_IMPORTED}")
    imported = []
    for index, entry in enumerate(tasks):
        place = f"tasks[{index}]"
        if not isinstance(entry, dict):
            raise InvalidImport(place, type(entry).__name__, "is not an object", "each task is an object")
        try:
            imported.append(_task(entry, now, default_timezone))
        except InvalidInput as error:
            raise InvalidImport(f"{place}.{error.field}", error.value, error.problem, error.remedy) from error
    ids = [task.id for task in imported if task.id is not None]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise InvalidImport("tasks", str(twice), "stands twice in the file", "give each task once")
    return imported


def _document(text: bytes) -> Any:
    if len(text) > LARGEST_IMPORT_BYTES:
        raise InvalidImport("file", len(text), "bytes are too many", f"at most {LARGEST_IMPORT_BYTES}")
    try:
        decoded = text.decode("utf-8-sig")
        return json.loads(decoded, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidImport(f"byte {error.start}", "", "is not UTF-8", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidImport(place, "", f"is not JSON: {error.msg}", "give a file that `export` wrote") from None
    except RecursionError:
        raise InvalidImport("file", "", "is nested too deeply", f"at most {DEEPEST} levels") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidImport(f"key {twice}", twice, "stands twice in one object", "keep one of them")
    return result


def _no_constant(name: str) -> Any:
    raise InvalidImport("number", name, "is not JSON", "use ordinary numbers")


_NOT_DEFINITION = {
    "id",
    "status",
    "is_active",
    "last_run",
    "run_count",
    "failure_count",
    "channel_name",
    "guild_name",
}


def _task(entry: Mapping[str, Any], now: datetime, default_timezone: str) -> ImportedTask:
    fields = {key: value for key, value in entry.items() if key not in _NOT_DEFINITION}
    if isinstance(fields.get("schedule"), dict):
        definition = _own(fields)
    else:
        definition = _predecessor(fields, now, default_timezone)
    check_definition(definition)
    check_complete(definition)
    # A task that was disabled comes back paused: whether it would still fail is not known here.
    active = entry.get("is_active", True) and entry.get("status") not in ("paused", "disabled")
    return ImportedTask(_id(entry.get("id")), definition, paused=not active)


def _own(fields: dict[str, Any]) -> TaskDefinition:
    try:
        return TaskDefinition.model_validate_json(json.dumps(fields))
    except ValueError as error:
        raise _first_of(error) from None


def _predecessor(fields: dict[str, Any], now: datetime, default_timezone: str) -> TaskDefinition:
    for name in ("next_run", "created_at"):
        if isinstance(fields.get(name), str):
            fields[name] = _instant(name, fields[name])
    options = fields.get("summary_options")
    if isinstance(options, dict) and "claude_model" in options:
        options["summarization_model"] = options.pop("claude_model")
    if fields.get("schedule_type") != "once":
        fields.pop("next_run", None)
    fields["timezone"] = fields.get("timezone") or default_timezone
    return define(fields, now=now)


def _instant(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(name, text, "is not a date and time", "write ISO 8601, 2026-11-23T09:00:00Z") from None


def _id(value: Any) -> UUID | None:
    # An id of the file only ever becomes a UUID: never a path, never anybody else's text.
    try:
        return UUID(str(value))
    except ValueError:
        return None


def _first_of(error: ValueError) -> InvalidInput:
    errors = getattr(error, "errors", None)
    if callable(errors) and (first := next(iter(errors()), None)):
        place = ".".join(str(part) for part in first["loc"]) or "task"
        return InvalidInput(place, first.get("input"), first["msg"])
    return InvalidInput("task", str(error), "cannot be read")


class Transfer:
    """Export and import through the application services."""

    def __init__(self, scheduler: Scheduler, queries: Queries, clock: Clock) -> None:
        self._scheduler, self._queries, self._clock = scheduler, queries, clock

    def export_tasks(self, *, guild_id: str | None = None, principal: Principal = SYSTEM) -> dict[str, Any]:
        """Every task that has not ended, as an export document."""
        tasks = self._queries.alive_tasks(guild_id=guild_id, principal=principal)
        return export_document(tasks, self._clock.now())

    async def import_tasks(
        self, text: bytes, *, principal: Principal = SYSTEM, default_timezone: str = "UTC", dry_run: bool = False
    ) -> Imported:
        """Put the tasks of an export file in place; returns how many. All or nothing: a broken file changes nothing.

        A task whose schedule is over is left out. One that is there already is made the same as in the file: revised
        where it differs, paused or resumed. One that has ended, or whose id is that of a task in another guild, gets
        a new id, which the result tells; it is made from the old one, so that the same file doubles nothing.
        """
        now = self._clock.now()
        tasks = parse_import(text, now=now, default_timezone=default_timezone)
        planned = [self._plan(index, task, principal, now) for index, task in enumerate(tasks)]
        plans = [plan for plan in planned if plan is not None]
        if not dry_run:
            await self._scheduler.put_in_place(
                [(plan.task.definition, plan.task.id, plan.task.paused, plan.existing) for plan in plans],
                principal=principal,
                places=[plan.place for plan in plans],
            )
        return Imported(len(plans), [plan.task.definition.name for plan in plans if plan.renumbered])

    def _plan(self, index: int, task: ImportedTask, principal: Principal, now: datetime) -> Plan | None:
        """What is to be done with one task of the file; None for one whose schedule is over."""
        place = f"tasks[{index}]"
        try:
            if not self._scheduler.access.manages(task.definition.guild_id, principal):
                raise InvalidInput("guild_id", task.definition.guild_id, "is not a guild you manage")
            if next_after(task.definition.schedule, now) is None:
                return None
            self._scheduler.check(task.definition, principal)
            plan = self._placed(place, task)
            if plan.existing is not None:
                _check_goes_on(task.definition, plan.existing, now)
        except InvalidInput as error:
            raise InvalidImport(f"{place}.{error.field}", error.value, error.problem, error.remedy) from error
        except DaybookError as error:
            raise InvalidImport(place, task.definition.name, str(error)) from error
        return plan

    def _placed(self, place: str, task: ImportedTask) -> Plan:
        """The task with the one that it replaces, if there is one that goes on in its guild."""
        guild_id, candidate = task.definition.guild_id, task.id
        for _ in range(MOST_LIVES):
            try:
                existing = None if candidate is None else self._queries.task(str(candidate))
            except TaskNotFound:
                existing = None
            if existing is None or (existing.guild_id == guild_id and not existing.status.ended):
                return Plan(place, replace(task, id=candidate), existing, renumbered=candidate != task.id)
            assert candidate is not None
            candidate = uuid5(candidate, guild_id)
        raise InvalidInput("id", str(task.id), "has ended too often", "take the id out to make a new task")


def _check_goes_on(definition: TaskDefinition, existing: TaskView, now: datetime) -> None:
    """Refuse a schedule whose last slot the existing task has accounted for already."""
    schedule = definition.keyed(existing.definition.schedule.key).schedule
    if schedule != existing.definition.schedule and next_after(schedule, max(now, existing.accounted_until)) is None:
        raise InvalidInput(
            "schedule", schedule.type.value, "has no slot that is not accounted for", "choose a later end"
        )
