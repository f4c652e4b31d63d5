"""What an import would do, task by task, before it does anything; and what people may choose about it."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import overload

from domain.definition import TaskDefinition
from domain.errors import InvalidImport, QuotaExceeded
from domain.schedule import describe, next_after
from domain.schedule_notes import notes_between

__all__ = ["AS_IT_IS", "Duplicates", "ImportOptions", "ImportPlan", "Outcome", "PlannedTask", "ShelvedTasks", "planned"]

_AHEAD = timedelta(days=366)
_MOST_NOTES = 3


class Duplicates(StrEnum):
    """What becomes of a task of the file that is here already, and differs."""

    SKIP = "skip"
    REFUSE = "refuse"
    REPLACE = "replace"


class Outcome(StrEnum):
    """What an import does with one task of the file."""

    NEW = "new"
    NEW_ID = "new id"
    SAME = "same"
    CHANGED = "changed"
    REPLACED = "replaced"
    SKIPPED = "skipped"
    OVER = "over"
    LEFT_OUT = "left out"
    REFUSED = "refused"

    @property
    def counts(self) -> bool:
        """Whether the task is in place afterwards as the file has it."""
        return self in (Outcome.NEW, Outcome.NEW_ID, Outcome.SAME, Outcome.CHANGED, Outcome.REPLACED)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """``duplicates`` None leaves the choice to the kind of file; ``guild_id`` puts everything into another guild.

    ``new_ids`` makes copies beside whatever is here. ``leave_out_broken`` imports the rest of a file with mistakes.
    """

    duplicates: Duplicates | None = None
    new_ids: bool = False
    guild_id: str | None = None
    leave_out_broken: bool = False


AS_IT_IS = ImportOptions()


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """One task of the file: where it stands there, what becomes of it, and what a person should know before.

    ``next_slot`` is aware UTC, None for a task that is not due any more; ``events`` counts its history, if it has one.
    ``problem`` says why it is refused. ``lost`` says what of a task of the predecessor has no counterpart here; it is
    among the ``warnings`` too.
    """

    place: str
    name: str
    guild_id: str
    task_id: str | None
    outcome: Outcome
    schedule: str = ""
    timezone: str = "UTC"
    next_slot: datetime | None = None
    events: int = 0
    warnings: tuple[str, ...] = ()
    problem: InvalidImport | None = None
    lost: tuple[str, ...] = ()


class ShelvedTasks(Sequence[PlannedTask]):
    """Planned tasks, however many they are: ``shelf`` keeps them, and is on the disk where that was wanted."""

    def __init__(self, shelf: MutableMapping[bytes, bytes]) -> None:
        self._shelf, self._count = shelf, 0

    def append(self, task: PlannedTask) -> None:
        """One more at the end."""
        self._shelf[_place(self._count)] = pickle.dumps(task)  # read by nobody but this process
        self._count += 1

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> PlannedTask: ...
    @overload
    def __getitem__(self, index: slice) -> list[PlannedTask]: ...
    def __getitem__(self, index: int | slice) -> PlannedTask | list[PlannedTask]:
        places = range(self._count)[index]
        return self._at(places) if isinstance(places, int) else [self._at(place) for place in places]

    def _at(self, index: int) -> PlannedTask:
        task: PlannedTask = pickle.loads(self._shelf[_place(index)])
        return task


def _place(index: int) -> bytes:
    return index.to_bytes(8, "big")


@dataclass(frozen=True)
class ImportPlan:
    """What an import does, or did. ``notes`` are about the file as a whole; ``digest`` names a file with history.

    ``overfull`` are the guilds that may not have so many tasks, each as its refusal.
    """

    tasks: Sequence[PlannedTask]
    notes: tuple[str, ...] = ()
    events: int = 0
    digest: str | None = None
    overfull: tuple[QuotaExceeded, ...] = ()

    @property
    def refused(self) -> list[InvalidImport]:
        """Every mistake, in the order of the file."""
        if Outcome.REFUSED.value not in self.counts:
            return []
        return [task.problem for task in self.tasks if task.problem is not None and task.outcome is Outcome.REFUSED]

    @property
    def count(self) -> int:
        """How many tasks are in place afterwards as the file has them."""
        return sum(count for outcome, count in self.counts.items() if Outcome(outcome).counts)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many tasks there are of each outcome."""
        return dict(Counter(task.outcome.value for task in self.tasks))

    @property
    def renumbered(self) -> list[str]:
        """The names of tasks that come under another id than the file says."""
        if Outcome.NEW_ID.value not in self.counts:
            return []
        return [task.name for task in self.tasks if task.outcome is Outcome.NEW_ID]

    def check(self) -> None:
        """Raise the first mistake, with the number of the others; before it, that guilds may not have so much."""
        if self.overfull:
            raise self.overfull[0] if len(self.overfull) == 1 else _all_of(self.overfull)
        if not (refused := self.refused):
            return
        first = refused[0]
        if len(refused) == 1:
            raise first
        places = ", ".join(error.field for error in refused[1:6])
        more = f"{len(refused) - 1} more mistakes: {places}{', …' if len(refused) > 6 else ''}"
        raise InvalidImport(
            first.field, first.value, first.problem, f"{first.remedy}; {more}" if first.remedy else more
        ) from first


def _all_of(overfull: Sequence[QuotaExceeded]) -> QuotaExceeded:
    """The first, with the others by their guilds."""
    first = overfull[0]
    others = ", ".join(one.guild_id for one in overfull[1:6])
    remedy = f"{first.remedy}; the same of {len(overfull) - 1} more: {others}{', …' if len(overfull) > 6 else ''}"
    return QuotaExceeded(first.guild_id, first.quota, first.limit, first.current, first.problem, remedy)


def planned(
    place: str,
    definition: TaskDefinition,
    outcome: Outcome,
    *,
    now: datetime,
    task_id: str | None,
    next_slot: datetime | None = None,
    events: int = 0,
    warnings: Sequence[str] = (),
) -> PlannedTask:
    """A task of a plan, with its schedule in words and what is odd about it within a year."""
    schedule = definition.schedule
    due = next_slot or next_after(schedule, now)
    odd = notes_between(schedule, now, now + _AHEAD, _MOST_NOTES) if due is not None else []
    return PlannedTask(
        place=place,
        name=definition.name,
        guild_id=definition.guild_id,
        task_id=task_id,
        outcome=outcome,
        schedule=describe(schedule),
        timezone=schedule.timezone,
        next_slot=due,
        events=events,
        warnings=(*warnings, *odd),
    )
