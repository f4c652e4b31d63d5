"""The rows of the read models.

Plain data, derived from the log and disposable. Instants are microseconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeVar

__all__ = [
    "NO_SETTINGS",
    "TABLES",
    "DeliveryRow",
    "FormerNameRow",
    "GuildRow",
    "NodeRow",
    "Purge",
    "Row",
    "Rows",
    "RunRow",
    "SkipRow",
    "TaskRow",
    "TextRow",
]


NO_SETTINGS = "{}"
"""Those of a guild that never set any."""


@dataclass(slots=True)
class TaskRow:
    """Where a task stands: the row that moves with every run. What people wrote about it is in TextRow."""

    table: ClassVar[str] = "tasks"
    key: ClassVar[tuple[str, ...]] = ("task_id",)

    task_id: str
    guild_id: str = ""
    name: str = ""
    task_type: str = ""
    operation: str | None = None
    status: str = "active"
    overlap: str = "skip"
    created_at: int = 0
    changed_at: int = 0
    version: int = 0
    accounted_until: int = 0
    next_slot: int | None = None
    due_at: int | None = None
    paused_until: int | None = None
    buffered_until: int | None = None
    open_runs: str = ""
    consecutive_failures: int = 0
    slots_started: int = 0
    slots_served: int = 0
    slots_skipped: int = 0
    executed: int = 0
    failed: int = 0
    skipped: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    interruptions: int = 0
    duration_total: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    last_started: int | None = None
    last_closed: int | None = None
    last_outcome: str | None = None
    archived: int = 0
    incident_since: int | None = None
    incident_told: int = 0
    notice_due: str | None = None
    untold: str = ""


@dataclass(slots=True)
class TextRow:
    """What people wrote about a task, and the reason of its present status. ``schedule`` is the rule in words."""

    table: ClassVar[str] = "texts"
    key: ClassVar[tuple[str, ...]] = ("task_id",)

    task_id: str
    definition: str = "{}"
    schedule: str = ""
    timezone: str = "UTC"
    disabled_destinations: str = ""
    status_reason: str | None = None
    status_by: str | None = None
    status_at: int | None = None


@dataclass(slots=True)
class FormerNameRow:
    """A name that a task had before it was renamed, folded (``str.casefold``): people ask for the past by it."""

    table: ClassVar[str] = "former_names"
    key: ClassVar[tuple[str, ...]] = ("task_id", "name")

    task_id: str
    name: str
    guild_id: str = ""


@dataclass(slots=True)
class RunRow:
    """One run. ``state`` is running, waiting, executed, failed or skipped; slots_skipped ranges are in SkipRow.

    ``ordinal`` says which of its guild's runs of that day (UTC) it was, in the order of the log. ``cost`` (of a
    language model) is in millionths of a US dollar, here as in sums: whole numbers add up the same in any order.
    """

    table: ClassVar[str] = "runs"
    key: ClassVar[tuple[str, ...]] = ("run_id",)

    run_id: str
    task_id: str = ""
    guild_id: str = ""
    slot: int | None = None
    request: str | None = None
    state: str = "waiting"
    attempt: int = 0
    owner: str | None = None
    requested_at: int | None = None
    requested_by: str | None = None
    first_started: int | None = None
    started_at: int | None = None
    deadline: int | None = None
    due_at: int | None = None
    closed_at: int | None = None
    duration: int | None = None
    reason: str | None = None
    error: str | None = None
    summary_id: str | None = None
    messages: int | None = None
    note: str | None = None
    ordinal: int | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: int | None = None


@dataclass(slots=True)
class DeliveryRow:
    """The last outcome of one run at one destination."""

    table: ClassVar[str] = "deliveries"
    key: ClassVar[tuple[str, ...]] = ("run_id", "destination")

    run_id: str
    destination: str
    task_id: str = ""
    guild_id: str = ""
    type: str = ""
    status: str = ""
    receipt: str | None = None
    reason: str | None = None
    permanent: int = 0
    attempt: int = 0
    at: int = 0


@dataclass(slots=True)
class SkipRow:
    """Slots that did not run, as one range."""

    table: ClassVar[str] = "skips"
    key: ClassVar[tuple[str, ...]] = ("task_id", "version")

    task_id: str
    version: int
    guild_id: str = ""
    first: int = 0
    last: int = 0
    count: int = 0
    reason: str = ""
    at: int = 0


@dataclass(slots=True)
class GuildRow:
    """A guild's settings and sums over its tasks. ``notices`` counts the places that are told of failures.

    ``runs_today`` counts the runs that began on ``day`` (days since 1970, UTC). ``erasing``: it is
    being erased; ``erasures``: something was erased in it on purpose, persons or the guild itself. That is no count:
    which persons were erased before the guild was, nobody can read afterwards.
    """

    table: ClassVar[str] = "guilds"
    key: ClassVar[tuple[str, ...]] = ("guild_id",)

    guild_id: str
    settings: str = NO_SETTINGS
    notices: int = 0
    tasks: int = 0
    executed: int = 0
    failed: int = 0
    skipped: int = 0
    slots_skipped: int = 0
    attempts: int = 0
    failed_attempts: int = 0
    interruptions: int = 0
    duration_total: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    day: int = 0
    runs_today: int = 0
    erasing: int = 0
    erasures: int = 0


@dataclass(slots=True)
class NodeRow:
    """One process that served, or serves."""

    table: ClassVar[str] = "nodes"
    key: ClassVar[tuple[str, ...]] = ("node",)

    node: str
    host: str = ""
    pid: int = 0
    version: str = ""
    rules: str = ""
    started_at: int = 0
    ended_at: int | None = None
    lost: int = 0


Row = TaskRow | TextRow | FormerNameRow | RunRow | DeliveryRow | SkipRow | GuildRow | NodeRow

TABLES: tuple[type[Row], ...] = (TaskRow, TextRow, FormerNameRow, RunRow, DeliveryRow, SkipRow, GuildRow, NodeRow)

R = TypeVar("R", TaskRow, TextRow, FormerNameRow, RunRow, DeliveryRow, SkipRow, GuildRow, NodeRow)


@dataclass(frozen=True, slots=True)
class Purge:
    """A cleanup.

    Forget closed runs (``deletes_runs``) and hide ended tasks (``archives_tasks``) from before ``cutoff``.
    """

    scope: str | None
    cutoff: int
    deletes_runs: bool
    archives_tasks: bool


class Rows(Protocol):
    """The rows that a projection reads and changes. A row that was got may be changed in place once it is put."""

    def get(self, kind: type[R], *key: str | int) -> R | None:
        """The row of this key, as changed so far."""
        ...

    def put(self, row: Row) -> None:
        """The row is new or changed."""
        ...

    def purge(self, purge: Purge) -> None:
        """Apply a cleanup to all rows as they are now."""
        ...

    def forget(self, stream: str) -> None:
        """Delete all that is known of a stream but the task's own row: texts, names, runs, deliveries, faults."""
        ...


