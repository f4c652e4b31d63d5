"""What one task adds to a report: read event by event, and only what concerns the period is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from sys import intern
from typing import Any

from application.accounting import Account, account, fate_of, pending_within
from application.chronicle import INSTANT, Chronicle, RunStory, chronicle, field_of
from application.fates import Fate, FindingKind
from application.ports import Recorded
from application.report import DeliveryLine, RunLine, TaskLine
from application.report_days import Period
from application.report_erased import add_erased
from application.report_sums import RunSums, Sums
from application.report_words import ROUTINE, changes_of, event_line, place_of, words_of
from domain import task_events as facts
from domain.definition import TaskDefinition
from domain.errors import EventUnreadable, PayloadErased
from domain.task_erasure import ERASED

__all__ = ["read_task"]

UNREADABLE = "(unreadable)"
"""What stands for the name of a task that no event tells."""


@dataclass
class _Reading:
    """Follows a task's events: its definition and the names of its destinations."""

    task_id: str
    guild_id: str
    period: Period
    sums: Sums
    definition: TaskDefinition | None = None
    status: str = "active"
    first: int = 0
    erased: bool = False
    places: dict[str, str] = field(default_factory=dict)
    sealed: list[tuple[int, int, str]] = field(default_factory=list)
    _at: datetime | None = None

    @property
    def name(self) -> str:
        """The task's name, as far as events tell it."""
        if self.definition is not None:
            return self.definition.name
        return ERASED if self.erased else UNREADABLE

    def follow(self, events: Iterable[Recorded]) -> Iterator[Recorded]:
        """The same events; the timeline of the period is taken on the way."""
        for number, one in enumerate(events):
            position, event = one
            self.first = self.first or position
            before = self.definition
            if isinstance(event, EventUnreadable):
                self.erased = isinstance(event, PayloadErased)
                if self.erased:
                    self.sealed.append((number, position, intern(event.topic)))
            elif isinstance(event, facts.Created | facts.Revised):
                self.definition = event.definition
                self.places.update((place.key, place_of(place)) for place in event.definition.destinations)
            at = event.at if isinstance(event, EventUnreadable) else event.timestamp
            self._at = at or self._at  # an erased event does not say when it was: not before the one before it
            if self._at is not None and self.period.holds(self._at):
                self._tell(position, event, before)
            yield one

    def _tell(self, position: int, event: Any, before: TaskDefinition | None) -> None:
        # By topic alone: of an erased event nothing else is known, and its line must be there as it was before.
        if isinstance(event, ROUTINE):
            self.sums.kinds[event.topic] += 1
            return
        line = event_line(
            position, event, guild_id=self.guild_id, task_id=self.task_id, subject=self.name,
            zone=self.period.timezone,
        )  # fmt: skip
        if isinstance(event, facts.Revised) and before is not None:
            changes = list(changes_of(line, event, before, event.definition))
            line = replace(line, what=", ".join(change.field for change in changes))
            self.sums.change(changes)
        self.sums.event(line, event.topic)


def read_task(task_id: str, guild_id: str, events: Iterable[Recorded], period: Period, sums: Sums) -> None:
    """Add one task to the sums; one of which there is no event by then is left out."""
    reading = _Reading(task_id, guild_id, period, sums)
    book = chronicle(reading.follow(events), since=period.start)
    if not reading.first:
        return
    found = _without_rules(account(book, now=period.as_of, start=period.start, end=period.reached))
    if book.erasure is not None:
        own = add_erased(book.erasure, reading.sealed, found, period, sums)
    else:
        own = _runs(reading, book)
        _add_days(book, period, sums)
    sums.runs.join(own)
    sums.task(reading.first, _task_line(reading, book, found, own))


def _without_rules(found: Account) -> Account:
    # Whether the calendar of today would place slots elsewhere is `account`'s to tell: a report of then stays as it is.
    kept = tuple(one for one in found.findings if one.kind is not FindingKind.RULES)
    return replace(found, findings=kept) if len(kept) < len(found.findings) else found


def _runs(reading: _Reading, book: Chronicle) -> RunSums:
    own = RunSums()
    for story in book.runs.values():
        if (run := _run_of(reading, book, story)) is not None:
            own.add(run, *_troubles(reading, story))
            for usage in (field_of(fact.event, "usage") for fact in story.facts):
                if usage is not None:
                    own.asked(usage)
            reading.sums.run(run)
    return own


def _task_line(reading: _Reading, book: Chronicle, found: Account, own: RunSums) -> TaskLine:
    definition = reading.definition
    return TaskLine(
        reading.task_id,
        reading.guild_id,
        reading.name,
        book.status.value,
        words_of(definition.schedule) if definition is not None else "",
        definition.schedule.timezone if definition is not None else "",
        found,
        own.figures(),
    )


