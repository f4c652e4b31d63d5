"""Making audit reports: which events belong to one, in which order they are read, and when a period is closed.

A report is made from the events before its *cut*: the first event, of all streams that it reads, at or after the
period's end. Positions only grow, so whatever is written later stands behind the cut, also when a clock was set back:
a report of a closed period is the same whenever it is made. It says what was known at the end, no more.

Two things reach back all the same: an erasure, and an import of histories, whose events stand at the position of the
import. Up to the last import each stream therefore is cut for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import merge
from typing import Any
from uuid import UUID

from application.ports import Clock, Log, Recorded
from application.queries import Queries
from application.report import MOST_CAUSES, Outage, Report, Role, Scope, ScopeKind
from application.report_days import Days, Period
from application.report_masks import role_of, seen_as
from application.report_sums import Listed, Sums, most_trouble_first
from application.report_task import read_task
from application.report_words import changes_of, event_line
from application.uptime import uptime
from domain.errors import EventUnreadable, InvalidInput, NotFound, PayloadErased
from domain.event import utc
from domain.guild import GuildSettings, SettingsChanged, guild_stream
from domain.guild_imports import HistoryImported
from domain.node import node_stream
from domain.principal import SYSTEM, Principal
from domain.task_erasure import Erased

__all__ = ["LONGEST_PERIOD", "Progress", "Reports"]

LONGEST_PERIOD = timedelta(days=3660)
"""The longest period of one report: ten years."""

_PAGE = 1000
_ALL_NODES = 1 << 40
Progress = Callable[[int, int], None]
"""Called with how many tasks were read, and how many there are."""


@dataclass(slots=True)
class _Cut:
    """Where reading ends: before ``before``, and in each stream before an event at or after ``end``.

    ``sealed`` is the first such event behind ``imported``, the position of the last import of histories.
    """

    end: datetime
    before: int
    imported: int
    sealed: int | None = None
    last: int = 0

    def events(self, log: Log, stream: UUID) -> Iterator[Recorded]:
        """The events of a stream up to the cut, page by page."""
        version = 0
        while page := log.stream(stream, after_version=version, limit=_PAGE):
            for one in page:
                if one.position >= self.before:
                    return
                event = one.event
                if _at_or_after(one, self.end):
                    if one.position > self.imported:
                        self.sealed = min(self.sealed or one.position, one.position)
                    if isinstance(event, Erased):
                        yield one  # an erasure reaches back: nothing but its counts is left of what was before
                    return
                version = event.version if isinstance(event, EventUnreadable) else event.originator_version
                if not isinstance(event, PayloadErased):  # it does not say when it was, and may be from after the end
                    self.last = max(self.last, one.position)
                yield one
            if len(page) < _PAGE:
                return


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be read."""

    scope: Scope
    start: datetime
    end: datetime
    timezone: str
    tasks: Sequence[tuple[str, str]]
    guilds: Sequence[str]
    nodes: Sequence[str]
    every_task: bool
    progress: Progress | None