@dataclass
class RowsInMemory:
    """Rows in dictionaries: what tests and small replays project into."""

    tables: dict[type[Row], dict[tuple[str | int, ...], Row]] = field(default_factory=dict)

    def get(self, kind: type[R], *key: str | int) -> R | None:
        """The row of this key."""
        return self.tables.get(kind, {}).get(key)  # type: ignore[return-value]

    def put(self, row: Row) -> None:
        """Keep the row."""
        key = tuple(getattr(row, column) for column in row.key)
        self.tables.setdefault(type(row), {})[key] = row

    def forget(self, stream: str) -> None:
        """Delete all but the task's own row."""
        for kind in (TextRow, FormerNameRow, RunRow, DeliveryRow, SkipRow):
            table = self.tables.get(kind, {})
            for key in [key for key, row in table.items() if getattr(row, "task_id", None) == stream]:
                del table[key]

    def purge(self, purge: Purge) -> None:
        """Forget closed runs and hide ended tasks from before the cut-off."""
        gone = set()
        for row in list(self.tables.get(RunRow, {}).values()):
            assert isinstance(row, RunRow)
            old = row.closed_at is not None and row.closed_at < purge.cutoff
            if purge.deletes_runs and old and purge.scope in (None, row.guild_id):
                gone.add(row.run_id)
        for kind in (RunRow, DeliveryRow):
            table = self.tables.get(kind, {})
            for key in [key for key in table if key[0] in gone]:
                del table[key]
        for task in self.tables.get(TaskRow, {}).values():
            assert isinstance(task, TaskRow)
            ended = task.status in ("cancelled", "completed") and task.changed_at < purge.cutoff
            if purge.archives_tasks and ended and purge.scope in (None, task.guild_id):
                task.archived = 1
