"""What a running service shows: a live view on a terminal, or one log line for each run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from adapters.cli import show
from adapters.cli.host import Service
from adapters.cli.times import local, relative, seconds
from application.views import GuildView, RunView
from domain.errors import TaskNotFound
from domain.zone import zone_info

if TYPE_CHECKING:
    from rich.console import Console, Group

__all__ = ["AboveTheView", "Lines", "LiveView"]

MOST_UPCOMING, MOST_RAN = 6, 12
OTHER_LINES = 9
"""What the view needs beside the rows of its two tables."""

WIDE_COLUMNS, ROOMY_COLUMNS = 110, 170
MOST_TOLD = 50
REFRESHES_PER_SECOND = 2

_log = logging.getLogger("daybook.run")


def where(run: RunView, data: Path) -> str:
    """Where the results of a run arrived, or why not."""
    said = []
    for delivery in run.deliveries:
        place = delivery.receipt or delivery.type
        if delivery.type == "file" and delivery.receipt:
            place = str(data / "summaries" / delivery.receipt)
        said.append(
            place if delivery.status == "delivered" else f"{delivery.type} {delivery.status}: {delivery.reason}"
        )
    return show.plain("; ".join(said) or run.error or run.note or run.reason or "")


class Lines:
    """One log line for each run that closes."""

    def __init__(self, service: Service, data: Path) -> None:
        self._service, self._data, self._since = service, data, service.clock.now()
        self._told: set[tuple[str, int]] = set()
        self._names: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._service.dispatcher.listeners.append(self._changed)
        return self

    def __exit__(self, *exc: object) -> None:
        # It goes on telling while runs end: the service outlives this block by its last commits.
        return None

    def _changed(self) -> None:
        runs = self._service.queries.runs(states=("executed", "failed", "skipped"), limit=MOST_TOLD)
        fresh = [
            r for r in runs if r.closed_at and r.closed_at >= self._since and (r.run_id, r.attempt) not in self._told
        ]
        for run in reversed(fresh):
            level = logging.WARNING if run.state == "failed" else logging.INFO
            _log.log(level, "%s %s", run.state, self._name(run.task_id), extra=self._facts(run))
        self._told = {(run.run_id, run.attempt) for run in runs}

    def _facts(self, run: RunView) -> dict[str, object]:
        facts = {
            "run": run.run_id,
            "slot": run.slot.isoformat() if run.slot else None,
            "late": run.lateness_seconds,
            "took": run.duration_seconds,
            "messages": run.messages,
            "to": where(run, self._data) or None,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def _name(self, task_id: str) -> str:
        if task_id not in self._names:
            self._names[task_id] = show.plain(self._service.queries.task(task_id).name)
        return self._names[task_id]


class LiveView:
    """What is due next, what ran and where it went, redrawn twice a second by a thread of its own."""

    def __init__(self, console: Console, version: str, service: Service, data: Path, source: str) -> None:
        self._console, self._version, self._service, self._data, self._source = console, version, service, data, source
        self._began = service.clock.now()
        self._zones: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=REFRESHES_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _drawn(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        service, now = self._service, self._service.clock.now()
        self._zones.clear()  # a task may have been revised meanwhile
        up = seconds((now - self._began).total_seconds())
        head = Text.assemble(
            ("Daybook ", "bold"), (self._version, "bold"), f"  up {up}  node {service.node}  store {self._data}",
            f"\n{show.plain(self._source)}; files go to {self._data / 'summaries'}", overflow="ellipsis",
        )  # fmt: skip
        counts = service.queries.counts()
        guilds = service.queries.guilds()
        done = sum(guild.executed for guild in guilds)
        tail = Text.assemble(
            f"{counts.get('active', 0)} active tasks, ", (f"{done} executed", "green" if done else ""),
            *self._others(guilds), f", {service.dispatcher.active_runs} running.  ", ("Ctrl-C stops.", "dim"),
        )  # fmt: skip
        upcoming = self._upcoming(now)
        room = self._console.height - OTHER_LINES - len(upcoming.rows)
        ran = self._ran(now, max(1, min(MOST_RAN, room)))
        return Group(head, Text(), upcoming, Text(), ran, Text(), tail)

    def _others(self, guilds: Sequence[GuildView]) -> list[tuple[str, str]]:
        failed, skipped = sum(g.failed for g in guilds), sum(g.skipped_slots + g.skipped_runs for g in guilds)
        return [(f", {failed} failed", "red" if failed else "dim"), (f", {skipped} skipped", "dim")]

    def _upcoming(self, now: datetime) -> show.Sheet:
        rows = []
        for task_id, name, slot in self._service.queries.upcoming(MOST_UPCOMING):
            zone = self._task(task_id)
            when = relative(slot, now) if slot > now else "due"
            rows.append((self._soon(slot, now, when), local(slot, zone, now), show.plain(name), zone))
        if not rows:
            rows.append((show.dim("nothing is scheduled"), "", "", ""))
        return show.table(("next", "at", "task", "zone"), rows, fit=self._console.width)

    def _ran(self, now: datetime, most: int) -> show.Sheet:
        rows = []
        wide = self._console.width >= WIDE_COLUMNS
        for run in self._service.queries.runs(limit=most):
            zone = self._task(run.task_id)
            at = run.started_at or run.requested_at or now
            late = "" if run.lateness_seconds is None else seconds(run.lateness_seconds)
            took = "" if run.duration_seconds is None else seconds(run.duration_seconds)
            count = "" if run.messages is None else str(run.messages)
            name = show.plain(self._names.get(run.task_id, ""))
            numbers = (late, took, count) if wide else ()
            at_there = f"{local(at, zone, now)} {at.astimezone(zone_info(zone)).tzname()}"
            rows.append((show.state(run.state), at_there, name, *numbers, self._result(run)))
        numbered = ("late", "took", "messages") if wide else ()
        columns = ("ran", "at", "task", *numbered, "delivered to")
        if not rows:
            rows.append((show.dim("nothing yet"), *([""] * (len(columns) - 1))))
        return self._fitting(
            lambda some: show.table(columns, some, right=numbered, fit=self._console.width), rows, most
        )

    def _fitting(self, table: Callable[[list[Any]], show.Sheet], rows: list[Any], lines: int) -> show.Sheet:
        """The table of as many of the rows, the first ones, as take so many lines: what is long is folded."""
        for count in range(len(rows), 1, -1):
            made = table(rows[:count])
            if len(self._console.render_lines(made)) - 1 <= lines:
                return made
        return table(rows[:1])

    def _result(self, run: RunView) -> str:
        """The whole path where there is room; else only the file's name, for the head says which folder it is in."""
        told = where(run, self._data)
        if self._console.width >= ROOMY_COLUMNS:
            return told
        return "; ".join(Path(part).name if part.startswith(str(self._data)) else part for part in told.split("; "))

    def _soon(self, slot: datetime, now: datetime, when: str) -> show.Styled:
        near = (slot - now).total_seconds() < 15
        return show.styled(when, "bold green" if near else "")

    def _task(self, task_id: str) -> str:
        """The zone of a task; its name is remembered on the way."""
        if task_id not in self._zones:
            try:
                task = self._service.queries.task(task_id)
            except TaskNotFound:
                return "UTC"
            self._zones[task_id], self._names[task_id] = task.timezone, task.name
        return self._zones[task_id]


class AboveTheView(StringIO):
    """Where log lines and printed results go while the view is on: above it, and never through the middle of it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def write(self, text: str) -> int:
        """Print the lines above the view."""
        from rich.text import Text

        if text.strip():
            self._console.print(Text.from_ansi(text.rstrip("\n")), soft_wrap=True)
        return len(text)

    def isatty(self) -> bool:
        """It is a terminal as far as colors go."""
        return self._console.is_terminal
