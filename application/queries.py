"""Questions. Every one is asked by a principal and answered from the read models; history is read from the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from application.guild_view import GuildView, settings_of
from application.ports import Content, Leaves, Log, ReadModel, Recorded
from application.rows import GuildRow, RunRow, TaskRow, TextRow
from application.views import NodeView, RunView, SkipView, TaskMetadata, TaskView
from application.wholeness import whole
from domain.errors import InvalidInput, NotFound, RunNotFound, TaskNotFound
from domain.identity import id_of
from domain.instants import epoch_microseconds, from_epoch_microseconds, utc
from domain.principal import SYSTEM, Principal
from domain.task_kinds import TaskStatus

if TYPE_CHECKING:
    from application.past import Past
    from domain.guild import GuildSettings
    from domain.summary import Summary

__all__ = ["Queries", "TaskStatistics", "stream_id_of"]

MOST_LISTED = 10_000

ALIVE = (TaskStatus.ACTIVE.value, TaskStatus.PAUSED.value, TaskStatus.DISABLED.value)
"""The states of tasks that have not ended."""


def stream_id_of(task_id: str) -> UUID:
    """The stream of a task id as people pass it around. An id that cannot be one is not found, like any other."""
    try:
        return id_of(task_id)
    except (ValueError, AttributeError, TypeError):
        raise TaskNotFound(str(task_id)) from None


class Queries:
    """What is and what was, as far as the principal may see it."""

    def __init__(self, read_model: ReadModel, log: Log, content: Content, leaves: Leaves | None = None) -> None:
        self._rows, self._log, self._content, self._leaves = read_model, log, content, leaves

    @cached_property
    def past(self) -> Past:
        """Any past moment, told from the log."""
        from application.past import Past

        return Past(self._log, self._rows, self._leaves)

    def task(self, task_id: str, *, principal: Principal = SYSTEM) -> TaskView:
        """One task. Raises TaskNotFound, also for another guild's."""
        row = self._task_row(task_id, principal)
        text = self._rows.get(TextRow, row.task_id) or TextRow(task_id=row.task_id)
        return TaskView.of(row, text, self._rows.unreadable().get(row.task_id, 0))

    def tasks(
        self,
        *,
        guild_id: str | None = None,
        statuses: Sequence[str] = (),
        name_contains: str = "",
        archived: bool = False,
        limit: int = MOST_LISTED,
        offset: int = 0,
        principal: Principal = SYSTEM,
    ) -> list[TaskView]:
        """Tasks by name; of the principal's guild only."""
        guild_id = self._scope(guild_id, principal)
        rows = self._rows.tasks(
            guild_id=guild_id,
            statuses=statuses,
            name_contains=name_contains,
            archived=archived,
            limit=_bounded(limit),
            offset=offset,
        )
        unreadable = self._rows.unreadable()
        return [TaskView.of(row, text, unreadable.get(row.task_id, 0)) for row, text in rows]

    def alive_tasks(self, *, guild_id: str | None = None, principal: Principal = SYSTEM) -> list[TaskView]:
        """Every task that has not ended, however many there are."""
        found: list[TaskView] = []
        while page := self.tasks(guild_id=guild_id, statuses=ALIVE, offset=len(found), principal=principal):
            found.extend(page)
        return found

    def find_task(self, text: str, *, guild_id: str | None = None, principal: Principal = SYSTEM) -> TaskView:
        """A task by its id, by the beginning of its id (4 characters or more), or by its exact name.

        Raises TaskNotFound, or InvalidInput when several fit. An erased task has no name any more, only its id.
        """
        try:
            return self.task(text, principal=principal)
        except TaskNotFound:
            scope = self._scope(guild_id, principal)
            found = self._rows.ids_beginning(text.lower(), scope) if len(text) >= 4 else []
            found = found or self._rows.ids_named(text, scope)
            if len(found) > 1:
                ids = ", ".join(found[:5])
                raise InvalidInput("task", text, f"fits {len(found)} tasks", f"say which by id: {ids}") from None
            if not found:
                from domain.task_erasure import ERASED  # mostly somebody is found, and nothing of this is needed

                raise TaskNotFound(text, len(self._rows.ids_named(ERASED, scope))) from None
            return self.task(found[0], principal=principal)

    def tasks_once_named(
        self, name: str, *, guild_id: str | None = None, principal: Principal = SYSTEM
    ) -> list[TaskView]:
        """Tasks that had this name, whatever its case, before they were renamed."""
        found = self._rows.ids_once_named(name, self._scope(guild_id, principal))
        return [self.task(task_id, principal=principal) for task_id in found]

    def run(self, run_id: str, *, principal: Principal = SYSTEM) -> RunView:
        """One run with its deliveries. Raises RunNotFound."""
        row = self._rows.get(RunRow, run_id)
        if row is None or not principal.sees(row.guild_id):
            raise RunNotFound(run_id)
        return RunView.of(row, self._rows.deliveries([run_id]))

    def has_run(self, run_id: str, *, principal: Principal = SYSTEM) -> bool:
        """Whether there is such a run that the principal may see."""
        row = self._rows.get(RunRow, run_id)
        return row is not None and principal.sees(row.guild_id)

    def runs(
        self,
        *,
        task_id: str | None = None,
        guild_id: str | None = None,
        states: Sequence[str] = (),
        limit: int = 50,
        offset: int = 0,
        principal: Principal = SYSTEM,
    ) -> list[RunView]:
        """Runs, the newest first, with their deliveries."""
        if task_id is not None:
            task_id = self._task_row(task_id, principal).task_id
        rows = self._rows.runs(
            task_id=task_id,
            guild_id=self._scope(guild_id, principal),
            states=states,
            limit=_bounded(limit),
            offset=offset,
        )
        by_run: dict[str, list[Any]] = {}
        for delivery in self._rows.deliveries([row.run_id for row in rows]):
            by_run.setdefault(delivery.run_id, []).append(delivery)
        return [RunView.of(row, by_run.get(row.run_id, ())) for row in rows]

    def skips(self, task_id: str, *, limit: int = 100, principal: Principal = SYSTEM) -> list[SkipView]:
        """Slots of a task that did not run, the newest first."""
        row = self._task_row(task_id, principal)
        return [SkipView.of(skip) for skip in self._rows.skips(row.task_id, _bounded(limit))]

    def history(self, task_id: str, *, limit: int = 1000, principal: Principal = SYSTEM) -> list[Recorded]:
        """The events of a task as they stand in the log, oldest first; the last ``limit`` of them."""
        row = self._task_row(task_id, principal)
        return self._whole(row, max(0, row.version - _bounded(limit)))

    def events(self, task_id: str, *, principal: Principal = SYSTEM) -> list[Recorded]:
        """All events of a task, oldest first; what is missing of them is named in its place. Raises TaskNotFound."""
        return self._whole(self._task_row(task_id, principal), 0)

    def _whole(self, row: TaskRow, after: int) -> list[Recorded]:
        stream_id = UUID(row.task_id)
        events = self._log.stream(stream_id, after_version=after)
        return whole(stream_id, events, after=after, head=row.version)

    def deletion_of_runs(self, guild_id: str) -> Recorded | None:
        """The last cleanup that deleted details of a guild's runs, or those of all guilds; None where none did."""
        from domain.guild import ContentDeleted, guild_stream

        cleanups = (one for stream in {guild_id, ""} for one in self._log.stream(guild_stream(stream)))
        found = [
            one
            for one in cleanups
            if isinstance(one.event, ContentDeleted) and one.event.deletes_runs and one.event.scope in (None, guild_id)
        ]
        return max(found, key=lambda one: one.position, default=None)

    def summary(self, run_id: str, *, principal: Principal = SYSTEM) -> Summary | None:
        """The summary that a run made, while it is kept."""
        self.run(run_id, principal=principal)
        return self._content.summary_of_run(run_id)

    def metadata(self, task_id: str, *, principal: Principal = SYSTEM) -> TaskMetadata:
        """Statistics of one task."""
        return TaskMetadata.of(self._task_row(task_id, principal))

    def guild(self, guild_id: str, *, principal: Principal = SYSTEM) -> GuildView:
        """Settings and sums of a guild; of one without a history, the defaults."""
        if not principal.sees(guild_id):
            raise NotFound("guild", guild_id)
        return GuildView.of(self._rows.get(GuildRow, guild_id) or GuildRow(guild_id=guild_id))

    def guilds(self, *, principal: Principal = SYSTEM) -> list[GuildView]:
        """All guilds that the principal may see; the service's own (empty id) is left out."""
        return [GuildView.of(row) for row in self._rows.guilds() if row.guild_id and principal.sees(row.guild_id)]

    def check_guild(self, guild_id: str, *, principal: Principal = SYSTEM) -> None:
        """Raises NotFound for a guild that the principal may not see, or of which nothing was ever written."""
        if not principal.sees(guild_id) or not (
            (guild_id and self._rows.get(GuildRow, guild_id))
            or self.tasks(guild_id=guild_id, archived=True, limit=1, principal=principal)
        ):
            raise NotFound("guild", guild_id)

    def settings(self, guild_id: str) -> GuildSettings:
        """The settings of a guild."""
        return settings_of(self._rows.settings([guild_id])[guild_id])

    def counts(self, *, guild_id: str | None = None, principal: Principal = SYSTEM) -> dict[str, int]:
        """How many tasks there are by status."""
        return self._rows.counts(self._scope(guild_id, principal))

    def upcoming(
        self, limit: int = 100, *, guild_id: str | None = None, principal: Principal = SYSTEM
    ) -> list[tuple[str, str, datetime]]:
        """(task id, name, next slot) of active tasks, the soonest first."""
        rows = self._rows.upcoming(_bounded(limit), self._scope(guild_id, principal))
        return [(task_id, name, from_epoch_microseconds(slot)) for task_id, name, slot in rows]

    def definitions_ahead(self, limit: int) -> list[tuple[str, frozenset[str]]]:
        """(definition as JSON, keys of destinations that were disabled) of active tasks, the soonest due first."""
        rows = self._rows.definitions_ahead(_bounded(limit))
        return [(definition, frozenset(disabled.split())) for definition, disabled in rows]

    def overdue(self, now: datetime, *, limit: int = 100) -> list[tuple[str, datetime]]:
        """(task id, due at) of what should have been looked at before ``now``."""
        due = self._rows.due(epoch_microseconds(utc(now, "now")), _bounded(limit))
        return [(task_id, from_epoch_microseconds(at)) for task_id, _, at in due]

    def running(self) -> list[RunView]:
        """Runs that some node holds now."""
        return [RunView.of(row) for row in self._rows.running()]

    def nodes(self, *, running_only: bool = False, limit: int = 100) -> list[NodeView]:
        """Processes that served, the newest first."""
        return [NodeView.of(row) for row in self._rows.nodes(running_only=running_only, limit=limit)]

    def faults(self) -> list[dict[str, Any]]:
        """Events that could not be read, or are missing."""
        return self._rows.faults()

    def unreadable(self) -> dict[str, int]:
        """By stream, how many events cannot be read or are missing; of all but these the rows are whole."""
        return self._rows.unreadable()

    def _task_row(self, task_id: str, principal: Principal) -> TaskRow:
        row = self._rows.get(TaskRow, str(stream_id_of(task_id)))
        if not isinstance(row, TaskRow) or not principal.sees(row.guild_id):
            raise TaskNotFound(str(task_id))
        return row

    def _scope(self, guild_id: str | None, principal: Principal) -> str | None:
        if principal.guild_id is None:
            return guild_id
        if guild_id is not None and guild_id != principal.guild_id:
            raise NotFound("guild", guild_id)
        return principal.guild_id


def _bounded(limit: int) -> int:
    return max(0, min(limit, MOST_LISTED))


class TaskStatistics(Mapping[str, TaskMetadata]):
    """A lazy mapping from task id to its statistics, read when it is asked."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def __getitem__(self, task_id: str) -> TaskMetadata:
        try:
            return self._queries.metadata(task_id)
        except TaskNotFound:
            raise KeyError(task_id) from None

    def __iter__(self) -> Iterator[str]:
        return (task.task_id for task in self._queries.tasks(archived=True))

    def __len__(self) -> int:
        return sum(self._queries.counts().values())