class Reports:
    """Makes reports of what a principal may see, from the log."""

    def __init__(self, queries: Queries, log: Log, clock: Clock) -> None:
        self._queries, self._log, self._clock = queries, log, clock

    def make(
        self,
        start: datetime,
        end: datetime,
        *,
        task_id: str | None = None,
        guild_id: str | None = None,
        timezone: str = "UTC",
        every_task: bool = False,
        principal: Principal = SYSTEM,
        progress: Progress | None = None,
    ) -> Report:
        """The report of a task, of a guild, or of all that the principal may see, over ``start`` <= instant < ``end``.

        Days are those of ``timezone``. Of more than a thousand tasks those with the most trouble are listed, unless
        ``every_task`` is wanted; all are counted. Blocks while it reads; memory grows with the tasks that are listed,
        and by a few bytes for each run of the period. Raises InvalidInput for a period that is empty or longer than ten
        years, InvalidTimezone, NotFound.
        """
        start, end = utc(start, "start"), utc(end, "end")
        if end <= start:
            raise InvalidInput("end", end.isoformat(), f"is not after the start, {start.isoformat()}")
        if end > start + LONGEST_PERIOD:
            raise InvalidInput("end", end.isoformat(), f"is not within ten years after {start.isoformat()}")
        scope, tasks, guilds = self._scope(task_id, guild_id, principal)
        nodes = [node.node for node in self._queries.nodes(limit=_ALL_NODES)]
        asked = _Asked(scope, start, end, timezone, tasks, guilds, nodes, every_task, progress)
        role = role_of(principal, self._manages(principal, {guild for _, guild in tasks} | set(guilds)))
        return seen_as(role, self._whole(asked))

    def _manages(self, principal: Principal, guilds: Iterable[str]) -> bool:
        settings = self._queries.settings
        return all(principal.manages(guild, settings(guild).managers) for guild in guilds)

    def _scope(
        self, task_id: str | None, guild_id: str | None, principal: Principal
    ) -> tuple[Scope, list[tuple[str, str]], list[str]]:
        queries = self._queries
        if task_id is not None:
            task = queries.task(task_id, principal=principal)
            if guild_id is not None and task.guild_id != guild_id:
                raise NotFound("task", task_id)
            return Scope(ScopeKind.TASK, task.task_id), [(task.task_id, task.guild_id)], []
        guild_id = guild_id if guild_id is not None else principal.guild_id
        found: list[tuple[str, str]] = []
        while page := queries.tasks(
            guild_id=guild_id, archived=True, limit=_PAGE, offset=len(found), principal=principal
        ):
            found += [(task.task_id, task.guild_id) for task in page]
        known = [one.guild_id for one in queries.guilds(principal=principal)]
        if guild_id is None:
            return Scope(ScopeKind.SERVICE), found, ["", *known]
        if not found and guild_id not in known:
            raise NotFound("guild", guild_id)
        return Scope(ScopeKind.GUILD, guild_id, guild_id), found, [guild_id]

    def _whole(self, asked: _Asked) -> Report:
        """Read, and read again where the cut turns out to lie before what was read: a clock was set back."""
        position, now = self._log.last_position(), self._clock.now()
        newest = self._log.read(position - 1, 1) if position else []
        closed = any(_at_or_after(one, asked.end) for one in newest)
        as_of = asked.end if closed else min(now, asked.end)
        imported = self._last_import({*asked.guilds, *(guild for _, guild in asked.tasks)})
        cut = _Cut(asked.end, position + 1, imported)
        report = self._read(asked, cut, as_of, closed=closed)
        if cut.sealed is not None and (cut.last >= cut.sealed or not closed):
            again = _Cut(asked.end, cut.sealed, imported, cut.sealed)
            report = self._read(asked, again, asked.end, closed=True)
        return report

    def _last_import(self, guilds: Iterable[str]) -> int:
        events = (one for guild in guilds for one in self._log.stream(guild_stream(guild)))
        return max((one.position for one in events if isinstance(one.event, HistoryImported)), default=0)

    def _read(self, asked: _Asked, cut: _Cut, as_of: datetime, *, closed: bool) -> Report:
        days = Days(asked.start, asked.end, asked.timezone)
        period = Period(asked.start, asked.end, asked.timezone, as_of, days)
        sums = Sums(tasks=Listed(len(asked.tasks), most_trouble_first)) if asked.every_task else Sums()
        for number, (task_id, guild_id) in enumerate(asked.tasks):
            if asked.progress is not None:
                asked.progress(number, len(asked.tasks))
            read_task(task_id, guild_id, cut.events(self._log, UUID(task_id)), period, sums)
        for guild_id in asked.guilds:
            _read_guild(guild_id, cut.events(self._log, guild_stream(guild_id)), period, sums)
        up = list(merge(*(cut.events(self._log, node_stream(node)) for node in asked.nodes), key=lambda o: o.position))
        _tell_nodes(up, period, sums)
        if asked.progress is not None:
            asked.progress(len(asked.tasks), len(asked.tasks))
        return _report(asked, period, sums, up, position=max(cut.last, sums.last), closed=closed)