def _run_of(reading: _Reading, book: Chronicle, story: RunStory) -> RunLine | None:
    """A run as a line; None for one that is not of the period: its slot is not, nor was it asked for in it."""
    first = story.facts[0].event
    asked = first if story.slot is None and isinstance(first, facts.Requested) else None
    at = story.slot or (asked.timestamp if asked is not None else None)
    if at is None or not reading.period.counts(at):
        return None
    starts = [fact.event for fact in story.facts if isinstance(fact.event, facts.Started)]
    closed = story.closed.event if story.closed is not None else None
    failures = [fact.event for fact in story.facts if isinstance(fact.event, facts.Failed)]
    last = failures[-1] if failures and not isinstance(closed, facts.Executed) else None
    duration = max(0.0, _seconds(starts[-1].timestamp, closed.timestamp)) if closed is not None and starts else None
    return RunLine(
        position=story.facts[0].position,
        run_id=story.run,
        task_id=reading.task_id,
        task=reading.name,
        guild_id=reading.guild_id,
        slot=story.slot,
        requested_at=asked.timestamp if asked is not None else None,
        requested_by=asked.by if asked is not None else None,
        started_at=starts[0].timestamp if starts else None,
        closed_at=closed.timestamp if closed is not None else None,
        state=_state(book, story),
        lateness=_seconds(story.slot, starts[0].timestamp) if story.slot is not None and starts else None,
        duration=duration,
        attempts=len(starts),
        messages=closed.messages if isinstance(closed, facts.Executed) else None,
        reason=closed.skip.value if isinstance(closed, facts.Skipped) else last.what if last is not None else None,
        error=last.error if last is not None else None,
        note=field_of(closed, "note") if closed is not None else None,
        deliveries=tuple(_deliveries(reading, story)),
    )


def _state(book: Chronicle, story: RunStory) -> str:
    if story.closed is not None:
        return str(story.closed.event.topic.removeprefix("task."))
    if book.may_be_closed(story):
        return "unreadable"
    last = story.standing.event
    return "running" if isinstance(last, facts.Started | facts.DeliveryStarted) else "waiting"


def _seconds(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds()


def _deliveries(reading: _Reading, story: RunStory) -> Iterator[DeliveryLine]:
    """The last outcome at each destination, in the order of the first ones."""
    last: dict[str, DeliveryLine] = {}
    for fact in story.facts:
        for one in field_of(fact.event, "deliveries") or ():
            place = reading.places.get(one.destination, one.destination)
            last[one.destination] = DeliveryLine(
                one.destination, one.type.value, place, one.status.value, fact.event.attempt, one.at, one.receipt,
                one.reason,
            )  # fmt: skip
    yield from last.values()


def _troubles(reading: _Reading, story: RunStory) -> tuple[int, int]:
    """How many attempts failed, and how many were interrupted; each is a cause."""
    failed = interrupted = 0
    for _, event in story.facts:
        if isinstance(event, facts.Failed):
            failed += 1
            reading.sums.failure(reading.task_id, event.what, event.error, event.timestamp)
        elif isinstance(event, facts.Interrupted):
            interrupted += 1
            reading.sums.failure(reading.task_id, f"interrupted: {event.cause}", "", event.timestamp)
    return failed, interrupted


_DAY_COUNTS = {Fate.EXECUTED: "executed", Fate.FAILED: "failed", Fate.MISSED: "missed", Fate.OPEN: "pending"}


def _add_days(book: Chronicle, period: Period, sums: Sums) -> None:
    """The slots of each day: what was decided of them, and those that are due."""
    after, until = period.start - INSTANT, period.reached - INSTANT
    for decision in book.decisions:
        if decision.last <= after or decision.first > until:
            continue
        fate = fate_of(book, decision)
        if fate is Fate.UNREADABLE:
            continue
        what = _DAY_COUNTS.get(fate, "skipped")
        for day, begin, end in period.days.within(max(decision.first, period.start), min(decision.last, until)):
            sums.day(day, what, decision.count_within(begin, min(end, until)))
        started = book.runs[decision.run].started if decision.run in book.runs else None
        if decision.skip is None and started is not None:
            sums.late(period.days.of(decision.first), _seconds(decision.first, started.event.timestamp))
    if book.promise_known and book.promise is not None and book.promise <= until:
        for day, begin, end in period.days.within(max(book.promise, period.start), until):
            sums.day(day, "pending", pending_within(book, begin, min(end, until)))
