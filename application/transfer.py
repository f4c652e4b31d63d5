"""Export and import of task definitions. An import is checked whole before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple, TypeGuard
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from application.destinations import delivered_elsewhere
from application.history_transfer import HistoryTransfer
from application.import_file import (
    FORMAT,
    LARGEST_IMPORT_BYTES,
    MOST_IMPORTED,
    Entry,
    ImportedTask,
    entries_of,
    entries_of_files,
    parse_entries,
    parse_import,
)
from application.import_plan import AS_IT_IS, Duplicates, ImportOptions, ImportPlan, Outcome, PlannedTask, planned
from application.ports import Clock, Log, Spill, Vault, Writer
from application.queries import Queries
from application.scheduler import Scheduler
from application.secret_targets import SecretTargets
from application.views import TaskView
from domain.definition import TaskDefinition
from domain.errors import DaybookError, InvalidImport, InvalidInput, QuotaExceeded, TaskNotFound
from domain.identity import time_ordered_id
from domain.principal import SYSTEM, Principal
from domain.runs import TaskStatus
from domain.schedule import next_after

__all__ = [
    "LARGEST_IMPORT_BYTES",
    "MOST_IMPORTED",
    "Imported",
    "ImportedTask",
    "Transfer",
    "export_document",
    "parse_import",
]

MOST_LIVES = 1_000
"""A task comes back after its end at most this often under ids made from its first one."""

MOST_PLANNED = 1_000
"""So many tasks of a file are looked at in a dry run that the quotas of guilds refuse anyway: 100,000 took minutes."""
_GIVEN = uuid5(NAMESPACE_OID, "daybook.given-id")
_WRITTEN = (Outcome.NEW, Outcome.NEW_ID, Outcome.CHANGED, Outcome.SAME)


class Imported(int):
    """How many tasks an import put in place; ``renumbered`` are the names of those that got a new id.

    ``notes`` say what is to be known of the file, and what of its tasks is lost.
    """

    renumbered: tuple[str, ...]
    notes: tuple[str, ...]

    def __new__(cls, count: int, renumbered: Sequence[str] = (), notes: Sequence[str] = ()) -> Imported:
        """``count`` as an int that knows more."""
        imported = super().__new__(cls, count)
        imported.renumbered, imported.notes = tuple(renumbered), tuple(notes)
        return imported


class Placed(NamedTuple):
    """One task of a file with the plan for it, and the task that it changes, if there is one."""

    task: ImportedTask
    plan: PlannedTask
    existing: TaskView | None

    @property
    def is_written(self) -> bool:
        """Whether it is among those that are put in place."""
        return self.plan.outcome in _WRITTEN


def export_document(tasks: Sequence[TaskView], now: datetime) -> dict[str, Any]:
    """The export file: definitions with their ids and whether they run. Secrets are references, never values."""
    return {
        "format": FORMAT,
        "export_date": now.isoformat(),
        "task_count": len(tasks),
        "tasks": [_exported(task) for task in tasks],
    }


def _exported(task: TaskView) -> dict[str, Any]:
    until = {"paused_until": task.paused_until.isoformat()} if task.paused_until is not None else {}
    status = {"status": task.status.value, "is_active": task.is_active}
    return {"id": task.task_id, **status, **until, **task.definition.model_dump(mode="json")}


class Transfer:
    """Export and import through the application services. ``history`` moves whole histories."""

    def __init__(
        self,
        scheduler: Scheduler,
        queries: Queries,
        clock: Clock,
        *,
        log: Log,
        writer: Writer,
        vault: Vault,
        spill: Spill,
    ) -> None:
        self._scheduler, self._queries, self._clock = scheduler, queries, clock
        self._targets = SecretTargets(vault)
        self.history = HistoryTransfer(
            log=log, writer=writer, queries=queries, clock=clock, spill=spill, warn=self._doubts
        )

    def export_tasks(
        self, *, guild_id: str | None = None, task_id: str | None = None, principal: Principal = SYSTEM
    ) -> dict[str, Any]:
        """Every task that has not ended, of one guild, or one task, as an export document. Raises TaskNotFound."""
        if task_id is not None:
            tasks = [self._queries.task(task_id, principal=principal)]
        else:
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
        plan = await self.import_definitions(
            text, principal=principal, default_timezone=default_timezone, dry_run=dry_run
        )
        plan.check()
        lost = [f"{task.name}: lost: {words}" for task in plan.tasks for words in task.lost]
        return Imported(plan.count, plan.renumbered, [*plan.notes, *lost])

    async def import_definitions(
        self,
        source: bytes | Sequence[tuple[str, bytes | InvalidImport]],
        options: ImportOptions = AS_IT_IS,
        *,
        principal: Principal = SYSTEM,
        default_timezone: str = "UTC",
        dry_run: bool = False,
    ) -> ImportPlan:
        """The same, with choices, of one file or of the (name, text) files of a folder; returns what was done.

        With ``dry_run`` nothing is written, and every mistake is in the plan instead of being raised; of a long file
        that the quotas refuse, only the first MOST_PLANNED tasks are.
        """
        entries = entries_of(source) if isinstance(source, bytes) else entries_of_files(source)
        tasks = self._tasks_of(entries, options, default_timezone)
        early: tuple[QuotaExceeded, ...] = ()
        if not options.leave_out_broken and (not dry_run or len(entries) > MOST_PLANNED):
            early = self._overfull([task for task in tasks if self._adds(task, options)])
            if not dry_run:
                ImportPlan((), overfull=early).check()
        if early:  # what the rest would be, nobody needs to know
            entries, tasks = entries[:MOST_PLANNED], tasks[:MOST_PLANNED]
        placed = self._placed_all(entries, tasks, options, principal)
        added = [one.task for one in placed if isinstance(one, Placed) and one.existing is None and one.is_written]
        plan = ImportPlan(
            tuple(one.plan if isinstance(one, Placed) else one for one in placed),
            (*_stopped(len(entries), early), *self._notes(placed)),
            overfull=early or self._overfull(added),
        )
        if dry_run:
            # New ids are made when they are written: one that is shown here would be of no task ever.
            unnamed = tuple(replace(one, task_id=None) for one in plan.tasks)
            return replace(plan, tasks=unnamed) if options.new_ids else plan
        plan.check()
        written = [one for one in placed if isinstance(one, Placed) and one.is_written]
        await self._scheduler.put_in_place(
            [
                (one.task.definition, one.task.id, one.task.paused_until or one.task.paused, one.existing)
                for one in written
            ],
            principal=principal,
            places=[one.plan.place for one in written],
        )
        return plan

    # --- planning ---

    def _tasks_of(
        self, entries: Sequence[Entry], options: ImportOptions, default_timezone: str
    ) -> list[ImportedTask | InvalidImport]:
        tasks = parse_entries(entries, now=self._clock.now(), default_timezone=default_timezone)
        if options.guild_id is None:
            return tasks
        there = {"guild_id": options.guild_id}
        return [
            replace(task, definition=task.definition.model_copy(update=there))
            if isinstance(task, ImportedTask)
            else task
            for task in tasks
        ]

    def _adds(self, task: ImportedTask | InvalidImport, options: ImportOptions) -> TypeGuard[ImportedTask]:
        """Whether it is one more task than there are, as far as it can be put in place at all."""
        try:
            if isinstance(task, InvalidImport) or next_after(task.definition.schedule, self._clock.now()) is None:
                return False
            return options.new_ids or self._with_its_id(replace(task, id=task.id or _made_from(task)))[1] is None
        except DaybookError:  # it cannot, and is named with its place when it is planned
            return False

    def _overfull(self, added: Sequence[ImportedTask]) -> tuple[QuotaExceeded, ...]:
        """The guilds that may not have as many tasks as these would add."""
        problems = []
        for guild_id, count in Counter(task.definition.guild_id for task in added).items():
            try:
                self._scheduler.check_room(guild_id, count)
            except QuotaExceeded as error:
                problems.append(error)
        return tuple(problems)

    def _placed_all(
        self,
        entries: Sequence[Entry],
        tasks: Sequence[ImportedTask | InvalidImport],
        options: ImportOptions,
        principal: Principal,
    ) -> list[Placed | PlannedTask]:
        now = self._clock.now()
        placed: list[Placed | PlannedTask] = []
        for entry, task in zip(entries, tasks, strict=True):
            if isinstance(task, ImportedTask):
                try:
                    placed.append(self._plan(entry.place, task, options, principal, now))
                    continue
                except InvalidImport as error:
                    problem, name, guild_id = error, task.definition.name, task.definition.guild_id
            else:
                problem, name, guild_id = task, _text(entry.value, "name"), _text(entry.value, "guild_id")
            outcome = Outcome.LEFT_OUT if options.leave_out_broken else Outcome.REFUSED
            placed.append(PlannedTask(entry.place, name, guild_id, None, outcome, problem=problem))
        return placed

    def _plan(
        self, place: str, task: ImportedTask, options: ImportOptions, principal: Principal, now: datetime
    ) -> Placed:
        """What is to be done with one task of the file. Raises InvalidImport with the place."""
        try:
            if not self._scheduler.access.manages(task.definition.guild_id, principal):
                raise InvalidInput("guild_id", task.definition.guild_id, "is not a guild you manage")
            if next_after(task.definition.schedule, now) is None:
                return Placed(task, planned(place, task.definition, Outcome.OVER, now=now, task_id=None), None)
            self._scheduler.check(task.definition, principal, elsewhere=True)
            placed = self._placed(place, task, options, now)
            if placed.is_written:
                self._scheduler.check_in_place(placed.task.definition, bool(task.paused), placed.existing)
            return placed
        except InvalidInput as error:
            raise InvalidImport(f"{place}.{error.field}", error.value, error.problem, error.remedy) from error
        except DaybookError as error:
            raise InvalidImport(place, task.definition.name, str(error)) from error

    def _placed(self, place: str, task: ImportedTask, options: ImportOptions, now: datetime) -> Placed:
        warnings = [*self._not_here(task.definition), *(f"lost: {words}" for words in task.lost)]
        if options.new_ids:
            given, task = task.id, replace(task, id=time_ordered_id(now, uuid4()))
            existing, outcome = None, Outcome.NEW_ID
        else:
            given = task.id or _made_from(task)
            task, existing = self._with_its_id(replace(task, id=given))
            if existing is not None:
                task = replace(task, definition=self._as_known(task, existing.definition))
            outcome = _outcome(task, existing, options, renumbered=task.id != given)
        if outcome in (Outcome.CHANGED, Outcome.NEW_ID) and existing is not None:
            _check_goes_on(task.definition, existing, now)
        if task.given_id is not None and task.id is not None and not options.new_ids:
            warnings.insert(0, f"{task.given_id!r} is no id here: it becomes {task.id}")
        if task.paused:
            warnings.append(f"paused until {task.paused_until:%Y-%m-%d %H:%M} UTC" if task.paused_until else "paused")
        plan = planned(
            place, task.definition, outcome, now=now, task_id=str(task.id) if task.id else None, warnings=warnings
        )
        plan = replace(plan, lost=task.lost, next_slot=None if task.paused else plan.next_slot)
        if outcome is Outcome.REFUSED:
            raise InvalidInput("id", str(task.id), "is here already and differs", "choose what becomes of duplicates")
        return Placed(task, plan, existing)

    def _with_its_id(self, task: ImportedTask) -> tuple[ImportedTask, TaskView | None]:
        """The task under the id that it can have, with the one that it replaces, if there is one that goes on."""
        guild_id, candidate = task.definition.guild_id, task.id
        for _ in range(MOST_LIVES):
            try:
                existing = None if candidate is None else self._queries.task(str(candidate))
            except TaskNotFound:
                existing = None
            if existing is None or (existing.guild_id == guild_id and not existing.status.ended):
                return replace(task, id=candidate), existing
            assert candidate is not None
            candidate = uuid5(candidate, guild_id)
        raise InvalidInput("id", str(task.id), "has ended too often", "take the id out to make a new task")

    def _as_known(self, task: ImportedTask, before: TaskDefinition) -> TaskDefinition:
        """What the file says, where it says the same in other words than the task that is here.

        Its secrets are references here, and a schedule without ``created_at`` counts from its first import.
        """
        definition = self._targets.known(task.definition, before)
        if task.anchored:
            return definition
        schedule = definition.schedule.model_copy(update={"anchor": before.schedule.anchor})
        return definition.model_copy(update={"schedule": schedule})

    def _not_here(self, definition: TaskDefinition) -> list[str]:
        """What a task delivers with and this process has not: secrets, and whole kinds of destinations."""
        missing = [f"the secret of {label} is not here: give it again" for label in self._targets.missing(definition)]
        kinds = self._scheduler.undelivered(definition.destinations)
        return [*missing, f"{', '.join(kinds)}: delivered to by another process"] if kinds else missing

    def _notes(self, placed: Sequence[Placed | PlannedTask]) -> tuple[str, ...]:
        """What is to be known of the file as a whole: said once, however many tasks it is true of."""
        here = [one.task for one in placed if isinstance(one, Placed) and one.plan.outcome.counts]
        kinds = Counter(kind for task in here for kind in self._scheduler.undelivered(task.definition.destinations))
        notes = [
            f"{'1 task' if count == 1 else f'{count} tasks'}: {delivered_elsewhere(kind)}"
            for kind, count in kinds.items()
        ]
        if dropped := dict.fromkeys(name for task in here for name in task.dropped):
            notes.append(f"left out, as they stand at what means nothing here: {', '.join(dropped)}")
        return tuple(notes)

    def _doubts(self, definition: TaskDefinition) -> list[str]:
        """What will not work here of a task that comes with its history."""
        doubts = self._not_here(definition)
        try:
            if next_after(definition.schedule, self._clock.now()) is not None:
                self._scheduler.check(definition, SYSTEM, elsewhere=True)
        except DaybookError as error:
            doubts.append(f"it cannot run here: {error}")
        return doubts


def _stopped(looked_at: int, overfull: Sequence[QuotaExceeded]) -> tuple[str, ...]:
    """What is to be said where the rest of a file was not looked at."""
    words = f"this file is refused for its number of tasks: only the first {looked_at} were looked at"
    return (words,) if overfull else ()


def _outcome(task: ImportedTask, existing: TaskView | None, options: ImportOptions, *, renumbered: bool) -> Outcome:
    if existing is None:
        return Outcome.NEW_ID if renumbered else Outcome.NEW
    definition = task.definition.keyed(existing.definition.schedule.key)
    if definition == existing.definition and task.paused == (existing.status is not TaskStatus.ACTIVE):
        return Outcome.NEW_ID if renumbered else Outcome.SAME
    match options.duplicates or Duplicates.REPLACE:
        case Duplicates.SKIP:
            return Outcome.SKIPPED
        case Duplicates.REFUSE:
            return Outcome.REFUSED
        case Duplicates.REPLACE:
            return Outcome.NEW_ID if renumbered else Outcome.CHANGED


def _made_from(task: ImportedTask) -> UUID | None:
    """The id of a task whose own is no id here: always the same, so that importing it twice doubles nothing."""
    return None if task.given_id is None else uuid5(_GIVEN, f"{task.definition.guild_id} {task.given_id}")


def _text(value: Any, name: str) -> str:
    return str(value.get(name, "")) if isinstance(value, dict) else ""


def _check_goes_on(definition: TaskDefinition, existing: TaskView, now: datetime) -> None:
    """Refuse a schedule whose last slot the existing task has accounted for already."""
    schedule = definition.keyed(existing.definition.schedule.key).schedule
    if schedule != existing.definition.schedule and next_after(schedule, max(now, existing.accounted_until)) is None:
        raise InvalidInput(
            "schedule", schedule.type.value, "has no slot that is not accounted for", "choose a later end"
        )
