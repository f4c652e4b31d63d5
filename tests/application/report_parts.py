"""Logs in memory for reports, a history in which everything happens, and every format of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from adapters.cli.report_view import report_text
from adapters.rendering import reports
from application.ports import Recorded
from application.report import Report
from application.reports import Reports
from domain.destination import DeliveryStatus, Destination, DestinationType
from domain.draft import revised
from domain.errors import NotFound, TaskNotFound
from domain.event import Event
from domain.guild import Guild, GuildSettings
from domain.node import Node, NodeStarted
from domain.principal import SYSTEM, Permission, Principal
from domain.schedule import rules_fingerprint
from domain.task import ScheduledTask
from domain.task_events import InterruptionReason, SkipReason
from tests.domain.task_parts import at, claim, done, events, make, outcome, summary_task
from tests.doubles import HandClock

__all__ = ["CANARIES", "END", "FORMATS", "MANAGER", "START_OF_PERIOD", "VIEWER", "Logged", "everything", "scripted"]

START_OF_PERIOD = datetime(2026, 3, 2, tzinfo=UTC)
END = datetime(2026, 3, 4, tzinfo=UTC)
MANAGER = Principal(reference="person:m", guild_id="1", permissions=frozenset(Permission))
VIEWER = Principal(reference="person:v", guild_id="1")
CANARIES = ("canary-ann", "canary-place", "canary-said", "canary-machine", "canary-channel", "canary-owner")
"""Names of people, targets and machines, and what was said, of the history in which everything happens."""

FORMATS: dict[str, Callable[[Report], str | bytes]] = {
    "terminal": report_text,
    "narrow": lambda report: report_text(report, 80),
    "markdown": reports.markdown_report,
    "html": reports.html_report,
    "json": reports.json_report,
    "csv": reports.csv_archive,
}


def everything(report: Report) -> dict[str, str | bytes]:
    """The report in every format."""
    return {name: render(report) for name, render in FORMATS.items()}


@dataclass
class Logged:
    """A log in memory, and the queries that a report asks: what there is, by the first events of the streams."""

    records: list[Recorded] = field(default_factory=list)
    listed: list[Recorded] = field(default_factory=list)
    """What the queries were told before events became unreadable; by default the log."""

    def append(self, *more: Any) -> None:
        """Write these events, in this order."""
        self.records += [Recorded(number, event) for number, event in enumerate(more, len(self.records) + 1)]

    def merge(self, *streams: Sequence[Any]) -> Logged:
        """Write the events of these streams in the order of their times."""
        self.append(*sorted((event for stream in streams for event in stream), key=lambda event: event.timestamp))
        return self

    def upto(self, count: int) -> Logged:
        """The log when it had so many events."""
        return Logged(self.records[:count])

    def report(self, start: datetime, end: datetime, *, now: datetime | None = None, **asked: Any) -> Report:
        """A report; by default now is long after."""
        clock = HandClock(now or datetime(2030, 1, 1, tzinfo=UTC))
        return Reports(self, self, clock).make(start, end, **asked)  # type: ignore[arg-type]

    # --- the log ---

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int | None = None) -> list[Recorded]:
        """The events of one stream."""
        found = [one for one in self.records if _stream(one) == stream_id and _version(one) > after_version]
        return found[:limit]

    def read(self, after_position: int, limit: int) -> list[Recorded]:
        """Events of all streams."""
        return self.records[after_position : after_position + limit]

    def last_position(self) -> int:
        """The newest."""
        return len(self.records)

    # --- the queries ---

    def task(self, task_id: str, *, principal: Principal = SYSTEM) -> Any:
        """One task."""
        found = [one for one in self.tasks(principal=principal) if one.task_id == task_id]
        if not found:
            raise TaskNotFound(task_id)
        return found[0]

    def tasks(
        self, *, guild_id: str | None = None, principal: Principal = SYSTEM, offset: int = 0, **_: Any
    ) -> list[Any]:
        """Every task that there ever was, those made last first: a report must bring its own order."""
        if principal.guild_id is not None and guild_id not in (None, principal.guild_id):
            raise NotFound("guild", str(guild_id))
        first: list[Any] = [one.event for one in reversed(self.listed or self.records) if _version(one) == 1]
        tasks = [
            SimpleNamespace(task_id=str(event.originator_id), guild_id=event.definition.guild_id)
            for event in first
            if hasattr(event, "definition")
        ]
        return [one for one in tasks if principal.sees(one.guild_id) and guild_id in (None, one.guild_id)][offset:]

    def guilds(self, *, principal: Principal = SYSTEM) -> list[Any]:
        """Guilds of which something is known."""
        found = {one.guild_id for one in self.tasks()} | {getattr(one.event, "guild_id", "") for one in self.records}
        return [SimpleNamespace(guild_id=guild) for guild in sorted(found) if guild and principal.sees(guild)]

    def settings(self, guild_id: str) -> GuildSettings:
        """The settings of a guild, as far as a report asks them."""
        return GuildSettings()

    def nodes(self, **_: Any) -> list[Any]:
        """Every process that there ever was."""
        return [one.event for one in reversed(self.records) if isinstance(one.event, NodeStarted)]


def _stream(one: Recorded) -> UUID:
    event = one.event
    return event.originator_id if isinstance(event, Event) else UUID(str(event.stream_id))


def _version(one: Recorded) -> int:
    event = one.event
    return event.originator_version if isinstance(event, Event) else event.version


# --- a history in which everything happens ---


def node(name: str, begun: datetime, ended: datetime | None = None, *, seen: datetime | None = None) -> list[Any]:
    """The events of a process; ``seen`` is when one that died was seen last."""
    made = Node.start(name, now=begun, host="h", pid=1, version="1.0", rules=rules_fingerprint())
    if ended is not None and seen is not None:
        made.lose(now=ended, last_seen=seen, noticed_by="other")
    elif ended is not None:
        made.stop(now=ended)
    return list(made.pending_events)


def scripted(*, name: str = "Digest of #general", hostile: str = "canary-said") -> Logged:
    """Two days of three tasks in two guilds: runs, retries, a pause, edits, an outage, deliveries that fail."""
    digest = _digest(name, hostile)
    hourly = _hourly(hostile)
    other = make(id=UUID(int=9), name="Of another guild", guild_id="2")
    for hour in range(3):
        done(other, claim(other, at(0.5 + hour)), at(0.6 + hour))
    guild = Guild.open("1", now=at(1))
    place = Destination(type=DestinationType.DISCORD_DM, target="canary-owner")
    guild.change_settings(GuildSettings(failure_notices=(place,)), now=at(1), by="person:canary-ann")
    logged = Logged().merge(
        events(digest), events(hourly), events(other), list(guild.pending_events),
        node("canary-machine-1", at(-1), at(13), seen=at(9)), node("canary-machine-2", at(13)),
    )  # fmt: skip
    late = make(id=UUID(int=10), name="Made later", now=END + timedelta(hours=1))
    logged.append(*events(late))
    return logged


def _digest(name: str, hostile: str) -> ScheduledTask:
    task = summary_task(id=UUID(int=7), name=name, created_by="person:canary-ann", max_failures=9)
    file = Destination(type=DestinationType.FILE, target="canary-place", format="markdown")
    mail = Destination(type=DestinationType.EMAIL, target="canary-place@example.org", format="html")
    places = {"destinations": [file, mail], "channel_id": "canary-channel"}
    task.revise(revised(task.definition, places, now=at(0.1)), now=at(0.1), by="person:canary-ann", reason=hostile)
    for hour in range(4):
        sent = outcome(mail, DeliveryStatus.DELIVERED if hour else DeliveryStatus.UNKNOWN, now=at(0.6 + hour))
        sent = sent.model_copy(update={"reason": hostile if not hour else None, "receipt": hostile})
        done(task, claim(task, at(0.5 + hour)), at(0.6 + hour), [outcome(file, now=at(0.6 + hour)), sent])
    task.pause(now=at(4.6), by="person:canary-ann", reason=hostile)
    task.resume(now=at(8.6), by="person:canary-bob", reason="-1+2")
    task.request_run("q", now=at(8.7), by="person:canary-ann", reason=hostile)
    done(task, claim(task, at(8.8)), at(8.85))
    return task


def _hourly(hostile: str) -> ScheduledTask:
    task = make(id=UUID(int=8), name="Backup", max_failures=9, retry_delay_minutes=1)
    for hour in range(5):
        attempt = claim(task, at(0.5 + hour, seconds=hour), "canary-machine-1")
        if hour == 1:
            _fail(task, attempt, at(1.6), hostile)
            attempt = claim(task, at(1.7), "canary-machine-1")
        if hour == 2:
            _fail(task, attempt, at(2.6), hostile, permanent=True)
        elif hour == 3:
            task.skip_run(
                attempt.run, attempt.attempt, attempt.owner, now=at(3.6), reason=SkipReason.QUIET, note=hostile
            )
        else:
            done(task, attempt, at(1.8 if hour == 1 else 0.55 + hour))
    crashed = claim(task, at(5.5), "canary-machine-1")
    cause = InterruptionReason.CRASH
    task.interrupt(crashed.run, crashed.attempt, crashed.owner, now=at(13), cause=cause, noticed_by="canary-machine-2")
    done(task, claim(task, at(13.1), "canary-machine-2"), at(13.3))
    claim(task, at(13.5), "canary-machine-2")
    daily = {"schedule_type": "daily", "schedule_time": "12:00", "name": "Backup by day"}
    task.revise(revised(task.definition, daily, now=at(20)), now=at(20), by="operator", reason="too often")
    return task


def _fail(task: ScheduledTask, attempt: Any, now: datetime, error: str, *, permanent: bool = False) -> None:
    task.fail(attempt.run, attempt.attempt, attempt.owner, now=now, what="source", error=error, permanent=permanent)