def _at_or_after(one: Recorded, instant: datetime) -> bool:
    at = one.event.at if isinstance(one.event, EventUnreadable) else one.event.timestamp
    return at is not None and at >= instant


def _report(
    asked: _Asked, period: Period, sums: Sums, up: Sequence[Recorded], *, position: int, closed: bool
) -> Report:
    tasks = tuple(line for _, line in sorted(sums.tasks.lines, key=lambda one: one[0]))
    scope = asked.scope
    if scope.kind is ScopeKind.TASK:
        scope = Scope(scope.kind, scope.id, tasks[0].name if tasks else scope.id)
    outages, watched, down = _outages(up, period)
    return Report(
        scope=scope,
        role=Role.OPERATOR,
        start=period.start,
        end=period.end,
        timezone=period.timezone,
        closed=closed,
        as_of=period.as_of,
        position=position,
        account=replace(sums.account(now=period.as_of, end=period.reached), start=period.start),
        figures=sums.runs.figures(),
        tasks=tasks,
        tasks_total=sums.tasks.total,
        days=sums.days(period.days.dates),
        runs=sums.listed_runs.lines,
        runs_total=sums.listed_runs.total,
        slowest=sums.slowest.lines,
        events=sums.events.lines,
        events_total=sums.events.total,
        kinds=tuple(sorted(sums.kinds.items())),
        changes=sums.changes.lines,
        changes_total=sums.changes.total,
        outages=outages,
        watched_seconds=watched,
        down_seconds=down,
        causes=sums.causes[:MOST_CAUSES],
        causes_total=len(sums.causes),
        places=sums.places,
    )


def _read_guild(guild_id: str, events: Iterable[Recorded], period: Period, sums: Sums) -> None:
    """The events of a guild's own stream: its settings, and what was deleted."""
    before = GuildSettings()
    for position, event in events:
        if _begun(event, period):
            subject = f"guild {guild_id}" if guild_id else "service"
            line = event_line(position, event, guild_id=guild_id, task_id="", subject=subject, zone=period.timezone)
            if isinstance(event, SettingsChanged):
                changes = list(changes_of(line, event, before, event.settings))
                line = replace(line, what=", ".join(change.field for change in changes))
                sums.change(changes)
            sums.event(line, event.topic)
        if isinstance(event, SettingsChanged):
            before = event.settings


def _tell_nodes(events: Iterable[Recorded], period: Period, sums: Sums) -> None:
    for position, event in events:
        if _begun(event, period):
            subject = getattr(event, "node", "")
            line = event_line(position, event, guild_id="", task_id="", subject=subject, zone=period.timezone)
            sums.event(line, event.topic)


def _begun(event: Any, period: Period) -> bool:
    """Whether an event is not from before the period; of an erased one nobody knows when it was."""
    at = event.at if isinstance(event, EventUnreadable) else event.timestamp
    return at is not None and at >= period.start


def _outages(events: Sequence[Recorded], period: Period) -> tuple[tuple[Outage, ...], float | None, float | None]:
    """The longest times in which nothing was up; how long of the period is known, and how long nothing was up in it.

    An outage has its whole length, also where it began before the period: it may have become known only in this one.
    """
    ups = uptime(events)
    if not ups:
        return (), None, None
    found: list[Outage] = []
    down = 0.0
    reach: datetime | None = ups[0].since
    for up in ups:
        if reach is not None and up.since > reach:
            found.append(Outage(reach, up.since, (up.since - reach).total_seconds()))
            reach = up.since
        if reach is not None:
            reach = None if up.until is None else max(reach, up.until)
    if reach is not None and reach < period.as_of:
        found.append(Outage(reach, None, (period.as_of - reach).total_seconds()))
    inside = [one for one in found if (one.until or period.end) > period.start and one.since < period.end]
    for one in inside:
        low, high = max(one.since, period.start), min(one.until or period.as_of, period.end)
        down += max(0.0, (high - low).total_seconds())
    longest = sorted(inside, key=lambda one: (-one.seconds, one.since))[:MOST_CAUSES]
    watched = max(0.0, (period.as_of - max(period.start, ups[0].since)).total_seconds())
    return tuple(longest), watched, down
